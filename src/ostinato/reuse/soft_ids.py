"""Hard ids that learn: forward as they are, backward as if every bit were drawn, likelier for its side of the plane.

With the bits of a vector's path drawn, each with probability sigmoid(slope · projection), the probability of a leaf is
a product of them, and the layer's expected result is differentiable in hash vectors, thresholds and input alike. Its
derivative is taken at the ids that the forward pass has (a straight-through estimator; Jang et al., ICLR 2017, §2.2,
for one choice among many). What a device computes is what was trained, and the layers before learn which side of a
plane is better. docs/method.md compares it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ostinato.reuse.assignment import Assignment, Reuse, assign
from ostinato.reuse.backward import no_autocast
from ostinato.reuse.hashing import unit_length, unit_vectors
from ostinato.reuse.layout import Layout, image_parts
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.stacked import Size

_HELD = 1 << 18  # numbers of a temporary tensor of the backward pass: they stay in the cache
NEVER = 1e4
"""The logit of going below a plane that does not cut."""

_SMALLEST = 1e-12  # deviation of projections below which a plane does not cut


def soft_quantise(
    image: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, units: torch.dtype | None, padding: Size
) -> tuple[Tensor, Tensor | None]:
    """`quantise` of pixels, and their ids as unit vectors; both pass gradients on. Updates centroids and statistics.

    Args:
        image: (B, height, width, S·L).
        hash_vectors: (S, L, planes).
        thresholds: (S, planes).
        reuse: what to do; its pattern is `pixelwise`.
        units: precision of the unit vectors, None if they are not wanted.
        padding: rows and columns of zeros around each image, to whose pixels no gradient is passed on.

    Returns:
        x̂ (B, P, S·L), of the batch's centroids, which have no gradient, and unit vectors (B, P, S·2^H).
    """
    pattern = reuse.pattern
    pixels, size = image.flatten(1, 2), (image.shape[1], image.shape[2])
    rows = pixels.view(*pixels.shape[:2], -1, pattern.length)
    compared = unit_length(rows.flatten(0, 2)).view_as(rows) if pattern.similarity == "angular" else rows
    layout = Layout(*rows.shape[:3])
    with torch.no_grad():
        assignment = assign(layout.table(pixels), hash_vectors, thresholds, reuse, layout)
        projections = None
        if pattern.clustering != "tree":
            by_slice = compared.flatten(0, 1).transpose(0, 1)
            projections = torch.baddbmm(thresholds.unsqueeze(1), by_slice, hash_vectors, beta=-1)
        slopes = soft_slopes(hash_vectors, projections, pattern)
    how = _How(assignment, layout, slopes, pattern.clustering == "tree", units, size, padding)
    made: tuple[Tensor, Tensor | None] = _SoftQuantise.apply(  # type: ignore[no-untyped-call]
        compared, hash_vectors, thresholds, how
    )
    return made


@dataclass(frozen=True)
class _How:
    """What the forward pass found: clusters whose slots are ids, where rows lie, slopes (S, planes) of the sigmoids."""

    assignment: Assignment
    layout: Layout
    slopes: Tensor
    tree: bool
    units: torch.dtype | None
    size: Size
    padding: Size

    def inside(self, pixels: Tensor) -> Tensor:
        """A view (B, H, W, S, D) of pixels (B, P, S, D) without the padding."""
        (height, width), (ph, pw) = self.size, self.padding
        images = pixels.view(len(pixels), height, width, *pixels.shape[2:])
        return images[:, ph : height - ph, pw : width - pw]

    def around(self, pixels: Tensor) -> Tensor:
        """(S, D, 1) sums of pixels (B, P, S, D) over the padding of all images."""
        return (pixels.sum((0, 1)) - self.inside(pixels).sum((0, 1, 2))).unsqueeze(2)

    @property
    def centroids(self) -> Tensor:
        """(S, 2^H, L)."""
        centroids = self.assignment.centroids
        return centroids.view(self.layout.slices, -1, centroids.shape[1])


class _SoftQuantise(torch.autograd.Function):
    """Arguments (B, P, S, L) rows, hash vectors, thresholds, `_How`; gives x̂ (B, P, S·L) and unit vectors or None."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, hash_vectors: Tensor, thresholds: Tensor, how: _How
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """Every block's centroid, and its id written out."""
        ctx.save_for_backward(rows, hash_vectors, thresholds)
        ctx.how = how
        index, count = how.assignment.clusters.index, how.centroids.shape[1]
        quantised = how.layout.gather(how.assignment.centroids, index).view(*rows.shape[:2], -1)
        units = None
        if how.units is not None:
            ids = index.t() - torch.arange(0, count * len(index), count, device=index.device)
            units = unit_vectors(ids, count, how.units).view(*rows.shape[:2], -1)
        return quantised, units

    @staticmethod
    def backward(ctx: Any, quantised: Tensor, units: Tensor | None) -> Any:
        """What each leaf would be worth, and so what each projection is; a few images at a time, from the cache."""
        how: _How = ctx.how
        rows, hash_vectors, thresholds = ctx.saved_tensors
        through = torch.zeros_like(rows) if ctx.needs_input_grad[0] else None
        vectors, offsets = torch.zeros_like(hash_vectors), torch.zeros_like(thresholds)
        upward, by_leaf = quantised.reshape(rows.shape), None
        if units is not None:
            by_leaf = units.reshape(*rows.shape[:3], -1)
        planes = hash_vectors * how.slopes.unsqueeze(1)
        shifts = (thresholds * how.slopes).masked_fill_(how.slopes == 0, NEVER).unsqueeze(2)
        with no_autocast(quantised.device.type):
            if any(how.padding):  # all of its pixels are zeros, and so as likely to come to each leaf as one is
                worth = torch.matmul(how.centroids, how.around(upward)).unsqueeze(0)
                if by_leaf is not None:
                    worth += how.around(by_leaf.to(worth.dtype))
                offsets -= logit_gradient(-shifts.unsqueeze(0), worth, how.tree).sum((0, 3))
            each = how.inside(rows)[0, ..., 0].numel() * how.centroids.shape[1]
            for part in image_parts(len(rows), each, min(_HELD, rows.numel())):
                worth = torch.matmul(how.centroids, _pixels_last(how.inside(upward[part])))  # (B, S, 2^H, P)
                if by_leaf is not None:
                    worth += _pixels_last(how.inside(by_leaf[part]))
                values = _pixels_last(how.inside(rows[part]))  # all that follows runs over pixels
                logits = torch.matmul(planes.transpose(1, 2), values).sub_(shifts)
                pull = logit_gradient(logits, worth, how.tree)
                if through is not None:
                    room = how.inside(through[part])
                    room.copy_(torch.matmul(planes, pull).permute(0, 3, 1, 2).view_as(room))
                vectors += torch.matmul(values, pull.transpose(2, 3)).sum(0)
                offsets -= pull.sum((0, 3))
        return through, vectors.mul_(how.slopes.unsqueeze(1)), offsets.mul_(how.slopes), None


