"""What the autograd functions of reuse share: what they keep for the backward pass, gradients of hash and input."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ostinato.reuse.assignment import Assignment, Reuse
from ostinato.reuse.by_slice import BySlice
from ostinato.reuse.clustered import Clustered
from ostinato.reuse.clustering import Slots
from ostinato.reuse.hash_gradient import hash_gradients
from ostinato.reuse.hash_sample import HashSample
from ostinato.reuse.layout import Layout, small_ints
from ostinato.reuse.stacked import form_of
from ostinato.reuse.synchronise import sum_over_processes


def no_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Without autocast inside; entering that where there is none takes as long as a small layer's sums."""
    return torch.autocast(device_type, enabled=False) if torch.is_autocast_enabled(device_type) else nullcontext()


def without_autocast(backward: Callable[..., Any]) -> Callable[..., Any]:
    """`backward` in the precision of its tensors, also where it is called under autocast, as the forward pass is."""

    @wraps(backward)
    def run(ctx: Any, gradient: Tensor, *others: Tensor | None) -> Any:
        with no_autocast(gradient.device.type):
            return backward(ctx, gradient, *others)

    return run


def learns(ctx: Any, position: int, reuse: Reuse) -> bool:
    """Whether a hash gradient will be asked for; the hash's arguments begin at `position`.

    Under TREC's relaxation the input has one through its projections, too.
    """
    gradient = reuse.pattern.gradient
    wanted = ctx.needs_input_grad[position] or ctx.needs_input_grad[position + 1]
    return not reuse.fixed and gradient != "frozen" and (wanted or (gradient == "trec" and ctx.needs_input_grad[0]))


def save(ctx: Any, reuse: Reuse, layout: Layout, x: Tensor, assignment: Assignment, *tensors: Tensor) -> None:
    """Keep what the backward pass needs, in as few bytes as that takes."""
    clusters, sample = assignment.clusters, assignment.sample
    ctx.reuse, ctx.layout, ctx.possible = reuse, layout, clusters.possible
    ctx.weight = None if sample is None else sample.weight
    ctx.shape, ctx.format = x.shape, form_of(x)
    drawn = (None,) * 3 if sample is None else (sample.slices, sample.units, sample.rows)
    sizes = clusters.sizes.to(small_ints(layout.vectors))
    keys = clusters.keys
    if keys is not None and clusters.possible:
        keys = keys.to(small_ints(clusters.possible))
    ctx.save_for_backward(
        clusters.index, sizes, keys, clusters.members, clusters.starts, assignment.centroids, *drawn, *tensors
    )


def load(ctx: Any) -> tuple[Assignment, tuple[Tensor, ...]]:
    """What `save` kept: the assignment, and the tensors after it."""
    index, sizes, keys, members, starts, centroids, *rest = ctx.saved_tensors
    sample = None if ctx.weight is None else HashSample(rest[0], rest[1], rest[2], ctx.weight)
    clusters = Slots(index, sizes, keys, members, starts, ctx.possible)
    return Assignment(clusters, centroids, sample), tuple(rest[3:])


def pull(pulls: Tensor, rows: Tensor, ctx: Any, assignment: Assignment) -> Tensor | None:
    """Write to `pulls` (C + 1, D) the sums over clusters of the recovered values' gradients, as a table `rows` (T, D).

    Gives those of the sampled vectors (A, D), if they are wanted.
    """
    layout, sample = ctx.layout, assignment.sample
    base, offset = layout.base(rows.device), layout.offset(rows.device)
    pulls[:-1] = assignment.clusters.ordered().sums(rows, base, offset)
    if sample is None or ctx.reuse.pattern.gradient == "trec":
        return None
    return rows.index_select(0, base[sample.units] + offset[sample.slices])


def hash_gradient(
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


def input_gradient(ctx: Any, assignment: Assignment, pulls: Tensor, pulled: Tensor | None) -> Tensor | None:
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
