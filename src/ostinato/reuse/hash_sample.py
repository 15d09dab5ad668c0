"""Which vectors can have a part in the hash's gradient: drawn in the forward pass, so that X need not outlive it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ostinato.reuse.layout import Layout, Part, small_ints
from ostinato.reuse.pattern import Pattern

NEGLIGIBLE = 1e-8  # a soft id that is off by less than so many σ (TREC Eq. 3.4) gives no gradient

_FEWEST = 16  # drawn of a slice, if it has them: of fewer, no deviation is known


@dataclass(frozen=True)
class HashSample:
    """Vectors that can have a hash gradient, ascending by slice.

    Attributes:
        slices: (A,) integers, the slice s of each vector; they hold s·N as well.
        units: (A,) as these, its unit n.
        rows: (A, D) values.
        weight: how many of the layer's vectors each of these stands for.
    """

    slices: Tensor
    units: Tensor
    rows: Tensor
    weight: float


def draw(table: Tensor, pattern: Pattern, layout: Layout) -> HashSample:
    """As many vectors of each slice of `table` (T, D), for the estimators that hold for any sample."""
    slices, units = sample(layout, pattern, table.device)
    return _taken(slices, units, layout.vectors / len(units), table, layout)


def near_planes(part: Part, projections: Tensor, pattern: Pattern) -> Tensor:
    """(blocks, E, places) bool of `projections` (blocks, E, H, places): where TREC's relaxation may give a gradient.

    Its sigmoid must leave a bit soft: 1 − S ≤ exp(−|a·(p − b)|) on the far side of b; between 0 and b the soft bit is
    on the other side of the hard one. And the vector must not be zero: with its weight in a centroid the loss changes
    by x·dLoss/dcentroid, which is 0 for the zeros of the padding and behind a ReLU.
    """
    reach = abs(pattern.centre) + math.log(pattern.ids / (NEGLIGIBLE * pattern.gaussian_sigma)) / pattern.slope
    near = projections.abs().amin(-2) <= reach
    return near if part.filled is None else near.logical_and_(part.filled.unsqueeze(1))


def draw_near(near: Tensor, table: Tensor, layout: Layout) -> HashSample:
    """All vectors of `table` (T, D) that are `near` (S, N) a hyperplane."""
    slices, units = near.nonzero().to(small_ints(layout.vectors)).unbind(1)
    return _taken(slices, units, 1.0, table, layout)


def _taken(slices: Tensor, units: Tensor, weight: float, table: Tensor, layout: Layout) -> HashSample:
    base, offset = layout.base(table.device), layout.offset(table.device)
    places = base.index_select(0, units) + offset.index_select(0, slices)
    return HashSample(slices, units, table.detach().index_select(0, places), weight)


def sample(layout: Layout, pattern: Pattern, device: torch.device) -> tuple[Tensor, Tensor]:
    """Slices and units (A,) of the vectors drawn: one of each of equally long stretches of a slice's units.

    They are at most `gradient_rows` and the share `gradient_share` of all, but `_FEWEST` of each slice; the same ones
    for the same sizes and seed. Where stretches are no whole numbers of units, one at a border can be drawn from both,
    each as often as it has a part in it: all vectors are expected equally often.
    """
    slices, units = layout.slices, layout.vectors_per_slice
    wanted = min(pattern.gradient_rows, math.ceil(pattern.gradient_share * layout.vectors))
    return _stratified(slices, units, min(units, max(_FEWEST, wanted // slices)), pattern.seed, device)


@lru_cache(maxsize=64)  # a layer draws the same vectors in every step
def _stratified(slices: int, units: int, each: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # such tensors could not be used in training later
        generator = torch.Generator().manual_seed(seed)  # on the CPU: the same vectors on every device
        drawn = torch.arange(each, device=generator.device).expand(slices, each)
        if each < units:
            inside = torch.rand(slices, each, generator=generator, dtype=torch.float64, device=generator.device)
            drawn = ((drawn + inside) * (units / each)).long().clamp_(max=units - 1)
        numbers = torch.arange(slices, device=generator.device).unsqueeze(1).expand(slices, each)
        kind = small_ints(slices * units)
        return numbers.reshape(-1).to(device, kind), drawn.reshape(-1).to(device, kind)
