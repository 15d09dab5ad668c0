"""Vector quantisation as products with unit vectors: the form for accelerators.

Sorting vectors by their cluster and adding them up, which is best on a CPU, is many small steps on an accelerator, some
of which it must be waited for. With each id written out as a unit vector, sums over clusters and their adjoints (TREC
Eq. 3.5) are products of matrices: no step depends on what the data hold, and there are few of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.assignment import Reuse
from ostinato.reuse.backward import without_autocast
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.hashing import MOST_UNITS, unit_length
from ostinato.reuse.paths import hard_leaves
from ostinato.reuse.stacked import Size, form_of, stacked, unstacked
from ostinato.reuse.synchronise import sum_over_processes
from ostinato.reuse.unit_gradients import Drawn, flip_gradients, soft_gradients, trec_gradients


@dataclass(frozen=True)
class Wanted:
    """How the pixels of images are quantised, and what of that is to come out.

    Attributes:
        reuse: its pattern is `pixelwise`.
        padding: around each image, which is quantised, too.
        images: type of the quantised images.
        units: type of the unit vectors of their ids, None if they are not wanted.
    """

    reuse: Reuse
    padding: Size
    images: torch.dtype
    units: torch.dtype | None


def takes_units(x: Tensor, reuse: Reuse, geometry: ConvGeometry) -> bool:
    """Whether `quantise_by_units` can be used, and is faster: on an accelerator, if there is room."""
    pattern, (height, width) = reuse.pattern, _padded(x, geometry.padding)
    return accelerated(x) and x.shape[0] * height * width * (x.shape[1] // pattern.length) * pattern.ids <= MOST_UNITS


def quantise_by_units(
    x: Tensor, hash_vectors: Tensor, thresholds: Tensor, wanted: Wanted
) -> tuple[Tensor, Tensor | None]:
    """`quantise` of the pixels of `x` (B, C, H, W) and its padding; updates running centroids and statistics.

    Returns:
        x̂ (B, C, H + 2·PH, W + 2·PW), and unit vectors (B, blocks·2^H, …) of its ids or None; both lie in memory as `x`
        does.
    """
    made: tuple[Tensor, Tensor | None] = _QuantiseByUnits.apply(  # type: ignore[no-untyped-call]
        x, hash_vectors, thresholds, wanted
    )
    return made


class _QuantiseByUnits(torch.autograd.Function):
    """Arguments (B, C, H, W) images, (S, L, planes) hash vectors, (S, planes) thresholds, `Wanted`.

    Inside, pixels are (S, B, P, L), and N is B·P.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, hash_vectors: Tensor, thresholds: Tensor, wanted: Wanted
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """Hash, average, and look up."""
        reuse, pattern = wanted.reuse, wanted.reuse.pattern
        rows = stacked(x, pattern.length, wanted.padding, hash_vectors.dtype)
        compared = unit_length(rows) if pattern.similarity == "angular" else rows
        hard = hard_leaves(compared.flatten(1, 2), hash_vectors, thresholds, pattern.clustering == "tree")
        units = hard.to(rows.dtype)
        sizes, means = _looked_up(units, reuse) if reuse.fixed else _formed(units, rows, reuse)
        size, form = _padded(x, wanted.padding), form_of(x)
        image = unstacked(torch.bmm(units, means).view_as(rows), size, (0, 0), wanted.images, form)
        del units
        made = None
        if wanted.units is not None:
            made = unstacked(hard.view(*rows.shape[:3], -1), size, (0, 0), wanted.units, form)
            if pattern.gradient != "soft" or reuse.fixed:
                ctx.mark_non_differentiable(made)
        ctx.set_materialize_grads(False)  # unit vectors that have none would get zeros of their size
        ctx.wanted, ctx.size, ctx.form, ctx.weight = wanted, size, form, 0.0
        ctx.shape, ctx.dtype = x.shape, x.dtype
        if reuse.fixed:
            ctx.save_for_backward()
        elif pattern.gradient == "soft":
            ctx.save_for_backward(rows, means, hash_vectors, thresholds)
        elif pattern.gradient == "trec":  # the input has a gradient through its projections, too
            ctx.save_for_backward(hard, sizes, hash_vectors, thresholds, rows)
        elif pattern.gradient == "frozen" or not any(ctx.needs_input_grad[1:3]):
            ctx.save_for_backward(hard, sizes)
        else:
            drawn = Drawn.of(rows, hard, pattern)
            ctx.weight = drawn.weight
            ctx.save_for_backward(hard, sizes, means, hash_vectors, thresholds, drawn.rows, drawn.ids, drawn.places)
        return image, made

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor, units: Tensor | None = None) -> Any:
        """Gradients of images and hash."""
        reuse = ctx.wanted.reuse
        if reuse.fixed:  # centroids that are looked up pass nothing on
            return torch.zeros(ctx.shape, dtype=ctx.dtype, device=gradient.device), None, None, None
        if reuse.pattern.gradient == "soft":
            through, vectors, offsets = _through_ids(ctx, gradient, units)
        else:
            through, vectors, offsets = _through_centroids(ctx, gradient)
        image = None if through is None else unstacked(through, ctx.size, ctx.wanted.padding, ctx.dtype, ctx.form)
        return image, vectors, offsets, None


