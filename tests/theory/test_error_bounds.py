import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_samples import clustered_products, quantise

from ostinato import theory
from ostinato.errors import ModelError, PatternError
from ostinato.nn import ReuseConv2d
from ostinato.reuse import ConvGeometry, Pattern, ReuseStats, reuse_conv2d

SLACK = 1 + 1e-9


def naive_spread(x, labels, length):
    """GR §4.1's Σ_i λ_max·m_i, from each cluster's covariance."""
    spreads = []
    for s, start in enumerate(range(0, x.shape[1], length)):
        total = 0.0
        for label in labels[:, s].unique():
            members = x[labels[:, s] == label, start : start + length]
            centred = members - members.mean(0)
            covariance = centred.T @ centred / len(members)
            total += float(torch.linalg.eigvalsh(covariance)[-1]) * len(members)
        spreads.append(total)
    return torch.tensor(spreads, dtype=torch.float64)


@settings(deadline=None)
@given(clustered_products())
def test_the_corrected_bound_bounds(product):
    errors = theory.reuse_errors(*product)
    assert errors.measured <= errors.corrected * SLACK + 1e-12
    assert errors.published <= errors.corrected * SLACK + 1e-12


@settings(deadline=None)
@given(clustered_products(single_slice=True))
def test_for_one_slice_the_published_bound_bounds_and_is_the_corrected_one(product):
    errors = theory.reuse_errors(*product)
    assert errors.measured <= errors.published * SLACK + 1e-12
    assert errors.published == pytest.approx(errors.corrected, rel=1e-9, abs=1e-12)


def test_the_published_bound_is_none_for_two_slices():
    """Two rows (1, 1) and (−1, −1), one cluster in each slice, W of ones: the errors 2 and −2 are squared together.

    Each slice errs by 1 per row, and the published bound squares before it adds: 1·2 + 1·2 = 4 for a true error of 8.
    """
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    labels = torch.zeros(2, 2, dtype=torch.long)
    errors = theory.reuse_errors(x, quantise(x, labels, 1), labels, torch.ones(2, 1, dtype=torch.float64), 1)
    assert errors.measured == pytest.approx(8)
    assert errors.published == pytest.approx(4)
    assert errors.corrected == pytest.approx(8)  # and so cannot be improved by a constant


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(1, 5))
def test_with_equal_slices_the_published_bound_is_too_small_by_their_number(slices, rows):
    x = torch.arange(2.0 * rows, dtype=torch.float64)[:, None].expand(-1, slices)
    labels = torch.zeros(2 * rows, slices, dtype=torch.long)
    errors = theory.reuse_errors(x, quantise(x, labels, 1), labels, torch.ones(slices, 1, dtype=torch.float64), 1)
    assert errors.measured == pytest.approx(slices * errors.published)


@settings(deadline=None)
@given(clustered_products())
def test_spreads_are_the_largest_eigenvalues_of_the_clusters_covariances(product):
    x, quantised, labels, _, length = product
    torch.testing.assert_close(
        theory.cluster_spreads(x - quantised, labels, length), naive_spread(x, labels, length), atol=1e-10, rtol=1e-9
    )


