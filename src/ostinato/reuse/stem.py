"""Transform-coded stems: first layers that look up sums of patches instead of multiplying them (DESIGN §5.11).

All of it is integer arithmetic on pixels, done here in float64, where it is exact, so that the float layer and the
firmware give every patch the same ids:

    p[c]  = Σ_c' rotation[c, c'] · q[c']                              colours rotated to their principal axes, int16
    v[k]  = (Σ_i vertical[k, i] · p[i] + 2^15) >> 16                  a column of the patch, int16
    z[k]  = sat8((Σ_j horizontal[k, j] · v[k][j] + offset[k]) >> 16)  a coefficient of the patch's cosine transform
    id[g] = Σ_{k in group g} maps[k, z[k] + 128]                      G ids of H bits
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.hashing import unit_vectors
from ostinato.reuse.views import pad_input

PIXEL_STEPS = 128
"""Int8 steps of a pixel between 0 and 1: the network's input is q / 128 (docs/design.md)."""
VERTICAL_BITS = 14
"""Fraction bits of the vertical taps, of which 16 are then dropped: a column grows by √KH / 4 at most."""
DROPPED_BITS = 16
LEVELS = 256


@dataclass(frozen=True)
class StemTransform:
    """From a patch to its ids; integers in int64 tensors. n coefficients, kept in the order in which kernels run.

    Attributes:
        rotation: (C, C), rows are the principal axes of colours times 127.
        axes: (n, 3), each coefficient's (rotated colour c, vertical frequency v, horizontal frequency u).
        horizontal: (n, KW), its horizontal taps, scaled so that z fills int8.
        offset: (n,), centres z and rounds.
        maps: (n, 256), what each value of z, from −128 on, adds to the id.
        groups: (n,), the id that it adds to, 0 … G − 1.
    """

    rotation: Tensor
    axes: Tensor
    horizontal: Tensor
    offset: Tensor
    maps: Tensor
    groups: Tensor

    def vertical(self, height: int) -> Tensor:
        """(n, KH) vertical taps for a kernel of `height`."""
        return vertical_taps(height).to(self.axes.device)[self.axes[:, 1]]

    def filters(self, geometry: ConvGeometry) -> StemFilters:
        """The two stages as convolutions."""
        planes = [(int(c), int(v)) for c, v, _ in self.axes.tolist()]
        distinct = list(dict.fromkeys(planes))
        taps = torch.zeros(len(planes), len(distinct), 1, geometry.kernel_size[1], dtype=torch.float64)
        taps[range(len(planes)), [distinct.index(p) for p in planes], 0] = self.horizontal.double().cpu()
        device = self.axes.device
        vertical = column_filters(distinct, geometry).to(device)
        return StemFilters(self.rotation.double(), vertical, taps.to(device), self.offset.double())


@dataclass(frozen=True)
class StemFilters:
    """A transform's stages from pixels to coefficients, float64, on the transform's device.

    Attributes:
        rotation: (C, C).
        vertical: (F, C, KH, 1), a filter for each plane (colour, vertical frequency) that some coefficient is of.
        horizontal: (n, F, 1, KW), of which each has taps in its own plane only.
        offset: (n,).
    """

    rotation: Tensor
    vertical: Tensor
    horizontal: Tensor
    offset: Tensor


def cosine_basis(size: int) -> Tensor:
    """(size, size) float64: the orthonormal DCT-II, rows are frequencies."""
    frequency, place = torch.arange(size, dtype=torch.float64).unsqueeze(1), torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * frequency * (2 * place + 1) / (2 * size)) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


def vertical_taps(height: int) -> Tensor:
    """(KH, KH) int64: vertical taps of every frequency."""
    return (cosine_basis(height) * (1 << VERTICAL_BITS)).round().long()


def pixel_steps(x: Tensor) -> Tensor:
    """Pixels as the firmware has them, int8 values in float64: round(128·x), saturated."""
    return (x.double() * PIXEL_STEPS).round().clamp(-PIXEL_STEPS, PIXEL_STEPS - 1)


