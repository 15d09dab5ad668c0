"""The error of one layer under vertical reuse: GR §4.1's bound, the corrected one, and the error itself.

X (N, K) is the im2col matrix, X̂ (N, K) has every vector replaced by its centroid, W is (K, M), slice k has columns
[kL, (k+1)L). All of it is computed in float64, in squared units of the layer's output, summed over N·M outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.errors import PatternError
from ostinato.theory.checks import check_matrix, slice_bounds

_CHUNK = 1 << 22  # numbers in a temporary: 32 MiB of float64


@dataclass(frozen=True)
class ReuseErrors:
    """What reuse does to the outputs Y = X·W of a layer.

    Attributes:
        published: GR §4.1's bound, which is none for several slices.
        corrected: a bound.
        measured: ‖(X − X̂)·W‖².
        variation: ‖Y − Ȳ‖², Y without its channels' means.
        r_t: redundancy ratio 1 − clusters/vectors, over the N·S vectors of X.
    """

    published: float
    corrected: float
    measured: float
    variation: float
    r_t: float

    @property
    def relative(self) -> float:
        """Measured error over the outputs' variation: what ranks patterns best. 0 if nothing errs, else inf for 0."""
        if self.measured == 0:
            return 0.0
        return self.measured / self.variation if self.variation else float("inf")


def cluster_spreads(errors: Tensor, labels: Tensor, length: int) -> Tensor:
    """Σ_i λ_max^(i)·m_i of each slice (GR §4.1): (S,) float64.

    λ_max^(i)·m_i is the largest eigenvalue of Σ e·eᵀ over the errors e = x − x̂ of cluster i. Where x̂ is the cluster's
    mean that is m_i times the largest eigenvalue of its covariance, as in the paper; in compiled scope, where x̂ is not
    the mean of the present vectors, it is what the bound needs.

    Args:
        errors: X − X̂ (N, K).
        labels: (N, S) integers; in each slice, rows with equal labels are one cluster.
        length: L, columns of a slice.

    Raises:
        PatternError: if shapes do not agree.
        ModelError: if an error is not finite.
    """
    check_matrix("X − X̂", errors)
    slices = slice_bounds(errors.shape[1], length)
    if tuple(labels.shape) != (errors.shape[0], len(slices)) or labels.is_floating_point():
        raise PatternError(
            f"labels must be integers of shape {(errors.shape[0], len(slices))}, one for each vector, "
            f"not {labels.dtype} of shape {tuple(labels.shape)}"
        )
    spreads = [
        _spread(errors[:, start:stop].double(), labels[:, number]) for number, (start, stop) in enumerate(slices)
    ]
    return torch.stack(spreads)


