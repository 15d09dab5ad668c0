import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import clustering_fields, layers, tensors, tree_id_of

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, bindec, cluster_ids, hashed_vectors, initial_hash, project, tree_ids
from ostinato.reuse.clustering import cluster_means, compact
from ostinato.reuse.tree import fit_tree, output_gram

TREE = clustering_fields("tree")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(1, 3), st.integers(1, 5), st.integers(0, 1000))
def test_tree_ids_are_those_of_a_walk_from_the_root(hashes, groups, length, seed):
    planes = 2**hashes - 1
    rows, vectors, thresholds = (
        normal(groups * 12, length, seed=seed),
        normal(groups, length, planes),
        normal(groups, planes),
    )
    alive = torch.rand(groups, planes, generator=torch.Generator().manual_seed(seed)) < 0.8
    vectors, thresholds = vectors * alive[:, None], thresholds * alive
    expected = [tree_id_of(row, vectors[r % groups], thresholds[r % groups]) for r, row in enumerate(rows)]
    assert tree_ids(rows, vectors, thresholds).tolist() == expected


def test_the_roots_bit_is_the_most_significant_and_a_plane_of_zeros_gives_zero():
    vectors = torch.tensor([[[1.0, 0.0, 1.0]]])  # of the root, its left and its right child
    thresholds = torch.tensor([[0.0, 0.0, 5.0]])
    rows = torch.tensor([[-3.0], [-1.0], [0.0], [2.0], [5.0], [7.0]])
    assert tree_ids(rows, vectors, thresholds).tolist() == [0, 0, 0, 2, 2, 3]


