"""Hard ids that learn: forward as they are, backward as if every bit were drawn, likelier for its side of the plane.

With the bits of a vector's path drawn, each with probability sigmoid(slope · projection), the probability of a leaf is
a product of them, and the layer's expected result is differentiable in hash vectors, thresholds and input alike. Its
derivative is taken at the ids that the forward pass has (a straight-through estimator; Jang et al., ICLR 2017, §2.2,
for one choice among many). What a device computes is what was trained, and the layers before learn which side of a
plane is better. docs/method.md compares it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ostinato.reuse.assignment import Reuse, block_ids
from ostinato.reuse.autograd import no_autocast
from ostinato.reuse.hashing import unit_length
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.synchronise import sum_over_processes
from ostinato.reuse.units import unit_vectors, update_running

_SMALLEST = 1e-12  # deviation of projections below which a plane does not cut


def soft_units(pixels: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse) -> tuple[Tensor, Tensor]:
    """Ids as unit vectors that pass a gradient on, and the batch's centroids; updates running centroids and statistics.

    Args:
        pixels: (B, P, S·L).
        hash_vectors: (S, L, planes).
        thresholds: (S, planes).
        reuse: what to do; its pattern is `pixelwise`.

    Returns:
        Unit vectors (B, S, P, 2^H) and centroids (S, 2^H, L), which have no gradient: x̂ is their product.
    """
    pattern = reuse.pattern
    rows = pixels.view(*pixels.shape[:2], -1, pattern.length).transpose(1, 2)
    compared = unit_length(rows.flatten(0, 2)).view_as(rows) if pattern.similarity == "angular" else rows
    with torch.no_grad():
        ids, _ = block_ids(pixels, hash_vectors, thresholds, pattern)
        hard = unit_vectors(ids.view(*pixels.shape[:2], -1), pattern.ids, pixels.dtype).transpose(1, 2)
        sizes, centroids = _means(hard, rows, reuse)
        update_running(reuse, sizes, centroids)
        slopes = _slopes(compared, hash_vectors, thresholds, pattern)
    if reuse.stats is not None:
        reuse.stats.add(ids.numel(), int((sizes > 0).sum()), 0)
    units: Tensor = _SoftIds.apply(  # type: ignore[no-untyped-call]
        compared, hash_vectors, thresholds, hard, slopes, pattern.clustering == "tree"
    )
    return units, centroids


def leaf_probabilities(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor, slopes: Tensor, tree: bool) -> Tensor:
    """(B, S, P, 2^H) of `rows` (B, S, P, L) under the slices' planes, whose `slopes` are (S, planes)."""
    projections = torch.matmul(rows, hash_vectors) - thresholds.unsqueeze(1)
    above = torch.sigmoid(projections * slopes.unsqueeze(1)) * (slopes > 0).to(rows.dtype).unsqueeze(1)
    planes = hash_vectors.shape[2]
    leaves = rows.new_ones(*rows.shape[:3], 1)
    for level in range((planes + 1).bit_length() - 1 if tree else planes):
        nodes = slice((1 << level) - 1, (2 << level) - 1) if tree else slice(level, level + 1)
        upper = leaves * above[..., nodes]
        leaves = torch.stack([leaves - upper, upper], -1).flatten(3)
    return leaves


class _SoftIds(torch.autograd.Function):
    """Unit vectors as they are, with the gradient of `leaf_probabilities`, which only the backward pass computes."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, hash_vectors: Tensor, thresholds: Tensor, hard: Tensor, slopes: Tensor, tree: bool
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(rows, hash_vectors, thresholds, slopes)
        ctx.tree = tree
        return hard.view_as(hard)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        *given, slopes = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        rows, hash_vectors, thresholds = (t.detach().requires_grad_(w) for t, w in zip(given, wanted, strict=True))
        with torch.enable_grad(), no_autocast(gradient.device.type):
            leaves = leaf_probabilities(rows, hash_vectors, thresholds, slopes, ctx.tree)
        inputs = [t for t in (rows, hash_vectors, thresholds) if t.requires_grad]
        found = iter(torch.autograd.grad(leaves, inputs, gradient))
        return *(next(found) if w else None for w in wanted), None, None, None


def _means(hard: Tensor, rows: Tensor, reuse: Reuse) -> tuple[Tensor, Tensor]:
    """Sizes (S, 2^H) and centroids (S, 2^H, L) of the batch, or of all processes' batches; zeros where no vector is."""
    sizes = hard.sum((0, 2))
    sums = torch.matmul(hard.transpose(2, 3), rows).sum(0)  # image by image, see `quantise_by_units`
    if reuse.synchronised:
        both = sum_over_processes(torch.cat([sums, sizes.unsqueeze(2)], 2))
        sums, sizes = both[..., :-1], both[..., -1]
    return sizes, sums / sizes.clamp_min(1.0).unsqueeze(2)


def _slopes(rows: Tensor, hash_vectors: Tensor, thresholds: Tensor, pattern: Pattern) -> Tensor:
    """(S, planes) slopes of the sigmoids: `soft_slope` over the deviation of a plane's projections.

    Planes of a tree are fitted so that those of a node's own vectors have a deviation of one. A plane that does not cut
    has slope 0.
    """
    if pattern.clustering == "tree":
        return pattern.soft_slope * (hash_vectors != 0).any(1).to(rows.dtype)
    deviation = (torch.matmul(rows, hash_vectors) - thresholds.unsqueeze(1)).transpose(0, 1).flatten(1, 2).std(1)
    return torch.where(deviation > _SMALLEST, pattern.soft_slope / deviation.clamp_min(_SMALLEST), 0.0)