def test_spreads_do_not_depend_on_how_they_are_cut_into_runs(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    errors = torch.randn(300, 9, generator=generator, dtype=torch.float64)
    labels = torch.randint(7, (300, 2), generator=generator)
    whole = theory.cluster_spreads(errors, labels, 5)
    monkeypatch.setattr("ostinato.theory.bounds._CHUNK", 75)
    torch.testing.assert_close(theory.cluster_spreads(errors, labels, 5), whole)


@settings(deadline=None)
@given(clustered_products())
def test_the_errors_of_means_cancel_in_every_channel(product):
    """Why the variation is taken around the mean, and reuse keeps each channel's (DESIGN §5.8)."""
    x, quantised, _, w, _ = product
    torch.testing.assert_close((quantised @ w).mean(0), (x @ w).mean(0))


@settings(deadline=None)
@given(clustered_products())
def test_error_and_variation_are_what_they_say(product):
    x, quantised, labels, w, _ = product
    errors = theory.reuse_errors(*product)
    y = x @ w
    assert errors.measured == pytest.approx(float(((y - quantised @ w) ** 2).sum()), rel=1e-9, abs=1e-12)
    assert errors.variation == pytest.approx(float(y.var(0, correction=0).sum() * len(y)), rel=1e-9, abs=1e-12)
    clusters = sum(len(set(labels[:, s].tolist())) for s in range(labels.shape[1]))
    assert errors.r_t == pytest.approx(1 - clusters / labels.numel())


def test_relative_error_of_constant_outputs():
    x, w = torch.ones(3, 2), torch.ones(2, 1)
    labels = torch.zeros(3, 1, dtype=torch.long)
    assert theory.reuse_errors(x, x, labels, w, 2).relative == 0
    assert math.isinf(theory.reuse_errors(x, x + 1, labels, w, 2).relative)


def layer_of(pattern, **geometry):
    torch.manual_seed(0)
    layer = ReuseConv2d(ConvGeometry(4, 3, (3, 2), **geometry), pattern).double()
    with torch.no_grad():
        layer.thresholds.normal_(std=0.5)
    return layer


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["image", "batch", "compiled"]),
    st.sampled_from([("slice", "kh.kw.c"), ("slice", "c.kh.kw"), ("layer", "c.kh.kw"), ("block", "kh.kw.c")]),
    st.sampled_from([{}, {"padding": (1, 0)}, {"stride": (2, 1), "dilation": (1, 2), "padding": (2, 1)}]),
    st.sampled_from([1, 2, 4, 5, 24]),
)
def test_a_layers_error_is_that_of_its_forward_pass(scope, sharing, shape, length):
    if sharing[0] == "block" and length not in (1, 2, 4):
        length = 4
    layer = layer_of(Pattern(length, 3, scope=scope, sharing=sharing[0], order=sharing[1]), **shape)
    x = torch.randn(3, 4, 6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if scope == "compiled":
        layer.train()(x[:2])
        layer.eval()
    stats = ReuseStats()
    g = layer.geometry
    arguments = {"stride": g.stride, "padding": g.padding, "dilation": g.dilation}
    with torch.no_grad():
        y = torch.nn.functional.conv2d(x, layer.weight, layer.bias, **arguments)
        reused = reuse_conv2d(
            x, layer.weight, layer.bias, layer.hash_vectors, layer.thresholds, layer.pattern,
            centroids=layer.centroids, counts=layer.centroid_counts, stats=stats, **arguments,
        )  # fmt: skip
    errors = theory.layer_errors(
        x, layer.weight, layer.hash_vectors, layer.thresholds, g, layer.pattern, layer.centroids
    )
    assert errors.measured == pytest.approx(float((y - reused).square().sum()))
    assert errors.variation == pytest.approx(float((y - y.mean((0, 2, 3), keepdim=True)).square().sum()))
    assert errors.measured <= errors.corrected * SLACK
    assert errors.measured > 0
    if not layer.pattern.pixelwise:  # there the layer hashes pixels, not vectors of X
        assert errors.r_t == pytest.approx(stats.r_t)
    if scope == "image":  # the free invariant: every channel's mean over every image
        torch.testing.assert_close(reused.mean((2, 3)), y.mean((2, 3)))


def test_nonsense_is_refused():
    x, w, labels = torch.ones(4, 6), torch.ones(6, 2), torch.zeros(4, 2, dtype=torch.long)
    with pytest.raises(PatternError, match=r"labels must be integers of shape \(4, 3\)"):
        theory.reuse_errors(x, x, labels, w, 2)
    with pytest.raises(PatternError, match="longer than the matrix is wide"):
        theory.cluster_spreads(x, labels, 7)
    with pytest.raises(PatternError, match="cannot be multiplied"):
        theory.measured_error(x, torch.ones(5, 2))
    with pytest.raises(PatternError, match="must have one shape"):
        theory.reuse_errors(x, x[:2], labels, w, 3)
    with pytest.raises(PatternError, match=r"spreads must have shape \(2,\)"):
        theory.published_bound(w, torch.ones(3), 3)
    with pytest.raises(ModelError, match="W has NaN"):
        theory.measured_error(x, w * math.nan)
