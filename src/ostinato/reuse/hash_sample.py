"""Which vectors can have a part in the hash's gradient: drawn in the forward pass, so that X need not outlive it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reuse.layout import Layout
from ostinato.reuse.pattern import Pattern

NEGLIGIBLE = 1e-8  # a soft id that is off by less than so many σ (TREC Eq. 3.4) gives no gradient


@dataclass(frozen=True)
class HashSample:
    """Vectors that can have a hash gradient, ascending by slice.

    Attributes:
        slices: (A,) int64, the slice s of each vector.
        units: (A,) int64, its unit n.
        rows: (A, D) values.
        deviation: (G, H) standard deviations of the projections of all vectors of a hash group, by which smoothing
            kernels scale; empty for `trec`, which does not.
        weight: how many of the layer's vectors each of these stands for.
    """

    slices: Tensor
    units: Tensor
    rows: Tensor
    deviation: Tensor
    weight: float


def draw(projections: Tensor, table: Tensor, groups: int, pattern: Pattern, layout: Layout) -> HashSample:
    """The vectors that `pattern.gradient` may give one, of all whose `projections` (blocks, E, H, places) are given."""
    if pattern.gradient == "trec":
        slices, units = near_planes(projections, pattern, layout)
        deviation, weight = projections.new_empty(0, pattern.hashes), 1.0
    else:
        numbers = sample(layout.vectors, pattern, table.device)
        slices, order = torch.sort(numbers % layout.slices, stable=True)
        units = (numbers // layout.slices)[order]
        deviation = deviations(projections, groups, layout)
        weight = layout.vectors / len(numbers)
    places = layout.base(table.device)[units] + layout.offset(table.device)[slices]
    return HashSample(slices, units, table.detach().index_select(0, places), deviation, weight)


def near_planes(projections: Tensor, pattern: Pattern, layout: Layout) -> tuple[Tensor, Tensor]:
    """Slices and units (A,) of at least all vectors with a bit that TREC's sigmoid leaves soft.

    1 − S ≤ exp(−|a·(p − b)|) on the far side of b; between 0 and b the soft bit is on the other side of the hard one.
    """
    reach = abs(pattern.centre) + math.log(pattern.ids / (NEGLIGIBLE * pattern.gaussian_sigma)) / pattern.slope
    near = layout.spread((projections.abs() <= reach).any(2))
    slices, units = near.nonzero().unbind(1)
    return slices, units


def sample(total: int, pattern: Pattern, device: torch.device) -> Tensor:
    """Numbers n·S + s of at most `gradient_rows` vectors, the same ones for the same number of vectors and seed."""
    if total <= pattern.gradient_rows:
        return torch.arange(total, device=device)
    generator = torch.Generator().manual_seed(pattern.seed)
    numbers = torch.randint(total, (pattern.gradient_rows,), generator=generator, device=generator.device)
    drawn: Tensor = torch.unique(numbers)
    return drawn.to(device)


def deviations(projections: Tensor, groups: int, layout: Layout) -> Tensor:
    """(G, H) standard deviations of all vectors' projections, slice s belonging to group s mod G."""
    columns = []
    for plane in projections.unbind(2):  # a hash at a time, to hold one (S, N) copy
        values = layout.spread(plane).view(-1, groups, layout.vectors_per_slice)
        centred = values - values.mean((0, 2)).unsqueeze(1)
        squares = torch.linalg.vector_norm(centred, dim=(0, 2))
        columns.append(squares / math.sqrt(values.shape[0] * values.shape[2]))
    smallest = torch.finfo(projections.dtype).tiny ** 0.25
    return torch.stack(columns, 1).clamp_min(smallest)
