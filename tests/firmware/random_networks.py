"""Small networks built straight from integer operators with random constants: no float model stands behind them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.quant.arithmetic import quantize_multiplier
from ostinato.quant.ops import (
    ConvDims,
    QAvgPool2d,
    QConv2d,
    QGraph,
    QHash,
    QLinear,
    QMaxPool2d,
    QOp,
    QReuseCompiled,
    QReuseImage,
    QTensor,
)

Pair = tuple[int, int]


class NetworkBuilder:
    """Appends layers to a chain."""

    def __init__(self, shape: tuple[int, ...], seed: int, zero_point: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.input = QTensor("input", shape, 0.05, zero_point)
        self.tensor = self.input
        self.ops: list[QOp] = []

    def graph(self, name: str = "small", classes: tuple[str, ...] = ()) -> QGraph:
        return QGraph(name, self.input, self.tensor, tuple(self.ops), classes)

    def images(self, count: int) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Piecewise constant images with a little noise, so that clusters form."""
        coarse = self.rng.integers(
            -100, 100, (count, *[-(-s // 4) for s in self.input.shape[:-1]], self.input.shape[-1])
        )
        fine = coarse
        for axis in range(1, len(self.input.shape)):
            fine = np.repeat(fine, 4, axis=axis)
        fine = fine[tuple(slice(0, s) for s in (count, *self.input.shape))]
        return (fine + self.rng.integers(-9, 10, fine.shape)).astype(np.int8)

    def conv(
        self, name: str, channels: int, kernel: Pair = (3, 3), relu: bool = True, **window: Pair
    ) -> NetworkBuilder:
        dims = self._dims(channels, kernel, **window)
        weight = self.rng.integers(-127, 128, (channels, *kernel, dims.input[2])).astype(np.int8)
        output = self._output(name, dims.output)
        low = output.zero_point if relu else -128
        self._append(
            QConv2d(
                name=name,
                input=self.tensor,
                output=output,
                dims=dims,
                weight=weight,
                activation_min=low,
                **self._requantization(channels, dims.columns),
            )
        )
        return self

    def linear(self, name: str, features: int) -> NetworkBuilder:
        weight = self.rng.integers(-127, 128, (features, self.tensor.size)).astype(np.int8)
        constants = self._requantization(features, self.tensor.size)
        self._append(
            QLinear(name=name, input=self.tensor, output=self._output(name, (features,)), weight=weight, **constants)
        )
        return self

    def pool(self, name: str, average: bool = False, kernel: Pair = (2, 2), stride: Pair = (2, 2)) -> NetworkBuilder:
        dims = self._dims(self.tensor.shape[2], kernel, stride=stride)
        output = QTensor(name, dims.output, self.tensor.scale, self.tensor.zero_point)
        kind = QAvgPool2d if average else QMaxPool2d
        self._append(kind(name=name, input=self.tensor, output=output, dims=dims))
        return self

    def reuse_image(
        self,
        name: str,
        channels: int,
        length: int,
        hashes: int,
        order: str = "kh.kw.c",
        kernel: Pair = (3, 3),
        **window: Pair,
    ) -> NetworkBuilder:
        dims = self._dims(channels, kernel, **window)
        slices = -(-dims.columns // length)
        fraction = 3
        self._append(
            QReuseImage(
                name=name,
                input=self.tensor,
                output=self._output(name, dims.output),
                dims=dims,
                length=length,
                columns=column_order(dims, order),
                hash=self._hash(slices, hashes, length, dims.columns),
                weight=self.rng.integers(-127, 128, (channels, dims.columns)).astype(np.int8),
                # Sums of about 128 · √K · 60 · 70 come out as a few hundred times 2^F.
                multiplier=self.rng.integers(1 << 20, 1 << 23, channels).astype(np.int32),
                offset=self.rng.integers(-200, 200, channels).astype(np.int32),
                fraction_bits=fraction,
            )
        )
        return self

    def reuse_compiled(
        self,
        name: str,
        channels: int,
        length: int,
        hashes: int,
        order: str = "kh.kw.c",
        kernel: Pair = (3, 3),
        **window: Pair,
    ) -> NetworkBuilder:
        dims = self._dims(channels, kernel, **window)
        aligned = order == "kh.kw.c" and dims.input[2] % length == 0
        groups = dims.input[2] // length if aligned else -(-dims.columns // length)
        rows = kernel[0] * kernel[1] * groups if aligned else groups
        self._append(
            QReuseCompiled(
                name=name,
                input=self.tensor,
                output=self._output(name, dims.output),
                dims=dims,
                length=length,
                columns=column_order(dims, order),
                pixel_aligned=aligned,
                hash=self._hash(groups, hashes, length, dims.input[2] if aligned else dims.columns),
                table=self.rng.integers(-127, 128, (rows, 1 << hashes, channels)).astype(np.int8),
                offset=self.rng.integers(-300, 300, channels).astype(np.int32),
                fraction_bits=2,
            )
        )
        return self

    def _append(self, op: QOp) -> None:
        self.ops.append(op)
        self.tensor = op.output

    def _output(self, name: str, shape: tuple[int, ...]) -> QTensor:
        return QTensor(name, shape, 0.1, int(self.rng.integers(-128, 60)))

    def _dims(
        self, channels: int, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1)
    ) -> ConvDims:
        height, width, depth = self.tensor.shape
        size = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip((height, width), kernel, stride, padding, dilation, strict=True)
        ]
        return ConvDims((height, width, depth), (size[0], size[1], channels), kernel, stride, padding, dilation)

    def _requantization(self, channels: int, columns: int) -> dict[str, Any]:
        reals = self.rng.uniform(0.5, 2.0, channels) * 60 / (np.sqrt(columns) * 70 * 70)
        pairs = np.array([quantize_multiplier(float(real)) for real in reals], np.int32)
        bias = self.rng.integers(-5000, 5000, channels).astype(np.int32)
        return {"bias": bias, "multiplier": pairs[:, 0].copy(), "shift": pairs[:, 1].copy()}

    def _hash(self, groups: int, hashes: int, length: int, columns: int) -> QHash:
        vectors = self.rng.integers(-127, 128, (groups, hashes, length)).astype(np.int8)
        ragged = groups * length - columns
        if ragged:
            vectors[-1, :, length - ragged :] = 0
        return QHash(vectors=vectors, offset=self.rng.integers(-9000, 9000, (groups, hashes)).astype(np.int32))


def column_order(dims: ConvDims, order: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    """(K, 3) of (c, kh, kw) in the order `kh.kw.c` or `c.kh.kw`."""
    (kh, kw), c = dims.kernel, dims.input[2]
    if order == "kh.kw.c":
        triples = [(k, i, j) for i in range(kh) for j in range(kw) for k in range(c)]
    else:
        triples = [(k, i, j) for k in range(c) for i in range(kh) for j in range(kw)]
    return np.array(triples, np.int32)