def _spread(errors: Tensor, labels: Tensor) -> Tensor:
    """Sum over clusters of the largest eigenvalue of Σ e·eᵀ, a run of clusters at a time."""
    _, index, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    rows = errors[torch.argsort(index)]
    index = torch.sort(index).values
    width = errors.shape[1]
    step = max(1, _CHUNK // width**2)
    ends = torch.cumsum(sizes, 0)
    total = errors.new_zeros(())
    for first in range(0, len(sizes), step):
        last = min(first + step, len(sizes))
        begin = int(ends[first - 1]) if first else 0
        scatter = errors.new_zeros(last - first, width, width)
        for start in range(begin, int(ends[last - 1]), step):
            part = slice(start, min(start + step, int(ends[last - 1])))
            scatter.index_add_(0, index[part] - first, rows[part].unsqueeze(2) * rows[part].unsqueeze(1))
        total = total + torch.linalg.eigvalsh(scatter)[:, -1].clamp(min=0).sum()
    return total


def published_bound(weights: Tensor, spreads: Tensor, length: int) -> float:
    """GR §4.1 as printed: ‖Y − Ŷ‖² ≤ Σ_k ‖W_k‖²·Σ_i λ_max^(i)·m_i, norms of Frobenius.

    It holds for one slice. For several it lacks the cross terms 2·⟨(X_j − X̂_j)·W_j, (X_k − X̂_k)·W_k⟩, and real errors
    exceed it: `corrected_bound` holds.

    Args:
        weights: W (K, M).
        spreads: (S,), see `cluster_spreads`.
        length: L.

    Raises:
        PatternError: if shapes do not agree.
        ModelError: if a weight is not finite.
    """
    return float(_slice_bounds(weights, spreads, length).sum())


def corrected_bound(weights: Tensor, spreads: Tensor, length: int) -> float:
    """‖Y − Ŷ‖² ≤ (Σ_k √(‖W_k‖²·Σ_i λ_max^(i)·m_i))²: the triangle inequality over slices; arguments as above."""
    return float(_slice_bounds(weights, spreads, length).sqrt().sum().square())


def _slice_bounds(weights: Tensor, spreads: Tensor, length: int) -> Tensor:
    """Bound of ‖(X_k − X̂_k)·W_k‖² of each slice: the term that both bounds combine."""
    check_matrix("W", weights)
    slices = slice_bounds(weights.shape[0], length)
    if tuple(spreads.shape) != (len(slices),):
        raise PatternError(f"spreads must have shape {(len(slices),)}, one for each slice, not {tuple(spreads.shape)}")
    energies = torch.stack([weights[start:stop].double().square().sum() for start, stop in slices])
    return energies * spreads.to(energies)


def measured_error(errors: Tensor, weights: Tensor) -> float:
    """‖(X − X̂)·W‖², the squared error of the outputs; of `errors` X − X̂ (N, K) and W (K, M).

    Any X̂ will do: any order, direction, granularity or clustering.

    Raises:
        PatternError: if shapes do not agree.
        ModelError: if a number is not finite.
    """
    _check_product(errors, weights)
    return float((errors.double() @ weights.double()).square().sum())


def output_variation(columns: Tensor, weights: Tensor) -> float:
    """‖Y − Ȳ‖² of Y = X·W with each channel's mean over the rows subtracted: what `measured_error` is compared with.

    Not ‖Y‖²: a constant offset of a channel is no information, and reuse keeps it exactly (in image scope the mean of
    every channel over every image is that of the convolution).

    Raises:
        PatternError: if shapes do not agree.
        ModelError: if a number is not finite.
    """
    _check_product(columns, weights)
    y = columns.double() @ weights.double()
    return float((y - y.mean(0)).square().sum())


def reuse_errors(columns: Tensor, quantised: Tensor, labels: Tensor, weights: Tensor, length: int) -> ReuseErrors:
    """Bounds, error and redundancy of one layer.

    Args:
        columns: X (N, K).
        quantised: X̂ (N, K).
        labels: (N, S), the clusters: see `cluster_spreads`.
        weights: W (K, M).
        length: L.

    Raises:
        PatternError: if shapes do not agree.
        ModelError: if a number is not finite.
    """
    if columns.shape != quantised.shape:
        raise PatternError(f"X {tuple(columns.shape)} and X̂ {tuple(quantised.shape)} must have one shape")
    variation = output_variation(columns, weights)
    errors = columns.double() - quantised.double()
    spreads = cluster_spreads(errors, labels, length)
    clusters = sum(len(torch.unique(labels[:, s])) for s in range(labels.shape[1]))
    return ReuseErrors(
        published=published_bound(weights, spreads, length),
        corrected=corrected_bound(weights, spreads, length),
        measured=measured_error(errors, weights),
        variation=variation,
        r_t=1.0 - clusters / labels.numel(),
    )


def _check_product(columns: Tensor, weights: Tensor) -> None:
    check_matrix("X", columns)
    check_matrix("W", weights)
    if columns.shape[1] != weights.shape[0]:
        raise PatternError(f"X {tuple(columns.shape)} and W {tuple(weights.shape)} cannot be multiplied")
