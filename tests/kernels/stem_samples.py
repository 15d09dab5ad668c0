"""Random transform-coded stems for tests of their kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pool_samples import random_pool_behind

from ostinato.kernels import stem as kernel
from ostinato.kernels.pools import MAX_POOL_SOURCES
from ostinato.kernels.stem import bind_stem
from ostinato.quant.ops import ConvDims, QTensor
from ostinato.quant.pooled_op import QPooled
from ostinato.quant.stem_ops import QStem

__all__ = [
    "CONV1", "SOURCES", "bind_stem", "make_stem", "random_input", "random_pool_behind", "random_stem",
    "random_window",
]  # fmt: skip

SOURCES = (*kernel.SOURCES, "stem/ost_stem_pooled_s8.c", *MAX_POOL_SOURCES)
CONV1 = ConvDims((32, 32, 3), (28, 28, 64), (5, 5))
"""CifarNet's first layer."""


def random_window(rng: np.random.Generator) -> ConvDims:
    """Any kernel up to 8, stride and padding; 1 to 4 channels, outputs up to about 9 a side."""
    kernel = rng.integers(1, 9, 2) if rng.random() < 0.5 else rng.choice([3, 5, 7], 2)
    stride = rng.choice([1, 1, 2, 3], 2)
    padding = [int(rng.integers(0, k)) if rng.random() < 0.6 else 0 for k in kernel]
    size = [int(rng.integers(max(1, k - 2 * p), k + 10)) for k, p in zip(kernel, padding, strict=True)]
    out = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(size, padding, kernel, stride, strict=True)]
    return ConvDims(
        input=(size[0], size[1], int(rng.integers(1, 5))),
        output=(int(out[0]), int(out[1]), int(rng.integers(1, 70))),
        kernel=(int(kernel[0]), int(kernel[1])),
        stride=(int(stride[0]), int(stride[1])),
        padding=(padding[0], padding[1]),
    )


def make_stem(
    rng: np.random.Generator, dims: ConvDims, groups: int, hashes: int, coefficients: int, planes: int | None = None
) -> QStem:
    """Filters that use int8 well, maps of any shape whose sums stay below 2^H, tables whose sums stay within int16."""
    channels, (kh, kw) = dims.input[2], dims.kernel
    rotation = np.linalg.qr(rng.normal(size=(channels, channels)))[0]
    planes = int(rng.integers(1, coefficients + 1)) if planes is None else planes
    plane = np.sort(np.concatenate([np.arange(planes), rng.integers(0, planes, coefficients - planes)]))
    vertical = rng.normal(size=(planes, kh))
    vertical *= 0.999 * np.minimum(2.0 ** 14 * np.sqrt(kh), 2.0**16) / np.abs(vertical).sum(1, keepdims=True)
    horizontal = rng.normal(size=(coefficients, kw))
    gain = rng.choice([300, 3000, 20000], coefficients)[:, None]
    horizontal *= gain / np.abs(horizontal).sum(1, keepdims=True)
    group = np.concatenate([rng.permutation(groups), rng.integers(0, groups, coefficients - groups)])
    maps = _maps(rng, group, groups, hashes)
    bits, channels_out = int(rng.integers(0, 8)), dims.output[2]
    spread = min(127, (32767 - 2000) // groups)
    return QStem(
        name="features.conv",
        input=QTensor("x", dims.input, 1 / 128, int(rng.choice([0, 0, -128, 17, 127]))),
        output=QTensor("y", dims.output, 0.05, 0),
        dims=dims,
        rotation=np.rint(rotation * 127).astype(np.int8),
        channels=rng.integers(0, channels, planes).astype(np.int32),
        vertical=np.trunc(vertical).astype(np.int16),
        planes=plane.astype(np.int32),
        horizontal=np.trunc(horizontal).astype(np.int16),
        centre=rng.integers(-(1 << 21), 1 << 21, coefficients).astype(np.int32),
        maps=maps,
        groups=group.astype(np.int32),
        table=rng.integers(-spread, spread + 1, (groups, 1 << hashes, channels_out)).astype(np.int8),
        offset=rng.integers(-1500, 1500, channels_out).astype(np.int32),
        fraction_bits=bits,
    )


def _maps(rng: np.random.Generator, group: np.ndarray, groups: int, hashes: int) -> np.ndarray:
    maps = np.zeros((len(group), 256), np.uint8)
    for g in range(groups):
        members = np.flatnonzero(group == g)
        shares = rng.multinomial((1 << hashes) - 1, np.full(len(members), 1 / len(members)))
        for k, share in zip(members, shares, strict=True):
            maps[k] = rng.integers(0, share + 1, 256)
    return maps


def random_stem(rng: np.random.Generator) -> QStem:
    hashes, groups = int(rng.integers(1, 9)), int(rng.integers(1, 12))
    op = make_stem(rng, random_window(rng), groups, hashes, groups + int(rng.integers(0, 12)))
    if rng.random() < 0.1:  # beyond int16
        op = replace(op, offset=rng.choice([32767, -32768, 100_000], len(op.offset)).astype(np.int32))
    return op


def random_input(rng: np.random.Generator, op: QStem | QPooled) -> np.ndarray:
    """Noise, or smooth waves."""
    if rng.random() < 0.5:
        return rng.integers(-128, 128, op.input.shape).astype(np.int8)
    height, width, channels = op.input.shape
    y, x = np.mgrid[0:height, 0:width][..., None]
    waves = np.cos(rng.uniform(0, 1, channels) * y + rng.uniform(0, 1, channels) * x + rng.uniform(0, 6, channels))
    return np.clip(np.rint(100 * waves + rng.normal(0, 5, op.input.shape)), -128, 127).astype(np.int8)
