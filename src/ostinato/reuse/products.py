"""Y = X̂·W and its gradients, in two forms of the same result.

By cluster: each centroid is multiplied with its slice of W once, and each row of Y sums the products that it reuses
(TREC §3.1). Conventional: X̂ is written out, a few slices at a time, and multiplied as it is. A product by cluster
saves 1/(1 − r_t) of the multiplications, but sums N·S rows of M numbers, and its matrices are small: where there are
more than half as many clusters as vectors it takes longer than the product it saves.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.clustering import Slots
from ostinato.reuse.hash_sample import HashSample
from ostinato.reuse.layout import Layout

_HELD = 1 << 18  # numbers of a product held at a time (1 MiB of float32), or an eighth of X's if that is more

_COLUMNS = 128  # of X̂ at a time, at least: a product of fewer is slow

FULL = 0.5
"""Slots over vectors of a slice above which the conventional form is taken."""

Gradients = tuple[Tensor, Tensor, Tensor | None]
"""Of W (S·L, M), of the centroids (C + 1, b·L) with a row of zeros at the end, and of the sampled vectors (A, b·L)."""


def multiply_centroids(clusters: Slots, centroids: Tensor, weights: Tensor, layout: Layout) -> Tensor:
    """Y (N, b·M) of centroids (C, b·L) in `clusters` and W (S·L, M)."""
    matrices = weights.view(layout.slices, -1, weights.shape[1])
    if clusters.per_slice > FULL * layout.vectors_per_slice:
        return _conventional(clusters, centroids, matrices, layout)
    return _by_cluster(clusters, centroids, matrices, layout)


def product_gradients(
    clusters: Slots, centroids: Tensor, weights: Tensor, outer: Tensor, layout: Layout, sample: HashSample | None
) -> Gradients:
    """Gradients of `multiply_centroids`, in the form that it took.

    Args:
        clusters: ordered.
        centroids: (C, b·L).
        weights: (S·L, M).
        outer: (N, b·M), the gradient of Y.
        layout: the layer's.
        sample: as many vectors of each slice, whose own gradients dLoss/d(value after recovery) are wanted, or None.
    """
    matrices = weights.view(layout.slices, -1, weights.shape[1])
    full = clusters.per_slice > FULL * layout.vectors_per_slice
    form = _conventional_gradients if full else _by_cluster_gradients
    return form(clusters, centroids, matrices, outer, layout, sample)


def room_for_pulls(centroids: Tensor) -> Tensor:
    """(C + 1, D) for dLoss/dcentroid; the last row is zero, for places of the table without a vector."""
    pulls = torch.empty(len(centroids) + 1, centroids.shape[1], dtype=centroids.dtype, device=centroids.device)
    pulls[-1] = 0
    return pulls


def _by_cluster(clusters: Slots, centroids: Tensor, matrices: Tensor, layout: Layout) -> Tensor:
    length, outputs = matrices.shape[1:]
    width = centroids.shape[1] // length * outputs
    by_slice = centroids.view(layout.slices, -1, length)
    recovered = centroids.new_zeros(layout.vectors_per_slice, width)
    for part in _parts(clusters, layout, width, centroids.shape[1]):
        products = torch.bmm(by_slice[part], matrices[part]).view(-1, width)
        bags = (clusters.index[part] - part.start * clusters.per_slice).t().contiguous()
        recovered += F.embedding_bag(bags, products, mode="sum")
    return recovered


def _by_cluster_gradients(
    clusters: Slots, centroids: Tensor, matrices: Tensor, outer: Tensor, layout: Layout, sample: HashSample | None
) -> Gradients:
    length, outputs = matrices.shape[1:]
    by_slice = centroids.view(layout.slices, -1, length)
    weights, pulls = torch.empty_like(matrices), room_for_pulls(centroids)
    pulls_by_slice = pulls[:-1].view_as(by_slice)
    for part in _parts(clusters, layout, outer.shape[1], centroids.shape[1]):
        summed = clusters.sums(outer, part=part).view(part.stop - part.start, -1, outputs)
        torch.bmm(summed, matrices[part].transpose(1, 2), out=pulls_by_slice[part])
        torch.bmm(by_slice[part].transpose(1, 2), summed, out=weights[part])
    own = None if sample is None else _own_gradients(sample, outer, matrices)
    return weights.view(-1, outputs), pulls, own


def _own_gradients(sample: HashSample, outer: Tensor, matrices: Tensor) -> Tensor:
    """(A, b·L) gradients `outer` (N, b·M) of the sampled units, times their slices of W (S, L, M)."""
    slices, length, outputs = matrices.shape
    units = sample.units.view(slices, -1)
    size = outer.shape[1] // outputs * length
    own = outer.new_empty(slices, units.shape[1], size)
    for part in _steps(slices, _HELD, units.shape[1] * outer.shape[1]):
        taken = outer.index_select(0, units[part].reshape(-1)).view(part.stop - part.start, -1, outputs)
        torch.bmm(taken, matrices[part].transpose(1, 2), out=own[part].view(len(taken), -1, length))
    return own.view(-1, size)


def _conventional(clusters: Slots, centroids: Tensor, matrices: Tensor, layout: Layout) -> Tensor:
    slices, length, outputs = matrices.shape
    rows = layout.vectors_per_slice * (centroids.shape[1] // length)
    y = centroids.new_zeros(rows, outputs)
    for part in _column_parts(layout, centroids.shape[1], length):
        y.addmm_(_columns(clusters, centroids, part, length), matrices[part].reshape(-1, outputs))
    return y.view(layout.vectors_per_slice, -1)


def _conventional_gradients(
    clusters: Slots, centroids: Tensor, matrices: Tensor, outer: Tensor, layout: Layout, sample: HashSample | None
) -> Gradients:
    slices, length, outputs = matrices.shape
    size, units = centroids.shape[1], layout.vectors_per_slice
    weights, pulls = torch.empty_like(matrices), room_for_pulls(centroids)
    rows = outer.view(-1, outputs)
    picked = None if sample is None else sample.units.view(slices, -1)
    own = []
    for part in _column_parts(layout, size, length):
        taken = part.stop - part.start
        torch.mm(_columns(clusters, centroids, part, length).t(), rows, out=weights[part].view(-1, outputs))
        columns = torch.mm(rows, matrices[part].reshape(-1, outputs).t())
        vectors = columns.view(units, -1, taken, length).transpose(1, 2).reshape(-1, size)  # row n·taken + s
        base = torch.arange(0, units * taken, taken, dtype=clusters.index.dtype, device=outer.device)
        offset = base.new_tensor(range(taken))
        first, last = part.start * clusters.per_slice, part.stop * clusters.per_slice
        pulls[first:last] = clusters.sums(vectors, base, offset, part)
        if picked is not None:
            own.append(vectors.index_select(0, (picked[part] * taken + offset.unsqueeze(1)).reshape(-1)))
    return weights.view(-1, outputs), pulls, torch.cat(own) if own else None


def _columns(clusters: Slots, centroids: Tensor, part: slice, length: int) -> Tensor:
    """(N·b, L·slices) of X̂: every vector of the slices in `part` replaced by its centroid."""
    index = clusters.index[part]
    vectors = centroids.index_select(0, index.t().reshape(-1))
    if vectors.shape[1] != length:  # b rows of L
        vectors = vectors.view(index.shape[1], len(index), -1, length).transpose(1, 2)
    return vectors.reshape(-1, len(index) * length)


def _column_parts(layout: Layout, size: int, length: int) -> Iterator[slice]:
    """Slices at a time, so that their columns do not need more memory than a quarter of X."""
    limit = max(_HELD // 4, layout.vectors * size // 4)
    each = layout.vectors_per_slice * size
    return _steps(layout.slices, max(limit, -(-_COLUMNS // length) * each), each)


def _parts(clusters: Slots, layout: Layout, width: int, size: int) -> Iterator[slice]:
    """Slices at a time, so that their products, `width` numbers for a slot, do not need more memory than X."""
    limit = max(_HELD, layout.vectors * size // 8)
    return _steps(layout.slices, limit, clusters.per_slice * width)


def _steps(slices: int, limit: int, each: int) -> Iterator[slice]:
    """As many slices at a time as have `limit` numbers, if a slice has `each`; at least one."""
    step = max(1, limit // each)
    return (slice(start, min(start + step, slices)) for start in range(0, slices, step))
