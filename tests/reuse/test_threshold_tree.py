import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.reuse import ConvGeometry, Pattern, initial_hash, tree_ids
from ostinato.reuse.threshold_tree import fit_threshold_tree, least_error_cuts


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def error_of(y, ids):
    return sum(float((y[ids == k] - y[ids == k].mean(0)).square().sum()) for k in ids.unique().tolist())


@settings(deadline=None, max_examples=40)
@given(st.integers(8, 20), st.integers(0, 1000))
def test_a_cut_is_the_best_of_all_thresholds_of_its_coordinate(n, seed):
    z, y = normal(n, 3, seed=seed).round(decimals=1), normal(n, 2, seed=seed + 1)
    thresholds, saved = least_error_cuts(z, y)
    for d in range(3):
        tried = [error_of(y, (z[:, d] > value).long()) for value in z[:, d].unique()]
        before = error_of(y, torch.zeros(n, dtype=torch.long))
        assert abs(before - min(tried) - float(saved[d])) < 1e-9
        if saved[d] > 0:
            assert abs(error_of(y, (z[:, d] > thresholds[d]).long()) - min(tried)) < 1e-9


def test_nothing_is_saved_by_equal_coordinates_or_few_vectors():
    z = normal(20, 2)
    z[:, 1] = 0.7
    assert float(least_error_cuts(z, z)[1][1]) == 0
    assert not least_error_cuts(z[:7], z[:7])[1].any()


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 4), st.booleans(), st.integers(0, 1000))
def test_each_plane_is_one_coordinate_and_a_levels_is_shared_on_request(hashes, shared, seed):
    z, weights = normal(2, 400, 4, seed=seed).relu(), normal(2, 4, 6, seed=seed + 1)
    vectors, thresholds = fit_threshold_tree(z, hashes, weights @ weights.mT, shared=shared)
    assert vectors.shape == (2, 4, 2**hashes - 1)
    assert thresholds.shape == (2, 2**hashes - 1)
    assert ((vectors != 0).sum(1) <= 1).all()
    assert (vectors >= 0).all()  # above the threshold is above it in x
    for level in range(hashes) if shared else ():
        nodes = vectors[:, :, (1 << level) - 1 : (2 << level) - 1]
        for group in nodes:
            assert int((group != 0).any(1).sum()) <= 1


@settings(deadline=None, max_examples=15)
@given(st.booleans(), st.integers(0, 1000))
def test_more_levels_leave_less_output_error(shared, seed):
    z, weights = normal(1, 500, 4, seed=seed).relu(), normal(4, 5, seed=seed + 1)
    gram = (weights @ weights.mT)[None]
    errors = [
        error_of(z[0] @ weights, tree_ids(z[0], *fit_threshold_tree(z, hashes, gram, shared=shared)))
        for hashes in range(1, 5)
    ]
    assert errors == sorted(errors, reverse=True)


def test_a_nodes_own_coordinate_is_worth_something():
    """In one half of the vectors one coordinate varies, in the other another."""
    z = torch.zeros(1, 400, 3, dtype=torch.float64)
    z[0, 200:, 0] = 10
    z[0, :200, 1] = torch.arange(200) % 2 * 3.0
    z[0, 200:, 2] = torch.arange(200) % 2 * 3.0
    own = error_of(z[0], tree_ids(z[0], *fit_threshold_tree(z, 2)))
    shared = error_of(z[0], tree_ids(z[0], *fit_threshold_tree(z, 2, shared=True)))
    assert own < 1e-9
    assert shared > 100


@pytest.mark.parametrize("init", ["thresholds", "level-thresholds"])
def test_initial_hash_scales_thresholds_to_unit_deviation_and_keeps_ragged_rows_zero(init):
    geometry = ConvGeometry(2, 4, 3)  # K = 18 = 7 + 7 + 4
    z = normal(300, 3, 7)
    z[:, 2, 4:] = 0
    pattern = Pattern(7, 3, clustering="tree", init=init, gradient="frozen")
    vectors, thresholds = initial_hash(geometry, pattern, z, weight=normal(4, 2, 3, 3))
    again = initial_hash(geometry, pattern, z, weight=normal(4, 2, 3, 3))
    assert torch.equal(vectors, again[0])
    assert torch.equal(thresholds, again[1])
    assert not vectors[2, 4:].any()
    torch.testing.assert_close((z.transpose(0, 1).float() @ vectors)[:, :, 0].std(1, correction=0), torch.ones(3))
