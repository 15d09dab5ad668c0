import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_reuse import clustering_fields, tree_id_of

from ostinato.reuse import ConvGeometry, Pattern, initial_hash, tree_ids
from ostinato.reuse.cuts import best_threshold, logistic_plane
from ostinato.reuse.tree import fit_tree, unit_deviation
from ostinato.reuse.tree_polish import polish_tree


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def leaves(z, planes, thresholds):
    return tree_ids(z, planes.t()[None].contiguous(), thresholds[None])


def error_of(z, ids):
    return sum(float((z[ids == k] - z[ids == k].mean(0)).square().sum()) for k in ids.unique().tolist())


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 12), st.integers(0, 2000))
def test_the_best_threshold_is_that_of_trying_all(n, seed):
    projections, gains = normal(n, 3, seed=seed).round(decimals=1), normal(n, seed=seed + 1)
    thresholds, most = best_threshold(projections, gains)
    for d in range(3):
        values = projections[:, d].unique()
        tried = [float(gains[projections[:, d] > value].sum()) for value in values[:-1]]
        if not tried:
            assert most[d] == -torch.inf
            continue
        assert abs(max(tried) - most[d]) < 1e-12
        assert abs(float(gains[projections[:, d] > thresholds[d]].sum()) - most[d]) < 1e-12


def test_logistic_regression_turns_the_plane_towards_what_gains():
    z, wanted = normal(500, 3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    start = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    plane = logistic_plane(z, z @ wanted - 0.3, start, torch.tensor(0.0, dtype=torch.float64))
    assert torch.nn.functional.cosine_similarity(plane, wanted, dim=0) > 0.99


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(2, 5), st.integers(0, 1000))
def test_the_error_never_rises_with_the_sweeps(hashes, length, seed):
    z = normal(300, length, seed=seed).relu() * torch.arange(1.0, length + 1, dtype=torch.float64)
    planes, thresholds = normal(2**hashes - 1, length, seed=seed + 1), normal(2**hashes - 1, seed=seed + 2)
    errors = [error_of(z, leaves(z, *polish_tree(z, z, planes, thresholds, sweeps))) for sweeps in range(4)]
    assert errors[0] == error_of(z, leaves(z, planes, thresholds))  # no sweep, no change
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(errors))


def test_a_node_is_given_the_best_plane_for_the_leaves_below_it():
    """One level: the optimum is the bisector of two means, which Lloyd's iteration finds from a poor start."""
    z = torch.cat([normal(200, 2) + torch.tensor([4.0, 0.0]), normal(200, 2, seed=1) - torch.tensor([4.0, 0.0])])
    poor = torch.tensor([[0.6, 1.0]], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    found = leaves(z, *polish_tree(z, z, *poor, 8))
    assert found.tolist() == [1] * 200 + [0] * 200


def test_polishing_mends_what_cutting_one_node_after_the_other_spoils():
    """Three clouds in a row, the middle one the heaviest: the greedy root halves it, and no later cut can join it."""
    generator = torch.Generator().manual_seed(0)
    where = torch.multinomial(torch.tensor([0.25, 0.5, 0.25]), 3000, True, generator=generator) * 4.0
    z = torch.stack([where + 0.6 * torch.randn(3000, generator=generator), torch.zeros(3000)], 1).double()[None]
    errors = []
    for polish in (False, True):
        vectors, thresholds = fit_tree(z, 2, polish=polish)
        errors.append(error_of(z[0], tree_ids(z[0], vectors, thresholds)))
    assert errors[1] < 0.95 * errors[0]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(2, 4), st.integers(0, 1000))
def test_a_polished_tree_never_has_more_output_error_than_the_grown_one(hashes, length, seed):
    z, weights = normal(1, 300, length, seed=seed).relu(), normal(length, 6, seed=seed + 1)
    root = weights.numpy() @ weights.numpy().T
    grown, polished = (
        error_of(z[0] @ weights, tree_ids(z[0], *fit_tree(z, hashes, torch.tensor(root)[None], polish=polish)))
        for polish in (False, True)
    )
    assert polished <= grown * (1 + 1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 300))
def test_unit_deviation_changes_no_cut(seed):
    z = normal(60, 3, seed=seed)
    planes, thresholds = normal(7, 3, seed=seed + 1), normal(7, seed=seed + 2)
    planes[4], thresholds[4] = 0, 0
    scaled = unit_deviation(z, planes, thresholds)
    assert torch.equal(leaves(z, *scaled), leaves(z, planes, thresholds))
    projections = z @ scaled[0][0]
    torch.testing.assert_close(projections.std(correction=0), torch.tensor(1.0, dtype=torch.float64))


def test_nodes_that_were_not_cut_stay_and_equal_vectors_are_no_trouble():
    equal = torch.full((1, 50, 3), 0.1, dtype=torch.float64)
    assert not fit_tree(equal, 3, polish=True)[0].any()
    two = torch.cat([equal, equal + 1], 1)
    vectors, thresholds = fit_tree(two, 2, polish=True)
    assert tree_ids(two[0], vectors, thresholds).tolist() == [0] * 50 + [2] * 50
    assert not vectors[0, :, 1:].any()


def test_init_polished_is_the_polished_tree_in_the_layers_metric():
    geometry, z = ConvGeometry(6, 4, 3), normal(400, 2, 3).relu()
    weight = normal(4, 6, 3, 3)
    pattern = Pattern(3, 4, sharing="block", **{**clustering_fields("tree"), "init": "polished"})
    vectors, thresholds = initial_hash(geometry, pattern, z, weight=weight)
    again = initial_hash(geometry, pattern, z, weight=weight)
    assert torch.equal(vectors, again[0])
    assert torch.equal(thresholds, again[1])
    plain, _ = initial_hash(geometry, Pattern(3, 4, sharing="block", **clustering_fields("tree")), z, weight=weight)
    assert not torch.equal(vectors, plain)
    assert tree_ids(z[:1, 0].float(), vectors[:1], thresholds[:1]).item() == tree_id_of(
        z[0, 0].float(), vectors[0], thresholds[0]
    )
    assert "polished tree" in str(pattern)
