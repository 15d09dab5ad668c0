"""Fitting a transform-coded stem: colours' axes, coefficients, quantisers, ids (DESIGN §5.11)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.stem import (
    DROPPED_BITS,
    LEVELS,
    PIXEL_STEPS,
    StemTransform,
    coefficients,
    column_filters,
    columns,
    cosine_basis,
    pixel_steps,
    vertical_taps,
)
from ostinato.reuse.stem_pattern import StemPattern
from ostinato.reuse.stem_quantise import allocate_bits, lloyd_max, pack_groups

_ROTATION_SCALE = 127
_INT16 = (1 << 15) - 1
_PATCHES = 40_000  # for the statistics that choose coefficients
_CLIPPED = 0.999  # the share of a coefficient's values that int8 holds


@dataclass(frozen=True)
class StemStatistics:
    """Of coefficients z on calibration images: what quantisers and first tables are made from; float64."""

    histogram: Tensor  # (n, 256)
    decoder: Tensor  # (n, M): the least-squares map from z to the outputs
    mean: Tensor  # (n,) of z
    output_mean: Tensor  # (M,)


def choose_transform(
    inputs: list[Tensor], weight: Tensor, geometry: ConvGeometry, pattern: StemPattern, metric: Tensor | None = None
) -> StemTransform:
    """The transform of `pattern.coefficients` coefficients, without quantisers (maps and groups are zero).

    Coefficients are taken one after the other, each the one that lowers the error of the linear prediction of the
    outputs most, given those before it.

    Args:
        inputs: batches (B, C, H, W) of real pixels.
        weight: (M, C, KH, KW) of the conventional layer.
        geometry: of the layer.
        pattern: of the stem.
        metric: (M, M): an output error e costs eᵀ·metric·e; None: its square.
    """
    rotation = _colour_axes(inputs)
    basis = _full_basis(rotation.double() / _ROTATION_SCALE, geometry)
    patches = _sample_patches(inputs, geometry)
    covariance = basis @ torch.cov(patches.t(), correction=0) @ basis.t()
    outputs = basis @ weight.detach().double().cpu().flatten(1).t()
    if metric is not None:
        outputs = outputs @ torch.linalg.cholesky(metric.double().cpu() + _jitter(metric))
    chosen = _greedy(covariance, outputs, pattern.coefficients)
    (kh, kw) = geometry.kernel_size
    axes = sorted((k // (kh * kw), k // kw % kh, k % kw) for k in chosen)
    horizontal, offset = _scaled_taps(inputs, rotation, axes, geometry)
    count = len(axes)
    return StemTransform(
        rotation, torch.tensor(axes), horizontal, offset,
        torch.zeros(count, LEVELS, dtype=torch.long), torch.zeros(count, dtype=torch.long),
    )  # fmt: skip


def statistics(
    inputs: list[Tensor], weight: Tensor, bias: Tensor | None, transform: StemTransform, geometry: ConvGeometry
) -> StemStatistics:
    """See `StemStatistics`; the outputs are the conventional layer's on `inputs`."""
    count, outputs = len(transform.axes), len(weight)
    gram = torch.zeros(count + 1, count + 1, dtype=torch.float64)
    cross = torch.zeros(count + 1, outputs, dtype=torch.float64)
    histogram = torch.zeros(count, LEVELS, dtype=torch.float64)
    for x in inputs:
        z = coefficients(x, transform, geometry).transpose(0, 1).flatten(1).cpu()  # (n, positions)
        y = conventional(x, weight, bias, geometry).transpose(0, 1).flatten(1).double().cpu()
        rows = torch.cat([z, z.new_ones(1, z.shape[1])])
        gram += rows @ rows.t()
        cross += rows @ y.t()
        for k in range(count):
            histogram[k] += torch.bincount(z[k].long() + LEVELS // 2, minlength=LEVELS)
    positions = gram[-1, -1]
    mean, output_mean = gram[-1, :-1] / positions, cross[-1] / positions
    system = gram[:-1, :-1] - positions * torch.outer(mean, mean)
    right = cross[:-1] - positions * torch.outer(mean, output_mean)
    ridge = 1e-6 * float(system.diagonal().mean()) + 1e-9
    decoder: Tensor = torch.linalg.solve(system + ridge * torch.eye(count, dtype=torch.float64), right)
    return StemStatistics(histogram, decoder, mean, output_mean)


def conventional(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: ConvGeometry) -> Tensor:
    """The conventional layer's output."""
    return F.conv2d(x, weight, bias, geometry.stride, geometry.padding)


def choose_ids(
    transform: StemTransform, found: StemStatistics, pattern: StemPattern, metric: Tensor | None = None
) -> tuple[StemTransform, Tensor]:
    """Quantisers, bits and groups; and the table (G, 2^H, M) that decodes each coefficient by itself.

    Bits go one by one to the coefficient whose next bit lowers the error of the outputs most. The outputs' mean is not
    in the table.
    """
    decoder = found.decoder
    weighted = decoder if metric is None else decoder @ metric.double().cpu()
    effect = (weighted * decoder).sum(1).clamp_min(0)
    quantisers = [[lloyd_max(h, 1 << b) for b in range(pattern.bits + 1)] for h in found.histogram]
    distortion = torch.tensor([[q.distortion for q in row] for row in quantisers], dtype=torch.float64)
    cost = distortion * effect.unsqueeze(1)
    bits, groups = pack_groups(allocate_bits(cost, pattern.groups * pattern.hashes), cost, pattern)
    maps = torch.zeros_like(transform.maps)
    table = torch.zeros(pattern.groups, pattern.ids, decoder.shape[1], dtype=torch.float64)
    used = [0] * pattern.groups
    ids = torch.arange(pattern.ids)
    for k, (count, group) in enumerate(zip(bits, groups, strict=True)):
        quantiser, shift = quantisers[k][count], used[group]
        maps[k] = quantiser.codes << shift
        codes = (ids >> shift) & ((1 << count) - 1)
        table[group] += torch.outer(quantiser.values[codes] - found.mean[k], decoder[k])
        used[group] += count
    return replace(transform, maps=maps, groups=torch.tensor(groups)), table


def _colour_axes(inputs: list[Tensor]) -> Tensor:
    """(C, C) int64: principal axes of the pixels, most variance first, times 127."""
    pixels = torch.cat([pixel_steps(x).transpose(0, 1).flatten(1).cpu() for x in inputs], 1)
    axes = torch.linalg.eigh(torch.cov(pixels, correction=0).reshape(len(pixels), len(pixels)))[1].flip(1).t()
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # an axis has no sign
    whole: Tensor = (axes * _ROTATION_SCALE).round().long()
    return whole


def _full_basis(rotation: Tensor, geometry: ConvGeometry) -> Tensor:
    """(K, K): patches (c, kh, kw) to all coefficients (c, v, u)."""
    kh, kw = geometry.kernel_size
    return torch.kron(rotation, torch.kron(cosine_basis(kh), cosine_basis(kw)))


def _sample_patches(inputs: list[Tensor], geometry: ConvGeometry) -> Tensor:
    """(about `_PATCHES`, K) patches, evenly many from every batch."""
    generator = torch.Generator().manual_seed(0)
    wanted = -(-_PATCHES // len(inputs))
    samples = []
    for x in inputs:
        patches = F.unfold(pixel_steps(x), geometry.kernel_size, 1, geometry.padding, geometry.stride)
        rows = patches.transpose(1, 2).flatten(0, 1).cpu()
        samples.append(rows[torch.randperm(len(rows), generator=generator)[:wanted]])
    return torch.cat(samples)


def _greedy(covariance: Tensor, weights: Tensor, count: int) -> list[int]:
    """`count` coefficients by forward selection: each explains most of the outputs that is not yet explained."""
    residual, cross = covariance.clone(), covariance @ weights
    floor = 1e-9 * float(covariance.diagonal().max()) + 1e-300
    chosen: list[int] = []
    for _ in range(count):
        variance = residual.diagonal()
        gain = torch.where(variance > floor, cross.square().sum(1) / variance.clamp_min(floor), -1.0)
        gain[chosen] = -2.0
        best = int(gain.argmax())
        chosen.append(best)
        if float(variance[best]) > floor:
            row = residual[best].clone() / variance[best]
            cross = cross - torch.outer(row, cross[best])
            residual = residual - torch.outer(row, residual[best].clone())
    return chosen


def _scaled_taps(
    inputs: list[Tensor], rotation: Tensor, axes: list[tuple[int, int, int]], geometry: ConvGeometry
) -> tuple[Tensor, Tensor]:
    """Horizontal taps (n, KW) and offsets (n,) that make z fill int8, as far as int16 taps and int32 sums allow."""
    planes = list(dict.fromkeys((c, v) for c, v, _ in axes))
    basis = cosine_basis(geometry.kernel_size[1])
    largest = _largest_columns(rotation, geometry)
    taps = torch.zeros(len(axes), geometry.kernel_size[1], dtype=torch.long)
    offsets = torch.zeros(len(axes), dtype=torch.long)
    vertical = column_filters(planes, geometry).to(rotation.device)
    v = torch.cat([columns(x[:10], rotation.double(), vertical, geometry).cpu() for x in inputs[:20]])
    for k, (c, frequency, u) in enumerate(axes):
        row = basis[u]
        plane = v[:, planes.index((c, frequency))]
        values = F.conv2d(plane.unsqueeze(1), row.view(1, 1, 1, -1), None, (1, geometry.stride[1])).flatten()
        mean = values.mean()
        ordered = (values - mean).abs().sort().values
        spread = ordered[min(len(ordered) - 1, int(_CLIPPED * len(ordered)))].clamp_min(1e-6)
        most_sum = (1 << 30) / float(largest[c, frequency])  # the offset may take the other half of an int32
        gain = min(
            (LEVELS // 2 - 1) / float(spread),
            _INT16 / float(row.abs().max()) / (1 << DROPPED_BITS),
            (most_sum - len(row)) / float(row.abs().sum()) / (1 << DROPPED_BITS),
        )
        taps[k] = (row * gain * (1 << DROPPED_BITS)).round().long()
        offsets[k] = round(-float(mean) * gain * (1 << DROPPED_BITS)) + (1 << (DROPPED_BITS - 1))
    return taps, offsets


def _largest_columns(rotation: Tensor, geometry: ConvGeometry) -> Tensor:
    """(C, KH): bounds of |v| for any pixels."""
    pixels = rotation.abs().sum(1) * PIXEL_STEPS
    taps = vertical_taps(geometry.kernel_size[0]).abs().sum(1)
    return torch.outer(pixels, taps) // (1 << DROPPED_BITS) + 1


def _jitter(metric: Tensor) -> Tensor:
    return 1e-9 * float(metric.diagonal().mean() + 1e-30) * torch.eye(len(metric), dtype=torch.float64)
