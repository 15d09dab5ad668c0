"""What the executor's tests have in common: random windows, and X, ids and limits by loops over Python integers."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import strategies as st

from ostinato.quant.ops import ConvDims, QHash, QTensor


@st.composite
def windows(draw: st.DrawFn, channels: int | None = None, out: int | None = None, pool: bool = False) -> ConvDims:
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = tuple(draw(st.integers(0, k // 2 if pool else 2)) for k in kernel)
    sizes = [max(draw(st.integers(3, 6)), d * (k - 1) + 1) for k, d in zip(kernel, dilation, strict=True)]
    outs = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(sizes, padding, dilation, kernel, stride, strict=True)
    ]
    c = channels or draw(st.integers(1, 4))
    m = c if pool else (out or draw(st.integers(1, 4)))
    return ConvDims((*sizes, c), (*outs, m), kernel, stride, padding, dilation)


def tensors(dims: ConvDims, rng: np.random.Generator) -> tuple[QTensor, QTensor, np.ndarray]:
    source = QTensor("x", dims.input, 0.1, int(rng.integers(-128, 128)))
    target = QTensor("y", dims.output, 0.1, int(rng.integers(-128, 128)))
    return source, target, rng.integers(-128, 128, dims.input).astype(np.int8)


def tap(x: np.ndarray, dims: ConvDims, i: int, j: int, kh: int, kw: int) -> tuple[int, int] | None:
    """The input pixel under one tap of one window; None in the padding."""
    row = i * dims.stride[0] + kh * dims.dilation[0] - dims.padding[0]
    col = j * dims.stride[1] + kw * dims.dilation[1] - dims.padding[1]
    inside = 0 <= row < x.shape[0] and 0 <= col < x.shape[1]
    return (row, col) if inside else None


def clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def outputs(dims: ConvDims) -> product:
    return product(range(dims.output[0]), range(dims.output[1]))


def taps(dims: ConvDims) -> product:
    return product(range(dims.kernel[0]), range(dims.kernel[1]))


def columns_of(dims: ConvDims, order: str) -> np.ndarray:
    channels = range(dims.input[2])
    if order == "kh.kw.c":
        found = [(c, kh, kw) for kh, kw in taps(dims) for c in channels]
    else:
        found = [(c, kh, kw) for c in channels for kh, kw in taps(dims)]
    return np.array(found, np.int32)


def row(x: np.ndarray, dims: ConvDims, columns: np.ndarray, zero: int, i: int, j: int) -> list[int]:
    pixels = [(int(c), tap(x, dims, i, j, int(kh), int(kw))) for c, kh, kw in columns]
    return [int(x[at[0], at[1], c]) if at else zero for c, at in pixels]


def bits(vector: list[int], hashing: QHash, group: int) -> int:
    result = 0
    for h in range(hashing.hashes):
        total = int(hashing.offset[group, h])
        total += sum(int(v) * q for v, q in zip(hashing.vectors[group, h], vector, strict=False))
        result = 2 * result + (total > 0)
    return result
