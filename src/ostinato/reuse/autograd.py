"""The forward and backward passes as autograd functions: reuse as a matrix product, and as vector quantisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.assignment import Assignment, Reuse, assign, slice_bounds
from ostinato.reuse.clustering import Clusters, sum_by_cluster
from ostinato.reuse.hash_gradient import Clustered, projection_gradient

# ctx is torch's FunctionCtx, which has no type that mypy could use; tensors saved on it keep this order.
_Saved = tuple[Tensor, ...]


def _save(ctx: Any, assignment: Assignment, reuse: Reuse, *tensors: Tensor) -> None:
    clusters = assignment.clusters
    ctx.reuse = reuse
    ctx.save_for_backward(
        assignment.projections, assignment.keys, clusters.index, clusters.keys, clusters.sizes,
        assignment.centroids, *tensors,
    )  # fmt: skip


def _load(ctx: Any) -> tuple[Assignment, _Saved]:
    projections, keys, index, cluster_keys, sizes, centroids, *tensors = ctx.saved_tensors
    return Assignment(projections, keys, Clusters(index, cluster_keys, sizes), centroids), tuple(tensors)


def _hash_gradients(
    ctx: Any, state: Clustered, hash_vectors: Tensor, input_gradient: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of hash vectors (G, L, H) and thresholds (G, H).

    Under TREC's relaxation the input has a gradient through its projections too, which is added in place to
    `input_gradient` (R, L). The other estimators hold ids fixed there: the derivative that exists almost everywhere.
    """
    reuse: Reuse = ctx.reuse
    through = input_gradient if reuse.pattern.gradient == "trec" else None
    wanted = ctx.needs_input_grad[-3] or ctx.needs_input_grad[-2] or through is not None
    if reuse.fixed or reuse.pattern.gradient == "frozen" or not wanted:
        return None, None
    active, gradient = projection_gradient(state, reuse.pattern)
    hashed, norms = state.rows[active], None
    if reuse.pattern.similarity == "angular":
        norms = torch.linalg.vector_norm(hashed, dim=1, keepdim=True).clamp_min(torch.finfo(hashed.dtype).tiny)
        hashed = hashed / norms
    vectors, thresholds = torch.zeros_like(hash_vectors), hash_vectors.new_zeros(state.groups, gradient.shape[1])
    group = active % state.groups
    order = torch.argsort(group, stable=True)
    ends = torch.cumsum(torch.bincount(group, minlength=state.groups), 0).tolist()
    for g, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        mine = order[start:end]
        vectors[g] = hashed[mine].t() @ gradient[mine]
        thresholds[g] = -gradient[mine].sum(0)
        if through is not None:
            pulled = gradient[mine] @ hash_vectors[g].t()
            if norms is not None:  # through x/‖x‖: what is along x does not count
                pulled = (pulled - hashed[mine] * (hashed[mine] * pulled).sum(1, keepdim=True)) / norms[mine]
            through.index_add_(0, active[mine], pulled)
    return vectors, thresholds