def _padded(x: Tensor, padding: Size) -> Size:
    return x.shape[2] + 2 * padding[0], x.shape[3] + 2 * padding[1]


def _formed(units: Tensor, rows: Tensor, reuse: Reuse) -> tuple[Tensor, Tensor]:
    """Sizes (S, 2^H) and centroids (S, 2^H, L) of a batch, or of all processes' batches together."""
    sizes, sums = units.sum(1), _sums(units, rows)
    if reuse.synchronised:
        both = sum_over_processes(torch.cat([sums, sizes.unsqueeze(2)], 2))
        sums, sizes = both[..., :-1], both[..., -1]
    if reuse.stats is not None:
        reuse.stats.add(units.shape[0] * units.shape[1], int((sizes > 0).sum()), 0)
    means = sums / sizes.clamp_min(1.0).unsqueeze(2)
    if reuse.running is not None:
        reuse.running.update_all(sizes, means, reuse.momentum)
    return sizes, means


def _looked_up(units: Tensor, reuse: Reuse) -> tuple[Tensor, Tensor]:
    """The running centroids and counts, in the precision of the unit vectors."""
    assert reuse.running is not None
    if reuse.stats is not None:
        sizes = units.sum(1)
        unseen = int(sizes[reuse.running.counts <= 0].sum())
        reuse.stats.add(units.shape[0] * units.shape[1], int((sizes > 0).sum()), unseen)
    return reuse.running.counts, reuse.running.centroids.to(units.dtype)


def _sums(units: Tensor, rows: Tensor) -> Tensor:
    """(S, 2^H, D) sums of `rows` (S, B, P, D) over clusters, of `units` (S, N, 2^H).

    Image by image: a sum over all vectors at once is one long sum for a few processors.
    """
    slices, batch, pixels, width = rows.shape
    by_image = torch.bmm(units.view(slices * batch, pixels, -1).transpose(1, 2), rows.flatten(0, 1))
    return by_image.view(slices, batch, -1, width).sum(1)


def _through_centroids(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of rows (S, B, P, L), hash vectors and thresholds: each vector has 1/n of its centroid's (Eq. 3.5)."""
    reuse = ctx.wanted.reuse
    hard, sizes, *rest = ctx.saved_tensors
    rows = stacked(gradient, reuse.pattern.length, (0, 0), sizes.dtype)
    units = hard.to(rows.dtype)
    pulls = _sums(units, rows)
    if reuse.synchronised:
        sum_over_processes(pulls)  # of the losses of all processes: their vectors share these centroids
    more, vectors, offsets = None, None, None
    if reuse.pattern.gradient == "trec":
        hash_vectors, thresholds, x = rest
        more, vectors, offsets = trec_gradients(x, hard, pulls, sizes, hash_vectors, thresholds, reuse.pattern)
    elif rest:
        means, hash_vectors, thresholds, sampled, ids, places = rest
        drawn = Drawn(sampled, ids, places, ctx.weight)
        vectors, offsets = flip_gradients(drawn, rows, means, pulls, sizes, hash_vectors, thresholds, reuse.pattern)
    if not ctx.needs_input_grad[0]:
        return None, vectors, offsets
    pulls /= sizes.clamp_min(1.0).unsqueeze(2)
    through = torch.bmm(units, pulls) if more is None else torch.baddbmm(more, units, pulls)
    return through.view_as(rows), vectors, offsets


def _through_ids(
    ctx: Any, gradient: Tensor, units: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The same where ids are differentiated, and centroids held fixed."""
    rows, means, hash_vectors, thresholds = ctx.saved_tensors
    pattern = ctx.wanted.reuse.pattern
    upward = stacked(gradient, pattern.length, (0, 0), rows.dtype)
    worth = torch.bmm(upward.flatten(1, 2), means.transpose(1, 2))
    del upward
    if units is not None:
        worth += stacked(units, pattern.ids, (0, 0), rows.dtype).view_as(worth)
    through, vectors, offsets = soft_gradients(rows, worth, hash_vectors, thresholds, pattern)
    return (through.view_as(rows) if ctx.needs_input_grad[0] else None), vectors, offsets
