import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import id_of

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, bindec, initial_hash, project
from ostinato.reuse.clustering import cluster_means, compact, flat_keys
from ostinato.reuse.pattern_rules import LSH_INITS

GEOMETRY = ConvGeometry(8, 4, (3, 3))


@given(st.integers(1, 16), st.data())
def test_bindec_packs_the_first_hash_into_the_most_significant_bit(hashes, data):
    number = data.draw(st.integers(0, 2**hashes - 1))
    bits = [(number >> (hashes - 1 - h)) & 1 for h in range(hashes)]
    projections = torch.tensor([[0.5 if bit else -0.5 for bit in bits]])
    assert bindec(projections).tolist() == [number]


def test_a_projection_of_exactly_zero_is_bit_zero():
    assert bindec(torch.tensor([[0.0, 1e-30]])).tolist() == [1]


@pytest.mark.parametrize("groups", [1, 3])
def test_project_uses_each_rows_group(groups):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    vectors = torch.randn(groups, 5, 4, generator=generator, dtype=torch.float64)
    thresholds = torch.randn(groups, 4, generator=generator, dtype=torch.float64)
    ids = bindec(project(rows, vectors, thresholds)).tolist()
    expected = [id_of(row, vectors[r % groups], thresholds[r % groups]) for r, row in enumerate(rows)]
    assert ids == expected
    assert len(set(ids)) > 3


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.booleans())
def test_compact_numbers_the_keys_that_occur(keys, by_sorting):
    clusters = compact(torch.tensor(keys), 10**6 if by_sorting else 41)
    assert clusters.keys.tolist() == sorted(set(keys))
    assert clusters.keys[clusters.index].tolist() == keys
    assert clusters.sizes.tolist() == [keys.count(k) for k in sorted(set(keys))]


def test_flat_keys_keep_slices_apart_and_images_only_in_image_scope():
    ids = torch.zeros(2 * 3 * 2, dtype=torch.long)  # two images, three positions, two slices, all with id 0
    batch = flat_keys(ids, 2, 2, 4, per_image=False).view(2, 3, 2)
    assert batch.unique().tolist() == [0, 16]
    image = flat_keys(ids, 2, 2, 4, per_image=True).view(2, 3, 2)
    assert image[:, 0].tolist() == [[0, 32], [16, 48]]  # a slice's panels are neighbours


def test_cluster_means_are_means():
    rows = torch.tensor([[1.0, 2.0], [5.0, 6.0], [3.0, 4.0]])
    clusters = compact(torch.tensor([7, 2, 7]), 8)
    assert cluster_means(rows, clusters).tolist() == [[5.0, 6.0], [2.0, 3.0]]


@pytest.mark.parametrize("init", LSH_INITS)
@pytest.mark.parametrize("sharing", ["slice", "block", "layer"])
@pytest.mark.parametrize("hashes", [3, 6])
def test_initialisation_is_deterministic_finite_and_of_the_right_shape(init, sharing, hashes):
    pattern = Pattern(4, hashes, sharing=sharing, init=init, seed=3)
    groups = pattern.hash_groups(GEOMETRY)
    z = torch.randn(500, groups, 4, generator=torch.Generator().manual_seed(0)).relu()
    vectors, thresholds = initial_hash(GEOMETRY, pattern, z)
    again = initial_hash(GEOMETRY, pattern, z)
    assert torch.equal(vectors, again[0])
    assert torch.equal(thresholds, again[1])
    assert vectors.shape == (groups, 4, hashes)
    assert thresholds.shape == (groups, hashes)
    assert torch.isfinite(vectors).all()
    assert torch.isfinite(thresholds).all()
    if init == "random":
        assert not thresholds.any()
        other = initial_hash(GEOMETRY, Pattern(4, hashes, sharing=sharing, init=init, seed=4))[0]
        assert not torch.equal(vectors, other)
    else:
        projections = project(z.reshape(-1, 4), vectors, thresholds).view(500, groups, hashes)
        torch.testing.assert_close(projections.std(0, unbiased=False), torch.ones(groups, hashes))


def test_median_and_pca_bits_halve_the_vectors():
    z = torch.rand(401, 1, 4, generator=torch.Generator().manual_seed(0))
    for init in ("median", "pca"):
        pattern = Pattern(4, 4, sharing="layer", init=init)
        vectors, thresholds = initial_hash(GEOMETRY, pattern, z)
        share = (project(z[:, 0], vectors, thresholds) > 0).float().mean(0)
        assert ((share - 0.5).abs() < 0.01).all(), init


def test_pca_finds_the_axes_of_a_stretched_cloud():
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    z = torch.randn(4000, 4, generator=generator, dtype=torch.float64) * torch.tensor([8.0, 4.0, 2.0, 1.0]) @ rotation.T
    vectors, _ = initial_hash(GEOMETRY, Pattern(4, 2, sharing="layer", init="pca"), z[:, None])
    found = torch.nn.functional.normalize(vectors[0], dim=0).double()
    assert ((found.T @ rotation[:, :2]).abs().diagonal() > 0.99).all()


