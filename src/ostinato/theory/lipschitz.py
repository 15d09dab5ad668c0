"""Lipschitz constants of a convolution and of its reuse (TREC §4.1, Eq. 4.1 and 4.2)."""

from __future__ import annotations

from torch import Tensor

from ostinato.errors import PatternError
from ostinato.theory.checks import check_matrix, slice_bounds

_NORMS = ("rows", "entries")


def conv_lipschitz(weights: Tensor, norm: str = "rows") -> float:
    """L(Conv) = ‖W‖∞, the Lipschitz constant of X → X·W (TREC Eq. 4.2); it is attained.

    The paper's "L∞-norm of the matrix space" can be read in two ways:

    * `rows`: the operator norm, ‖X‖∞ = the largest row sum of |X|. Then L = ‖W‖∞, the largest row sum of |W|, as
      printed.
    * `entries`: ‖X‖∞ = the largest |entry|, the norm of a perturbed image, which im2col leaves alone. Then L is
      the largest column sum of |W|: the ℓ1 norm of a filter.

    Args:
        weights: W (K, M).
        norm: `rows` or `entries`.

    Returns:
        In units of Y over units of X.

    Raises:
        PatternError: for another norm, or what is no matrix.
        ModelError: for weights that are not finite.
    """
    _check(weights, norm)
    return float(weights.double().abs().sum(1 if norm == "rows" else 0).max())


def reuse_lipschitz(weights: Tensor, length: int, norm: str = "rows") -> float:
    """An upper bound of L(TREC), clusters held fixed (TREC Eq. 4.2).

    Averaging within clusters does not enlarge a norm (rows of Avg sum to one), so that the paper bounds L(TREC) by
    L(Conv). In norm `entries` that holds however X is sliced (and is attained: equal rows are their own centroids).
    In norm `rows` it holds for one slice only: a row of X̂ takes its slices from centroids of different clusters, and
    may be larger than any row of X. There the bound is Σ_k ‖W_k‖∞ over the slices, which is ‖W‖∞ for one.

    No constant bounds TREC across a change of clusters: a vector that crosses a hyperplane makes the output jump.

    Args:
        weights: W (K, M).
        length: L, rows of W in a slice; K for one slice.
        norm: `rows` or `entries`, see `conv_lipschitz`.

    Raises:
        PatternError: for another norm, what is no matrix, or L above K.
        ModelError: for weights that are not finite.
    """
    _check(weights, norm)
    slices = slice_bounds(weights.shape[0], length)
    if norm == "entries":
        return conv_lipschitz(weights, norm)
    return sum(conv_lipschitz(weights[start:stop], norm) for start, stop in slices)


def _check(weights: Tensor, norm: str) -> None:
    if norm not in _NORMS:
        raise PatternError(f"norm must be one of {', '.join(_NORMS)}, not {norm!r}")
    check_matrix("W", weights)
