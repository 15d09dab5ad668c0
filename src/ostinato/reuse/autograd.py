"""The forward and backward passes as autograd functions: reuse as a matrix product, and as vector quantisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ostinato.reuse.assignment import Reuse, assign
from ostinato.reuse.backward import hash_gradient, input_gradient, learns, load, pull, save, without_autocast
from ostinato.reuse.layout import Layout
from ostinato.reuse.products import Filters, multiply_centroids, product_gradients, room_for_pulls


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
        learning = learns(ctx, 3, reuse)
        assignment = assign(layout.table(x.detach()), hash_vectors, thresholds, reuse, layout, learning)
        save(ctx, reuse, layout, x, assignment, weights, hash_vectors, thresholds)
        filters = Filters(weights.detach(), reuse.pattern.length)
        y = multiply_centroids(assignment.clusters, assignment.centroids, filters, layout)
        y = y.view(layout.panels, -1, len(weights))
        return (y if bias is None else y.add_(bias)).transpose(1, 2)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients of input, weights, bias and hash; sums over clusters make them as cheap as the forward pass."""
        assignment, (weights, hash_vectors, thresholds) = load(ctx)
        clusters, layout, sample = assignment.clusters.ordered(), ctx.layout, assignment.sample
        rows = gradient.transpose(1, 2).reshape(-1, len(weights))
        outer = rows.reshape(layout.vectors_per_slice, -1)  # a unit's b rows of M side by side
        wanted = None if ctx.reuse.pattern.gradient == "trec" else sample
        filters = Filters(weights, ctx.reuse.pattern.length)
        weight_gradient, pulls, own = product_gradients(clusters, assignment.centroids, filters, outer, layout, wanted)
        shift = rows.sum(0) if ctx.needs_input_grad[2] else None
        del rows, outer  # a copy of the outputs' size, where they came as images
        vectors, offsets, pulled = hash_gradient(ctx, assignment, pulls, own, hash_vectors, thresholds)
        del own
        through = input_gradient(ctx, assignment, pulls, pulled)
        return through, weight_gradient, shift, vectors, offsets, None, None


class QuantiseVectors(torch.autograd.Function):
    """X̂: every vector replaced by its centroid.

    Arguments (panels, units, S·D) as a plain `Layout` has them, hash vectors, thresholds, Reuse, Layout; gives as many.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, layout: Layout) -> Tensor:
        """Cluster, and give every vector its centroid."""
        learning = learns(ctx, 1, reuse)
        assignment = assign(layout.table(x.detach()), hash_vectors, thresholds, reuse, layout, learning)
        save(ctx, reuse, layout, x, assignment, hash_vectors, thresholds)
        return layout.gather(assignment.centroids, assignment.clusters.index).view(x.shape)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients of input and hash."""
        assignment, (hash_vectors, thresholds) = load(ctx)
        if ctx.reuse.fixed:
            return torch.zeros_like(gradient), None, None, None, None
        layout: Layout = ctx.layout
        pulls = room_for_pulls(assignment.centroids)
        own = pull(pulls, gradient.reshape(layout.rows, -1), ctx, assignment)
        vectors, offsets, pulled = hash_gradient(ctx, assignment, pulls, own, hash_vectors, thresholds)
        del own
        return input_gradient(ctx, assignment, pulls, pulled), vectors, offsets, None, None


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
