"""Y = X̂·W and its gradients, in two forms of the same result.

By cluster: each centroid is multiplied with its slice of W once, and each row of Y sums the products that it reuses
(TREC §3.1). Conventional: X̂ is written out, a few slices at a time, and multiplied as it is. A product by cluster
saves 1/(1 − r_t) of the multiplications, but sums N·S rows of M numbers, and its matrices are small: where there are
more than half as many clusters as vectors it takes longer than the product it saves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.clustering import Slots
from ostinato.reuse.hash_sample import HashSample
from ostinato.reuse.layout import Layout

_HELD = 1 << 16  # numbers of products held at a time (a quarter MiB of float32), or an eighth of X's if that is more

_IMAGES = 16

_COLUMNS = 128  # of X̂ at a time, at least: a product of fewer is slow

FULL = 0.5
"""Slots over vectors of a slice above which the conventional form is taken."""

Gradients = tuple[Tensor, Tensor, Tensor | None]
"""Of W (as it lies), of the centroids (C + 1, b·L) with a row of zeros at the end, and of sampled vectors (A, b·L)."""


@dataclass(frozen=True)
class Filters:
    """W (M, A, D) of any strides, whose rows D hold the weights of some slices of L; its parts are copied when used.

    A copy of all of W, and one of its gradient, would be half of what a layer of few pixels and many outputs needs.
    """

    weights: Tensor
    length: int

    @property
    def outputs(self) -> int:
        """M."""
        return len(self.weights)

    @property
    def together(self) -> int:
        """Slices of one row of D: parts are multiples of it."""
        return self.weights.shape[2] // self.length

    def part(self, part: slice) -> Tensor:
        """(M, slices, L) of some slices."""
        return self._rows(self.weights, part).reshape(self.outputs, -1, self.length)

    def put(self, gradient: Tensor, part: slice, values: Tensor) -> None:
        """Write `values` (M, slices, L) to that part of `gradient`, a tensor as W is."""
        rows = self._rows(gradient, part)
        shape = self.outputs, rows.shape[1], self.together, self.length
        rows.view(shape).copy_(values.reshape(shape))

    def _rows(self, tensor: Tensor, part: slice) -> Tensor:
        return tensor[:, part.start // self.together : part.stop // self.together]

    def parts(self, limit: int, each: int) -> Iterator[slice]:
        """As many slices at a time as have `limit` numbers, if one has `each`."""
        return _steps(self.weights.shape[1] * self.together, limit, each, self.together)


def multiply_centroids(clusters: Slots, centroids: Tensor, filters: Filters, layout: Layout) -> Tensor:
    """Y (N, b·M) of centroids (C, b·L) in `clusters` and W."""
    form = _conventional if clusters.per_slice > FULL * layout.vectors_per_slice else _by_cluster
    return form(clusters, centroids, filters, layout)


def product_gradients(
    clusters: Slots, centroids: Tensor, filters: Filters, outer: Tensor, layout: Layout, sample: HashSample | None
) -> Gradients:
    """Gradients of `multiply_centroids`, in the form that it took.

    Args:
        clusters: ordered.
        centroids: (C, b·L).
        filters: W.
        outer: (N, b·M), the gradient of Y.
        layout: the layer's.
        sample: as many vectors of each slice, whose own gradients dLoss/d(value after recovery) are wanted, or None.
    """
    full = clusters.per_slice > FULL * layout.vectors_per_slice
    form = _conventional_gradients if full else _by_cluster_gradients
    return form(clusters, centroids, filters, outer, layout, sample)


def room_for_pulls(centroids: Tensor) -> Tensor:
    """(C + 1, D) for dLoss/dcentroid; the last row is zero, for places of the table without a vector."""
    pulls = torch.empty(len(centroids) + 1, centroids.shape[1], dtype=centroids.dtype, device=centroids.device)
    pulls[-1] = 0
    return pulls


def _by_cluster(clusters: Slots, centroids: Tensor, filters: Filters, layout: Layout) -> Tensor:
    length = filters.length
    width = centroids.shape[1] // length * filters.outputs
    by_slice = centroids.view(layout.slices, -1, length)
    recovered = None
    # One part may take as much as Y: two would need Y twice, for their sum.
    limit = max(_limit(layout, filters), layout.vectors_per_slice * width)
    for part in filters.parts(limit, clusters.per_slice * width):
        products = torch.bmm(by_slice[part], filters.part(part).permute(1, 2, 0)).view(-1, width)
        index = clusters.index[part]
        bags = (index - part.start * clusters.per_slice if part.start else index).t().contiguous()
        summed = F.embedding_bag(bags, products, mode="sum")
        recovered = summed if recovered is None else recovered.add_(summed)
        del products, summed  # not beside the next part's
    assert recovered is not None
    return recovered


def _by_cluster_gradients(
    clusters: Slots, centroids: Tensor, filters: Filters, outer: Tensor, layout: Layout, sample: HashSample | None
) -> Gradients:
    by_slice = centroids.view(layout.slices, -1, filters.length)
    gradient, pulls = torch.empty_like(filters.weights), room_for_pulls(centroids)
    pulls_by_slice = pulls[:-1].view_as(by_slice)
    own, each = None, max(clusters.per_slice, filters.length) * outer.shape[1]
    if sample is not None:
        own = outer.new_empty(layout.slices, len(sample.units) // layout.slices, centroids.shape[1])
    for part in filters.parts(_limit(layout, filters), each):
        matrices = filters.part(part).permute(1, 2, 0)
        summed = clusters.sums(outer, part=part).view(part.stop - part.start, -1, filters.outputs)
        pulls_by_slice[part] = _times_transposed(summed, matrices)
        filters.put(gradient, part, torch.bmm(by_slice[part].transpose(1, 2), summed).permute(2, 0, 1))
        del summed
        if sample is not None and own is not None:
            _own_gradients(own, part, sample.units, outer, matrices, _limit(layout, filters))
    return gradient, pulls, None if own is None else own.flatten(0, 1)


def _times_transposed(summed: Tensor, matrices: Tensor) -> Tensor:
    """(S, n, L) of `summed` (S, n, M) and `matrices` (S, L, M); in this order MKL takes half the time for few rows."""
    return torch.bmm(matrices, summed.transpose(1, 2)).transpose(1, 2)


def _own_gradients(
    own: Tensor, slices: slice, units: Tensor, outer: Tensor, matrices: Tensor, limit: int
) -> None:  # fmt: skip
    """Write to `slices` of `own` (S, n, b·L) the gradients `outer` (N, b·M) of `units` (S·n) times W (s, L, M)ᵀ."""
    own, units = own[slices], units.view(len(own), -1)[slices]
    for part in _steps(len(own), limit, units.shape[1] * outer.shape[1]):
        taken = outer.index_select(0, units[part].reshape(-1)).view(part.stop - part.start, -1, matrices.shape[2])
        own[part] = _times_transposed(taken, matrices[part]).reshape(len(taken), -1, own.shape[2])
        del taken


def _conventional(clusters: Slots, centroids: Tensor, filters: Filters, layout: Layout) -> Tensor:
    slices, length = layout.slices, filters.length
    units, rows = layout.vectors_per_slice, centroids.shape[1] // length
    y = centroids.new_empty(units, rows * filters.outputs)
    kernel = _kernel(filters.part(slice(0, slices)))
    for part in _steps(units, _held(layout, centroids), slices * centroids.shape[1], _IMAGES):
        columns = _images(_columns(clusters.index[:, part], centroids, length))
        y[part] = _rows(F.conv2d(columns, kernel)).reshape(-1, y.shape[1])
    return y


def _conventional_gradients(
    clusters: Slots, centroids: Tensor, filters: Filters, outer: Tensor, layout: Layout, sample: HashSample | None
) -> Gradients:
    slices, length, outputs = layout.slices, filters.length, filters.outputs
    size, units = centroids.shape[1], layout.vectors_per_slice
    gradient, pulls = torch.empty_like(filters.weights), room_for_pulls(centroids)
    gradients = _images(outer.view(-1, outputs))
    picked = None if sample is None else sample.units.view(slices, -1)
    own = []
    fewest = -(-_COLUMNS // (length * filters.together)) * filters.together
    for part in _steps(slices, _held(layout, centroids), units * size, fewest):
        taken, kernel = part.stop - part.start, _kernel(filters.part(part))
        columns = _images(_columns(clusters.index[part], centroids, length))
        weights = conv2d_weight(columns, kernel.shape, gradients)  # type: ignore[no-untyped-call]
        filters.put(gradient, part, weights.reshape(outputs, taken, length))
        columns = _rows(F.conv2d(gradients, kernel.transpose(0, 1)))
        vectors = columns.reshape(units, -1, taken, length).transpose(1, 2).reshape(-1, size)  # row n·taken + s
        base = torch.arange(0, units * taken, taken, dtype=clusters.index.dtype, device=outer.device)
        offset = torch.arange(taken, dtype=base.dtype, device=base.device)
        first, last = part.start * clusters.per_slice, part.stop * clusters.per_slice
        pulls[first:last] = clusters.sums(vectors, base, offset, part)
        if picked is not None:
            own.append(vectors.index_select(0, (picked[part] * taken + offset.unsqueeze(1)).reshape(-1)))
        del columns, vectors, weights
    return gradient, pulls, torch.cat(own) if own else None


def _columns(index: Tensor, centroids: Tensor, length: int) -> Tensor:
    """(n·b, slices·L) of X̂: every vector of `index` (slices, n) replaced by its centroid (C, b·L)."""
    vectors = centroids.index_select(0, index.t().reshape(-1))
    if vectors.shape[1] != length:  # b rows of L
        vectors = vectors.view(index.shape[1], len(index), -1, length).transpose(1, 2)
    return vectors.reshape(-1, len(index) * length)


def _images(rows: Tensor) -> Tensor:
    """(n, K) rows as a few images in channels-last memory, whose 1×1 convolution is the rows' product.

    On a CPU PyTorch's convolutions of 16 images and more come from oneDNN, its products from MKL, which leaves half of
    what an AMD processor can do unused.
    """
    images = _IMAGES if len(rows) % _IMAGES == 0 else 1
    return rows.view(images, 1, -1, rows.shape[1]).permute(0, 3, 1, 2)


def _rows(images: Tensor) -> Tensor:
    """Inverse of `_images`."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def _kernel(filters: Tensor) -> Tensor:
    """W (M, slices, L) as that of a 1×1 convolution, (M, slices·L, 1, 1)."""
    return filters.flatten(1)[:, :, None, None]


def _held(layout: Layout, centroids: Tensor) -> int:
    """Numbers of X̂ written out at a time: a quarter of X's, or half on an accelerator."""
    return max(_HELD // 2, layout.vectors * centroids.shape[1] // (2 if accelerated(centroids) else 4))


def _limit(layout: Layout, filters: Filters) -> int:
    """Numbers of products, and of W's gradient, held at a time: few parts are faster on an accelerator."""
    return max(_HELD, layout.vectors * filters.length // (2 if accelerated(filters.weights) else 8))


def _steps(count: int, limit: int, each: int, fewest: int = 1) -> Iterator[slice]:
    """As many of `count` at a time as have `limit` numbers, if one has `each`; a multiple of `fewest`."""
    step = max(1, limit // (each * fewest)) * fewest
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
