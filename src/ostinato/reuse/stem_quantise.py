"""Scalar quantisers of coefficients, their bits, and how they share ids (DESIGN §5.11)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reuse.stem import LEVELS
from ostinato.reuse.stem_pattern import StemPattern

_ROUNDS = 60


@dataclass(frozen=True)
class Quantiser:
    """A Lloyd-Max quantiser of int8 values with a given histogram."""

    codes: Tensor  # (256,) int64, of −128 … 127, not decreasing
    values: Tensor  # (cells,) the means of the cells
    distortion: float  # mean squared error


def lloyd_max(histogram: Tensor, cells: int) -> Quantiser:
    """Cells of least squared error for values with this `histogram` (256,), by Lloyd's iteration from quantiles."""
    values = torch.arange(LEVELS, dtype=torch.float64) - LEVELS // 2
    total = float(histogram.sum())
    cumulative = histogram.cumsum(0) / max(total, 1.0)
    quantiles = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    centres = values[torch.searchsorted(cumulative, quantiles).clamp_max(LEVELS - 1)]
    codes = torch.zeros(LEVELS, dtype=torch.long)
    for _ in range(_ROUNDS):
        codes = torch.bucketize(values, (centres[1:] + centres[:-1]) / 2)
        mass = torch.bincount(codes, histogram, cells)
        moved = torch.where(mass > 0, torch.bincount(codes, histogram * values, cells) / mass.clamp_min(1e-12), centres)
        moved = moved.sort().values
        if torch.equal(moved, centres):
            break
        centres = moved
    error = float((histogram * (values - centres[codes]).square()).sum()) / max(total, 1.0)
    return Quantiser(codes, centres, error)


def allocate_bits(cost: Tensor, total: int) -> list[int]:
    """Bits of each coefficient, `total` in all: each bit goes where it lowers `cost` (n, bits + 1) most."""
    bits = [0] * len(cost)
    for _ in range(total):
        open_ones = [k for k, b in enumerate(bits) if b + 1 < cost.shape[1]]
        best = max(open_ones, key=lambda k: float(cost[k, bits[k]] - cost[k, bits[k] + 1]))
        bits[best] += 1
    return bits


def pack_groups(bits: list[int], cost: Tensor, pattern: StemPattern) -> tuple[list[int], list[int]]:
    """Each coefficient's bits and its group, no group with more than H bits; groups are filled where they can be.

    The largest come first, each into the emptiest group. What does not fit whole loses bits; what then stays empty
    goes to the coefficients of that group.
    """
    bits, room = list(bits), [pattern.hashes] * pattern.groups
    groups = [0] * len(bits)
    for k in sorted(range(len(bits)), key=lambda k: -bits[k]):
        groups[k] = max(range(pattern.groups), key=lambda g: room[g])
        bits[k] = min(bits[k], room[groups[k]])
        room[groups[k]] -= bits[k]
    for group in range(pattern.groups):
        while room[group]:
            gains = {k: float(cost[k, bits[k]] - cost[k, bits[k] + 1])
                     for k in range(len(bits)) if groups[k] == group and bits[k] + 1 < cost.shape[1]}  # fmt: skip
            if not gains:
                break
            bits[max(gains, key=lambda k: gains[k])] += 1
            room[group] -= 1
    return bits, groups