def test_itq_quantises_better_than_pca_where_variances_are_unequal():
    """Two tight clouds on each axis' diagonal: rotating the axes makes bits agree with projections."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.9], [0.0, -0.9]])
    z = corners[torch.randint(0, 4, (2000,), generator=generator)] + 0.02 * torch.randn(2000, 2, generator=generator)
    errors = {}
    for init in ("pca", "itq"):
        vectors, thresholds = initial_hash(ConvGeometry(2, 1, 1), Pattern(2, 2, sharing="layer", init=init), z[:, None])
        clusters = compact(bindec(project(z, vectors, thresholds)), 4)
        errors[init] = (z - cluster_means(z, clusters)[clusters.index]).square().sum().item()
    assert errors["itq"] < 0.1 * errors["pca"]


def test_hash_rows_beyond_a_ragged_slice_are_zero():
    geometry = ConvGeometry(2, 4, (3, 3))  # K = 18
    z = torch.randn(200, 3, 7, generator=torch.Generator().manual_seed(0))
    z[:, 2, 4:] = 0
    weight = torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    for init in LSH_INITS:
        vectors, _ = initial_hash(geometry, Pattern(7, 6, init=init), z, weight=weight)
        assert not vectors[2, 4:].abs().gt(1e-9).any(), init
        assert (vectors[2, :4] != 0).any(0).all(), init  # and no hash is wasted on the columns that are not there


def test_fitted_initialisation_without_data_is_refused():
    with pytest.raises(PatternError, match=r"'conv1'.*'pca'.*calibrate"):
        initial_hash(GEOMETRY, Pattern(4, 3, init="pca"), None, "conv1")


def output_error(z, weight, pattern):
    vectors, thresholds = initial_hash(ConvGeometry(z.shape[1], len(weight), 1), pattern, z[:, None], weight=weight)
    clusters = compact(bindec(project(z, vectors, thresholds)), pattern.ids)
    return float(((z - cluster_means(z, clusters)[clusters.index]) @ weight.flatten(1).t()).square().sum())


@pytest.mark.parametrize("kind", ["pca", "itq"])
def test_weighted_axes_are_those_that_the_outputs_see(kind):
    """The widest axis has no weight: measured in outputs, no bit is spent on it."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 4, generator=generator) * torch.tensor([10.0, 3.0, 2.0, 1.0])
    weight = torch.randn(6, 4, 1, 1, generator=generator)
    weight[:, 0] = 0
    patterns = [Pattern(4, 2, sharing="layer", init=init) for init in (kind, f"weighted-{kind}")]
    vectors, _ = initial_hash(ConvGeometry(4, 6, 1), patterns[1], z[:, None], weight=weight)
    assert vectors[0, 0].abs().max() < 1e-5 * vectors.abs().max()
    plain, weighted = (output_error(z, weight, pattern) for pattern in patterns)
    assert weighted < plain
    blind = [initial_hash(ConvGeometry(4, 6, 1), pattern, z[:, None])[0] for pattern in patterns]
    torch.testing.assert_close(*blind, rtol=1e-4, atol=1e-4)  # without weights they are the same


@given(st.integers(0, 200))
@settings(deadline=None, max_examples=20)
def test_greedy_bits_leave_less_output_error_one_by_one_and_less_than_weighted_axes(seed):
    generator = torch.Generator().manual_seed(seed)
    z, weight = torch.randn(600, 4, generator=generator).relu(), torch.randn(5, 4, 1, 1, generator=generator)
    errors = [output_error(z, weight, Pattern(4, h, sharing="layer", init="greedy")) for h in range(1, 6)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < output_error(z, weight, Pattern(4, 1, sharing="layer", init="weighted-pca")) * 1.02


def test_greedy_finds_the_coordinate_and_the_gap_that_tell_clouds_apart():
    generator = torch.Generator().manual_seed(0)
    z = 0.05 * torch.randn(900, 3, generator=generator)
    z[600:, 1] += 2.0  # a third of them: no median separates it
    vectors, thresholds = initial_hash(ConvGeometry(3, 1, 1), Pattern(3, 1, sharing="layer", init="greedy"), z[:, None])
    bits = bindec(project(z, vectors, thresholds)).bool()
    assert (bits[:600] == bits[0]).float().mean() > 0.95  # a threshold is a 32nd quantile
    assert (bits[600:] != bits[0]).all()


def test_greedy_wastes_nothing_on_vectors_that_are_all_the_same():
    z = torch.full((50, 1, 4), 0.3)
    vectors, thresholds = initial_hash(GEOMETRY, Pattern(4, 3, sharing="layer", init="greedy"), z)
    assert torch.isfinite(vectors).all()
    assert len(set(bindec(project(z[:, 0], vectors, thresholds)).tolist())) == 1
