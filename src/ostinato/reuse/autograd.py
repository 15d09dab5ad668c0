"""The forward and backward passes as autograd functions: reuse as a matrix product, and as vector quantisation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ostinato.reuse.assignment import Assignment, Reuse, assign
from ostinato.reuse.by_slice import BySlice
from ostinato.reuse.clustering import Slots
from ostinato.reuse.hash_gradient import Clustered, hash_gradients
from ostinato.reuse.hash_sample import HashSample
from ostinato.reuse.layout import Layout, small_ints
from ostinato.reuse.products import Filters, multiply_centroids, product_gradients, room_for_pulls
from ostinato.reuse.synchronise import sum_over_processes


def no_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Without autocast inside; entering that where there is none takes as long as a small layer's sums."""
    return torch.autocast(device_type, enabled=False) if torch.is_autocast_enabled(device_type) else nullcontext()


def _without_autocast(backward: Callable[..., Any]) -> Callable[..., Any]:
    """`backward` in the precision of its tensors, also where it is called under autocast, as the forward pass is."""

    @wraps(backward)
    def run(ctx: Any, gradient: Tensor) -> Any:
        with no_autocast(gradient.device.type):
            return backward(ctx, gradient)

    return run


class ReuseMatmul(torch.autograd.Function):
    """Y = X̂·W with one product per centroid and slice (TREC §3.1), summed by an embedding bag.

    Arguments input of the layout, (M, A, D) weights whose rows D are some slices of L each, (M,) bias or None, hash
    vectors, thresholds, Reuse, Layout; gives (panels, M, units·b), as images are. A centroid has b rows of L, and its
    product b rows of M.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weights: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
        reuse: Reuse, layout: Layout,
    ) -> Tensor:  # fmt: skip
        """Cluster, multiply each centroid once, sum the products that each row reuses."""
        learns = _learns(ctx, 3, reuse)
        assignment = assign(layout.table(x.detach()), hash_vectors, thresholds, reuse, layout, learns)
        _save(ctx, reuse, layout, x, assignment, weights, hash_vectors, thresholds)
        filters = Filters(weights.detach(), reuse.pattern.length)
        y = multiply_centroids(assignment.clusters, assignment.centroids, filters, layout)
        y = y.view(layout.panels, -1, len(weights))
        return (y if bias is None else y.add_(bias)).transpose(1, 2)

    @staticmethod
    @_without_autocast
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients of input, weights, bias and hash; sums over clusters make them as cheap as the forward pass."""
        assignment, (weights, hash_vectors, thresholds) = _load(ctx)
        clusters, layout, sample = assignment.clusters.ordered(), ctx.layout, assignment.sample
        rows = gradient.transpose(1, 2).reshape(-1, len(weights))
        outer = rows.reshape(layout.vectors_per_slice, -1)  # a unit's b rows of M side by side
        wanted = None if ctx.reuse.pattern.gradient == "trec" else sample
        filters = Filters(weights, ctx.reuse.pattern.length)
        weight_gradient, pulls, own = product_gradients(clusters, assignment.centroids, filters, outer, layout, wanted)
        shift = rows.sum(0) if ctx.needs_input_grad[2] else None
        del rows, outer  # a copy of the outputs' size, where they came as images
        vectors, offsets, pulled = _hash_gradient(ctx, assignment, pulls, own, hash_vectors, thresholds)
        del own
        through = _input_gradient(ctx, assignment, pulls, pulled)
        return through, weight_gradient, shift, vectors, offsets, None, None


class QuantiseVectors(torch.autograd.Function):
    """X̂: every vector replaced by its centroid.

    Arguments (panels, units, S·D) as a plain `Layout` has them, hash vectors, thresholds, Reuse, Layout; gives as many.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, layout: Layout) -> Tensor:
        """Cluster, and give every vector its centroid."""
        learns = _learns(ctx, 1, reuse)
        assignment = assign(layout.table(x.detach()), hash_vectors, thresholds, reuse, layout, learns)
        _save(ctx, reuse, layout, x, assignment, hash_vectors, thresholds)
        return layout.gather(assignment.centroids, assignment.clusters.index).view(x.shape)

    @staticmethod
    @_without_autocast
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients of input and hash."""
        assignment, (hash_vectors, thresholds) = _load(ctx)
        if ctx.reuse.fixed:
            return torch.zeros_like(gradient), None, None, None, None
        layout: Layout = ctx.layout
        outer = gradient.reshape(layout.rows, -1)
        base, offset = layout.base(outer.device), layout.offset(outer.device)
        pulls, sample = room_for_pulls(assignment.centroids), assignment.sample
        pulls[:-1] = assignment.clusters.sums(outer, base, offset)
        own = None
        if sample is not None and ctx.reuse.pattern.gradient != "trec":
            own = outer.index_select(0, base[sample.units] + offset[sample.slices])
        vectors, offsets, pulled = _hash_gradient(ctx, assignment, pulls, own, hash_vectors, thresholds)
        del own
        return _input_gradient(ctx, assignment, pulls, pulled), vectors, offsets, None, None