def column_filters(planes: list[tuple[int, int]], geometry: ConvGeometry) -> Tensor:
    """(F, C, KH, 1) float64 vertical filters of F planes (colour, vertical frequency)."""
    height = geometry.kernel_size[0]
    taps = vertical_taps(height)
    filters = torch.zeros(len(planes), geometry.in_channels, height, 1, dtype=torch.float64)
    for f, (colour, frequency) in enumerate(planes):
        filters[f, colour, :, 0] = taps[frequency]
    return filters


def columns(x: Tensor, rotation: Tensor, vertical: Tensor, geometry: ConvGeometry) -> Tensor:
    """(B, F, OH, W + 2·padding) float64: v of every plane, at every pixel column.

    Args:
        x: (B, C, H, W) pixels, real.
        rotation: as in `StemTransform`, float64.
        vertical: (F, C, KH, 1), see `column_filters`.
        geometry: of the layer.
    """
    rotated = torch.einsum("rc,bchw->brhw", rotation, pixel_steps(x))
    sums = _convolved(pad_input(rotated, geometry), vertical, (geometry.stride[0], 1))
    return ((sums + (1 << (DROPPED_BITS - 1))) / (1 << DROPPED_BITS)).floor_()


def coefficients(
    x: Tensor, transform: StemTransform, geometry: ConvGeometry, filters: StemFilters | None = None
) -> Tensor:
    """(B, n, OH, OW) float64: z, integers within int8, of real pixels `x` (B, C, H, W).

    `filters`: the transform's, if they are at hand.
    """
    f = transform.filters(geometry) if filters is None else filters
    v = columns(x, f.rotation, f.vertical, geometry)
    sums = _convolved(v, f.horizontal, (1, geometry.stride[1])) + f.offset.view(-1, 1, 1)
    return (sums / (1 << DROPPED_BITS)).floor_().clamp_(-LEVELS // 2, LEVELS // 2 - 1)


def _convolved(x: Tensor, filters: Tensor, stride: tuple[int, int]) -> Tensor:
    """`conv2d` with a kernel that is one pixel high or wide; exact, as all numbers are integers below 2^53."""
    if not accelerated(x):
        return F.conv2d(x, filters, None, stride)
    # Accelerators multiply float64 matrices fast, but not convolve.
    windows = x.unfold(2, filters.shape[2], stride[0]).unfold(3, filters.shape[3], stride[1])
    return torch.einsum("bchwk,fck->bfhw", windows.flatten(4), filters.flatten(2))


def stem_ids(z: Tensor, transform: StemTransform, groups: int) -> Tensor:
    """(B, OH, OW, G) int64 ids of coefficients `z` (B, n, OH, OW)."""
    levels = z.long() + LEVELS // 2
    parts = transform.maps.gather(1, levels.transpose(0, 1).flatten(1)).view_as(levels.transpose(0, 1))
    ids = torch.zeros(groups, *parts.shape[1:], dtype=torch.long, device=z.device)
    return ids.index_add_(0, transform.groups, parts).permute(1, 2, 3, 0)


def add_rows(ids: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """(B, M, OH, OW): bias plus the rows table[g, id_g] of `table` (G, 2^H, M), differentiable in both."""
    batch, height, width, groups = ids.shape
    flat = ids + torch.arange(groups, device=ids.device) * table.shape[1]
    sums: Tensor = _RowSums.apply(flat.view(-1, groups), table.flatten(0, 1))  # type: ignore[no-untyped-call]
    return (sums + bias).view(batch, height, width, -1).permute(0, 3, 1, 2)


class _RowSums(torch.autograd.Function):
    """Σ_g rows[ids[:, g]]: `embedding_bag`, whose own backward pass takes five times as long as these additions."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.rows = len(rows)
        return F.embedding_bag(ids, rows, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (ids,) = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        if accelerated(gradient):  # many additions to few rows wait for each other there; products do not
            count = ctx.rows // ids.shape[1]
            parts = (unit_vectors(group - g * count, count, gradient.dtype) for g, group in enumerate(ids.unbind(1)))
            return None, torch.cat([units.t() @ gradient for units in parts])
        sums = gradient.new_zeros(ctx.rows, gradient.shape[1])
        for group in ids.unbind(1):
            sums.index_add_(0, group, gradient)
        return None, sums