class ReuseMatmul(torch.autograd.Function):
    """Y = X̂·W with one product per centroid and slice (TREC §3.1), summed by an embedding bag.

    Arguments (B, P, S·b·L) blocks, (S·L, M) weights, hash vectors, thresholds, Reuse; gives (B, P·b, M). A centroid has
    b rows of L, and its product b rows of M.
    """

    @staticmethod
    def forward(
        ctx: Any, columns: Tensor, weights: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse
    ) -> Tensor:
        """Cluster, multiply each centroid once, sum the products that each row reuses."""
        batch, block, outputs = columns.shape[0], reuse.pattern.block_rows, weights.shape[1]
        slices = columns.shape[2] // hash_vectors.shape[1]
        length = hash_vectors.shape[1] // block
        assignment = assign(columns, hash_vectors, thresholds, reuse)
        clusters, centroids = assignment.clusters, assignment.centroids.view(-1, length)
        panels = batch if reuse.pattern.own_panels else 1
        ctx.bounds = [block * v for v in slice_bounds(clusters.keys, panels, slices, reuse.pattern.id_bits)]
        products = columns.new_empty(len(clusters) * block, outputs)
        for s, (start, end) in enumerate(zip(ctx.bounds[:-1], ctx.bounds[1:], strict=True)):
            torch.mm(centroids[start:end], weights[s * length : (s + 1) * length], out=products[start:end])
        _save(ctx, assignment, reuse, columns, weights, hash_vectors)
        summed = F.embedding_bag(clusters.index.view(-1, slices), products.view(len(clusters), -1), mode="sum")
        return summed.view(batch, -1, outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Gradients of columns, weights and hash; sums over clusters make them as cheap as the forward pass."""
        assignment, (columns, weights, hash_vectors) = _load(ctx)
        clusters, size = assignment.clusters, hash_vectors.shape[1]
        block, outputs, slices = ctx.reuse.pattern.block_rows, weights.shape[1], columns.shape[2] // size
        length = size // block
        outer = gradients[0].reshape(-1, block * outputs)
        index = clusters.index.view(-1, slices).t().contiguous()
        weight_gradient = torch.empty_like(weights)
        centroids = assignment.centroids.view(-1, length)
        centroid_gradients = torch.empty_like(centroids)
        for s, (start, end) in enumerate(zip(ctx.bounds[:-1], ctx.bounds[1:], strict=True)):
            panel = slice(s * length, (s + 1) * length)
            summed = sum_by_cluster(outer, index[s] - start // block, (end - start) // block).view(-1, outputs)
            torch.mm(summed, weights[panel].t(), out=centroid_gradients[start:end])
            weight_gradient[panel] = centroids[start:end].t() @ summed
        centroid_gradients = centroid_gradients.view(-1, size)
        through = _input_gradient(ctx, assignment, centroid_gradients)
        lookup = _row_gradients(outer, weights, slices, size, block)
        state = Clustered(columns.reshape(-1, size), assignment, centroid_gradients, lookup, hash_vectors.shape[0])
        vectors, thresholds = _hash_gradients(ctx, state, hash_vectors, through)
        return None if through is None else through.view_as(columns), weight_gradient, vectors, thresholds, None


class QuantiseVectors(torch.autograd.Function):
    """X̂: every vector replaced by its centroid.

    Arguments (B, P, S·L) columns, hash vectors, thresholds, Reuse; gives (B, P, S·L).
    """

    @staticmethod
    def forward(ctx: Any, columns: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse) -> Tensor:
        """Cluster, and give every vector its centroid."""
        assignment = assign(columns, hash_vectors, thresholds, reuse)
        _save(ctx, assignment, reuse, columns, hash_vectors)
        return assignment.centroids.index_select(0, assignment.clusters.index).view(columns.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Gradients of columns and hash."""
        assignment, (columns, hash_vectors) = _load(ctx)
        length = hash_vectors.shape[1]
        outer = gradients[0].reshape(-1, length)
        clusters = assignment.clusters
        centroid_gradients = sum_by_cluster(outer, clusters.index, len(clusters))
        through = _input_gradient(ctx, assignment, centroid_gradients)
        state = Clustered(
            columns.reshape(-1, length), assignment, centroid_gradients, lambda q: outer[q], hash_vectors.shape[0]
        )
        vectors, thresholds = _hash_gradients(ctx, state, hash_vectors, through)
        return None if through is None else through.view(columns.shape), vectors, thresholds, None


def _input_gradient(ctx: Any, assignment: Assignment, centroid_gradients: Tensor) -> Tensor | None:
    """(R, L): each vector has 1/n of its centroid's gradient (Eq. 3.5); none if centroids were looked up."""
    if not ctx.needs_input_grad[0]:
        return None
    clusters = assignment.clusters
    if ctx.reuse.fixed:
        return centroid_gradients.new_zeros(len(clusters.index), centroid_gradients.shape[1])
    share = centroid_gradients / clusters.sizes.to(centroid_gradients.dtype).unsqueeze(1)
    return share.index_select(0, clusters.index)


def _row_gradients(outer: Tensor, weights: Tensor, slices: int, size: int, block: int) -> Callable[[Tensor], Tensor]:
    """dLoss/d(recovered block) of a few blocks: their output gradients times their slice of W, a slice at a time."""
    length = size // block

    def lookup(rows: Tensor) -> Tensor:
        result = outer.new_empty(len(rows), size)
        of_slice = rows % slices
        order = torch.argsort(of_slice, stable=True)
        ends = torch.cumsum(torch.bincount(of_slice, minlength=slices), 0).tolist()
        for s, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            mine = order[start:end]
            taken = outer[rows[mine] // slices].view(-1, weights.shape[1])
            result[mine] = (taken @ weights[s * length : (s + 1) * length].t()).view(-1, size)
        return result

    return lookup