def _pixels_last(images: Tensor) -> Tensor:
    """(B, S, D, P) of images (B, H, W, S, D)."""
    return images.flatten(1, 2).permute(0, 2, 3, 1)


def logit_gradient(logits: Tensor, worth: Tensor, tree: bool) -> Tensor:
    """d(expected worth)/d(logit), (B, S, planes, P), where each bit is drawn by itself.

    Top down go the probabilities of coming to a node, bottom up the expected worth of what is below it.

    Args:
        logits: (B, S, planes, P), of going above; overwritten.
        worth: (B, S, 2^H, P), of the leaves.
        tree: whether planes are a tree's, in heap order, or each of a level for itself.
    """
    batch, slices, leaves, pixels = worth.shape
    hashes, above = leaves.bit_length() - 1, logits.sigmoid_()
    levels = [slice((1 << h) - 1, (2 << h) - 1) for h in range(hashes)]  # nodes
    upper = [above[:, :, nodes if tree else slice(h, h + 1)] for h, nodes in enumerate(levels)]
    reach = worth.new_empty(batch, slices, leaves - 1, pixels)
    reach[:, :, 0] = 1
    for h in range(hashes - 1):
        here, below = reach[:, :, levels[h]], reach[:, :, levels[h + 1]]
        torch.mul(here, upper[h], out=below[:, :, 1::2])
        torch.sub(here, below[:, :, 1::2], out=below[:, :, 0::2])
    for h in reversed(range(hashes)):
        lower, gain = worth[:, :, 0::2], worth[:, :, 1::2] - worth[:, :, 0::2]
        reach[:, :, levels[h]] *= gain
        worth = torch.addcmul(lower, upper[h], gain)
    pull = reach if tree else torch.cat([reach[:, :, nodes].sum(2, keepdim=True) for nodes in levels], 2)
    gradient: Tensor = torch.ops.aten.sigmoid_backward(pull, above)
    return gradient


def soft_slopes(hash_vectors: Tensor, projections: Tensor | None, pattern: Pattern) -> Tensor:
    """(S, planes) slopes of the sigmoids: `soft_slope` over the deviation of a plane's projections.

    Planes of a tree are fitted so that those of a node's own vectors have a deviation of one. A plane that does not cut
    has slope 0.

    Args:
        hash_vectors: (S, L, planes).
        projections: (S, N, planes); not needed of a tree.
        pattern: the layer's.
    """
    if projections is None or pattern.clustering == "tree":
        return pattern.soft_slope * (hash_vectors != 0).any(1).to(hash_vectors.dtype)
    deviation = projections.std(1)
    return torch.where(deviation > _SMALLEST, pattern.soft_slope / deviation.clamp_min(_SMALLEST), 0.0)