def quantise(columns: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse) -> Tensor:
    """`QuantiseVectors` of (B, P, S·D) columns; gives (B, P, S·D)."""
    layout = Layout(columns.shape[0], columns.shape[1], columns.shape[2] // hash_vectors.shape[1])
    quantised: Tensor = QuantiseVectors.apply(  # type: ignore[no-untyped-call]
        columns, hash_vectors, thresholds, reuse, layout
    )
    return quantised


def multiply(columns: Tensor, weights: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse) -> Tensor:
    """`ReuseMatmul` of (B, P, S·b·L) columns; gives (B, P·b, M)."""
    layout = Layout(columns.shape[0], columns.shape[1], columns.shape[2] // hash_vectors.shape[1])
    by_slice = weights.view(len(weights), layout.slices, -1)
    y: Tensor = ReuseMatmul.apply(  # type: ignore[no-untyped-call]
        columns, by_slice, None, hash_vectors, thresholds, reuse, layout
    )
    return y.transpose(1, 2)


def _learns(ctx: Any, position: int, reuse: Reuse) -> bool:
    """Whether a hash gradient will be asked for; the hash's arguments begin at `position`.

    Under TREC's relaxation the input has one through its projections, too.
    """
    gradient = reuse.pattern.gradient
    wanted = ctx.needs_input_grad[position] or ctx.needs_input_grad[position + 1]
    return not reuse.fixed and gradient != "frozen" and (wanted or (gradient == "trec" and ctx.needs_input_grad[0]))


def _save(ctx: Any, reuse: Reuse, layout: Layout, x: Tensor, assignment: Assignment, *tensors: Tensor) -> None:
    """Keep what the backward pass needs, in as few bytes as that takes."""
    clusters, sample = assignment.clusters, assignment.sample
    ctx.reuse, ctx.layout, ctx.possible = reuse, layout, clusters.possible
    ctx.weight = None if sample is None else sample.weight
    pixels_last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    ctx.shape, ctx.format = x.shape, torch.channels_last if pixels_last else torch.contiguous_format
    drawn = (None,) * 3 if sample is None else (sample.slices, sample.units, sample.rows)
    sizes = clusters.sizes.to(small_ints(layout.vectors))
    keys = clusters.keys
    if keys is not None and clusters.possible:
        keys = keys.to(small_ints(clusters.possible))
    ctx.save_for_backward(
        clusters.index, sizes, keys, clusters.members, clusters.starts, assignment.centroids, *drawn, *tensors
    )


def _load(ctx: Any) -> tuple[Assignment, tuple[Tensor, ...]]:
    index, sizes, keys, members, starts, centroids, *rest = ctx.saved_tensors
    sample = None if ctx.weight is None else HashSample(rest[0], rest[1], rest[2], ctx.weight)
    clusters = Slots(index, sizes, keys, members, starts, ctx.possible)
    return Assignment(clusters, centroids, sample), tuple(rest[3:])


def _hash_gradient(
    ctx: Any, assignment: Assignment, pulls: Tensor, own: Tensor | None, hash_vectors: Tensor, thresholds: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    """Gradients of the hash vectors and thresholds, and of the sampled vectors under TREC's relaxation.

    Args:
        ctx: of the forward pass.
        assignment: its clusters.
        pulls: (C + 1, D), dLoss/dcentroid and a row of zeros; with those of all processes afterwards.
        own: (A, D), dLoss/d(a vector's value after recovery) of the sampled vectors; None if not wanted.
        hash_vectors: (G, D, H).
        thresholds: (G, H).
    """
    sample = assignment.sample
    if ctx.reuse.synchronised:
        sum_over_processes(pulls)  # of the losses of all processes: their vectors share these centroids
    if sample is None:
        return None, None, None
    if not len(sample.slices):  # no vector is near a hyperplane
        return torch.zeros_like(hash_vectors), torch.zeros_like(thresholds), None
    make = BySlice.of if ctx.reuse.pattern.gradient == "trec" else BySlice.even
    places = make(sample.slices, ctx.layout.slices)
    row_gradients = pulls.new_empty(0) if own is None else own
    state = Clustered(sample, places, assignment.clusters, assignment.centroids, pulls[:-1], row_gradients)
    return hash_gradients(state, hash_vectors, thresholds, ctx.reuse.pattern)


def _input_gradient(ctx: Any, assignment: Assignment, pulls: Tensor, pulled: Tensor | None) -> Tensor | None:
    """Each vector has 1/n of its centroid's gradient (Eq. 3.5), none if centroids were looked up; overwrites `pulls`.

    `pulled` (A, D) of the sampled vectors is added.
    """
    if not ctx.needs_input_grad[0]:
        return None
    room = torch.empty(ctx.shape, dtype=pulls.dtype, device=pulls.device, memory_format=ctx.format)
    if ctx.reuse.fixed:
        return room.zero_()
    layout, clusters, sample, added = ctx.layout, assignment.clusters, assignment.sample, None
    pulls[:-1] /= clusters.sizes.clamp_min(1).to(pulls.dtype).unsqueeze(1)
    if sample is not None and pulled is not None:
        rows = layout.base(pulls.device)[sample.units] + layout.offset(pulls.device)[sample.slices]
        added = rows, pulled
    gradient: Tensor = layout.input_gradient(room, pulls, clusters.index, added)
    return gradient
