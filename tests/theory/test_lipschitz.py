import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_samples import averaging, clustered_products, quantise

from ostinato import theory
from ostinato.errors import PatternError
from ostinato.reuse import Pattern, reuse_conv2d

NORMS = {"rows": lambda x: x.abs().sum(1).max(), "entries": lambda x: x.abs().max()}
norms = st.sampled_from(sorted(NORMS))


@settings(deadline=None)
@given(clustered_products(), norms)
def test_the_convolutions_constant_bounds_and_is_attained(product, norm):
    x, _, _, w, _ = product
    constant = theory.conv_lipschitz(w, norm)
    size = NORMS[norm]
    assert size(x @ w) <= constant * size(x) * (1 + 1e-12)
    if norm == "rows":  # a single 1 picks the largest row
        worst = torch.zeros(1, len(w), dtype=torch.float64)
        worst[0, w.abs().sum(1).argmax()] = 1
    else:  # an image of signs adds the largest filter up
        worst = w[:, w.abs().sum(0).argmax()].sign()[None]
    assert size(worst @ w) == pytest.approx(constant * size(worst))


@settings(deadline=None)
@given(clustered_products(), norms)
def test_reuse_never_exceeds_its_constant(product, norm):
    x, quantised, _, w, length = product
    size = NORMS[norm]
    assert size(quantised @ w) <= theory.reuse_lipschitz(w, length, norm) * size(x) * (1 + 1e-12)


@settings(deadline=None)
@given(clustered_products(single_slice=True))
def test_for_one_slice_it_is_the_papers_kronecker_product(product):
    """Eq. 4.2: ‖W ⊗ Avgᵀ‖∞ ≤ ‖W‖∞, with equality as rows of Avg (of columns, in the paper's N×C form) sum to one."""
    _, _, labels, w, length = product
    kronecker = torch.kron(w, averaging(labels[:, 0]))
    assert float(NORMS["rows"](kronecker)) == pytest.approx(theory.reuse_lipschitz(w, length))
    assert theory.reuse_lipschitz(w, length) == theory.conv_lipschitz(w)


@settings(deadline=None)
@given(clustered_products())
def test_in_norm_entries_reuse_attains_the_convolutions_constant(product):
    _, _, labels, w, length = product
    worst = w[:, w.abs().sum(0).argmax()].sign()[None].expand(len(labels), -1)
    assert float((quantise(worst, labels, length) @ w).abs().max()) == pytest.approx(
        theory.reuse_lipschitz(w, length, "entries")
    )


def test_the_published_inequality_fails_for_two_slices_in_the_operator_norm():
    """A row of zeros whose slices share clusters with rows (1, 0) and rows (0, 1) gets nearly (1, 1)."""
    others = 9
    x = torch.tensor([[0.0, 0.0]] + [[1.0, 0.0]] * others + [[0.0, 1.0]] * others, dtype=torch.float64)
    labels = torch.stack([x[:, 1], x[:, 0]], 1).long()
    labels[0] = 0  # slice 0: with the rows (1, 0); slice 1: with the rows (0, 1)
    w = torch.ones(2, 1, dtype=torch.float64)
    amplification = float(NORMS["rows"](quantise(x, labels, 1) @ w) / NORMS["rows"](x))
    assert amplification == pytest.approx(2 * others / (others + 1))
    assert amplification > theory.conv_lipschitz(w)
    assert amplification < theory.reuse_lipschitz(w, 1) == 2


def test_across_a_hyperplane_no_constant_bounds():
    """Two pixels apart by a hair land in one cluster or in two: the output jumps by as much as the vectors differ."""

    def output(shift):
        x = torch.tensor([[[[1.0, 3.0, shift]]]], dtype=torch.float64)
        hashes = torch.ones(1, 1, 1, dtype=torch.float64)
        return reuse_conv2d(
            x, torch.ones(1, 1, 1, 1, dtype=torch.float64), None, hashes, 2 * torch.ones(1, 1).double(), Pattern(1, 1)
        )

    step = 1e-9
    jump = float((output(2 + step) - output(2 - step)).abs().max())
    assert jump > 1e6 * step * theory.reuse_lipschitz(torch.ones(1, 1), 1)


def test_nonsense_is_refused():
    with pytest.raises(PatternError, match="norm must be one of rows, entries"):
        theory.conv_lipschitz(torch.ones(2, 2), "columns")
    with pytest.raises(PatternError, match="longer than the matrix is wide"):
        theory.reuse_lipschitz(torch.ones(2, 2), 3)