@given(st.integers(0, 1000))
def test_a_tree_of_one_level_is_one_hyperplane(seed):
    rows, vectors, thresholds = normal(30, 4, seed=seed), normal(3, 4, 1), normal(3, 1)
    assert torch.equal(tree_ids(rows, vectors, thresholds), bindec(project(rows, vectors, thresholds)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_tree_with_the_same_plane_at_all_nodes_of_a_level_is_lsh(hashes, seed):
    rows, vectors, thresholds = normal(40, 3, seed=seed), normal(2, 3, hashes), normal(2, hashes)
    level = torch.tensor([(node + 1).bit_length() - 1 for node in range(2**hashes - 1)])
    found = tree_ids(rows, vectors[:, :, level], thresholds[:, level])
    assert torch.equal(found, bindec(project(rows, vectors, thresholds)))


@settings(max_examples=40, deadline=None)
@given(layers(clusterings=("tree",)))
def test_cluster_ids_follow_the_walk_in_every_scope_and_sharing(layer):
    pattern, geometry, *_ = layer
    x, _, _, hash_vectors, thresholds = tensors(*layer)
    ids = cluster_ids(x, hash_vectors, thresholds, geometry, pattern)
    vectors = hashed_vectors(x, geometry, pattern).reshape(*ids.shape, pattern.length)
    image, position, s = (int(size) - 1 for size in ids.shape)
    for where in {(0, 0, 0), (image, position, s), (0, position // 2, s // 2)}:
        g = where[2] % len(hash_vectors)
        assert ids[where] == tree_id_of(vectors[where], hash_vectors[g], thresholds[g])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(2, 4), st.integers(0, 1000))
def test_each_node_cuts_along_the_principal_axis_halfway_between_two_means(hashes, length, seed):
    z = normal(1, 400, length, seed=seed) * torch.arange(1.0, length + 1, dtype=torch.float64)
    weights = normal(length, 6, seed=seed + 1)
    gram = (weights @ weights.T)[None]
    vectors, thresholds = fit_tree(z, hashes, gram)
    node = torch.zeros(400, dtype=torch.long)
    for _ in range(hashes):
        projections = (z[0] * vectors[0].t()[node]).sum(1)
        bits = projections > thresholds[0][node]
        for k in node.unique().tolist():
            mine = node == k
            v = vectors[0, :, k]
            if mine.sum() < 8:
                assert not v.any()
                assert thresholds[0, k] == 0
                continue
            centred = z[0, mine] - z[0, mine].mean(0)
            # v is the first eigenvector of Σ·gram seen from the left: gram·Σ·v = λ·v, and none has a larger λ.
            covariance = centred.T @ centred / mine.sum()
            product = gram[0] @ covariance
            largest = torch.linalg.eigvals(product).real.max()
            torch.testing.assert_close(product @ v, largest * v)
            torch.testing.assert_close(v @ covariance @ v, torch.tensor(1.0, dtype=torch.float64))
            p = projections[mine]
            low, high = p[p <= thresholds[0, k]], p[p > thresholds[0, k]]
            assert low.min() <= thresholds[0, k] <= high.max()
            assert (
                abs((low.mean() + high.mean()) / 2 - thresholds[0, k]) < 0.1
            )  # of a deviation: Lloyd's has all but settled
        node = 2 * node + 1 + bits


def test_a_tree_finds_clusters_that_no_two_hyperplanes_tell_apart():
    """Four tight clouds in a row: halving twice takes three parallel cuts, of which each vector meets two."""
    generator = torch.Generator().manual_seed(0)
    where = torch.randint(0, 4, (2000,), generator=generator)
    z = torch.stack([where * 4.0, torch.zeros(2000)], 1) + 0.1 * torch.randn(2000, 2, generator=generator)
    vectors, thresholds = initial_hash(ConvGeometry(2, 1, 1), Pattern(2, 2, sharing="layer", **TREE), z[:, None])
    clusters = compact(tree_ids(z, vectors, thresholds), 4)
    error = (z - cluster_means(z, clusters)[clusters.index]).square().mean()
    assert len(clusters) == 4
    assert error < 0.02


def test_a_tree_sees_what_the_outputs_see():
    """The widest axis has no weight: without it, ids follow the one that has."""
    z = normal(500, 1, 2) * torch.tensor([10.0, 1.0])
    geometry, pattern = ConvGeometry(2, 3, 1), Pattern(2, 1, sharing="layer", **TREE)
    weight = torch.zeros(3, 2, 1, 1)
    weight[:, 1] = 1.0
    blind, _ = initial_hash(geometry, pattern, z)
    seeing, _ = initial_hash(geometry, pattern, z, weight=weight)
    assert blind[0, 0].abs() > 0.09
    assert seeing[0, 0].abs() < 1e-6
    assert seeing[0, 1].abs() > 0.9


@pytest.mark.parametrize("sharing", ["slice", "block", "layer"])
def test_the_output_gram_is_that_of_all_slices_a_group_serves(sharing):
    geometry, pattern = ConvGeometry(6, 5, (2, 3)), Pattern(3, 2, sharing=sharing, **TREE)
    weight = normal(5, 6, 2, 3)
    gram = output_gram(weight, geometry, pattern)
    rows = weight.permute(2, 3, 1, 0).reshape(12, 3, 5)  # slices of kh.kw.c
    groups = pattern.hash_groups(geometry)
    assert gram.shape == (groups, 3, 3)
    for g in range(groups):
        torch.testing.assert_close(gram[g], sum(rows[s] @ rows[s].T for s in range(g, 12, groups)))


def test_output_gram_and_planes_of_a_ragged_slice_are_zero_beyond_it():
    geometry, pattern = ConvGeometry(2, 4, 3), Pattern(7, 3, **TREE)  # K = 18 = 7 + 7 + 4
    weight = normal(4, 2, 3, 3)
    assert not output_gram(weight, geometry, pattern)[2, 4:].any()
    z = normal(300, 3, 7)
    z[:, 2, 4:] = 0
    for w in (None, weight):
        vectors, _ = initial_hash(geometry, pattern, z, weight=w)
        assert vectors.shape == (3, 7, 7)
        assert not vectors[2, 4:].any()
        assert (vectors[2, :4] != 0).any(0).all()


def test_nodes_that_have_hardly_any_or_only_equal_vectors_are_not_cut():
    few, _ = fit_tree(normal(1, 7, 3), 2)
    assert not few.any()
    equal = torch.full((1, 50, 3), 0.1, dtype=torch.float64)
    assert not fit_tree(equal, 2)[0].any()
    two = torch.cat([equal, equal + 1], 1)  # the root has a cut, its children none
    vectors, thresholds = fit_tree(two, 2)
    assert vectors[0, :, 0].any()
    assert not vectors[0, :, 1:].any()
    assert tree_ids(two[0], vectors, thresholds).tolist() == [0] * 50 + [2] * 50


def test_a_tree_is_deterministic_and_one_per_group():
    pattern, z = Pattern(4, 3, sharing="block", **TREE), normal(300, 2, 4).relu()
    geometry = ConvGeometry(8, 4, 3)
    vectors, thresholds = initial_hash(geometry, pattern, z)
    again = initial_hash(geometry, pattern, z)
    assert torch.equal(vectors, again[0])
    assert torch.equal(thresholds, again[1])
    alone, _ = fit_tree(z[:, 1:].transpose(0, 1), 3)
    torch.testing.assert_close(vectors[1], alone[0].float())


def test_more_levels_never_quantise_worse():
    z = normal(1, 1000, 4).relu()
    errors = []
    for hashes in range(1, 8):
        clusters = compact(tree_ids(z[0], *fit_tree(z, hashes)), 2**hashes)
        errors.append(float((z[0] - cluster_means(z[0], clusters)[clusters.index]).square().sum()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]


def test_a_tree_without_data_is_refused():
    with pytest.raises(PatternError, match=r"'conv1'.*calibrate"):
        initial_hash(ConvGeometry(8, 4, 3), Pattern(4, 3, **TREE), None, "conv1")
