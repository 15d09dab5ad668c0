"""Small networks built straight from integer operators with random constants: no float model stands behind them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.quant.arithmetic import quantize_multiplier
from ostinato.quant.graph import Clamp, FloatAdd
from ostinato.quant.ops import (
    ConvDims,
    QAvgPool2d,
    QConcat,
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
from ostinato.quant.quantize_join import quantize_add

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


class DagBuilder(NetworkBuilder):
    """A random network that is no chain: operators read any maps of the right size that were made before."""

    SCALES = (0.05, 0.1, 0.13)

    def __init__(self, seed: int, shape: tuple[int, int, int] = (9, 8, 3)) -> None:
        super().__init__(shape, seed)
        self.count = 0
        self.conv(self._next("stem"), 8, padding=(1, 1))
        self.maps = [self.tensor]

    def grow(self, layers: int) -> DagBuilder:
        """Append random operators, then join what nothing reads, and classify."""
        kinds = [self._conv, self._reuse, self._add, self._concat, self._pool]
        for _ in range(layers):
            kind = kinds[int(self.rng.integers(len(kinds)))]
            kind()
            self.maps.append(self.tensor)
        used = {source.name for op in self.ops for source in op.inputs}
        for loose in [t for t in self.maps if t.name not in used and t is not self.tensor]:
            self._join(loose, self.tensor)
        self.pool(self._next("gap"), average=True, kernel=self.tensor.shape[:2], stride=(1, 1))
        self.linear(self._next("head"), 5)
        return self

    def _next(self, name: str) -> str:
        self.count += 1
        return f"{name}{self.count}"

    def _pick(self) -> QTensor:
        return self.maps[int(self.rng.integers(len(self.maps)))]

    def _conv(self) -> None:
        self.tensor = self._pick()
        kernel = int(self.rng.choice([1, 3]))
        pad = kernel // 2
        self.conv(self._next("conv"), int(self.rng.choice([4, 8, 11])), (kernel, kernel), padding=(pad, pad))

    def _reuse(self) -> None:
        self.tensor = self._pick()
        if self.tensor.shape[2] % 4:
            self.reuse_image(self._next("reuse"), 8, length=7, hashes=3, padding=(1, 1))
        else:
            self.reuse_compiled(self._next("reuse"), 8, length=4, hashes=3, padding=(1, 1))

    def _pool(self) -> None:
        self.tensor = self._pick()
        window = ConvDims(self.tensor.shape, self.tensor.shape, (3, 3), padding=(1, 1))  # type: ignore[arg-type]
        output = QTensor(self._next("pool"), self.tensor.shape, self.tensor.scale, self.tensor.zero_point)
        self._append(QMaxPool2d(name=output.name, input=self.tensor, output=output, dims=window))

    def _add(self) -> None:
        first = self._pick()
        alike = [t for t in self.maps if t.shape == first.shape]
        self._sum(first, alike[int(self.rng.integers(len(alike)))])

    def _sum(self, first: QTensor, second: QTensor) -> None:
        name = self._next("add")
        output = QTensor(name, first.shape, float(self.rng.choice(self.SCALES)), int(self.rng.integers(-128, 60)))
        clamp = Clamp(0.0) if self.rng.random() < 0.5 else Clamp()
        join = FloatAdd(name=name, sources=(first.name, second.name), shape=first.shape, clamp=clamp)
        self._append(quantize_add(join, first, second, output))

    def _concat(self) -> None:
        first = self._pick()
        alike = [t for t in self.maps if (t.scale, t.zero_point) == (first.scale, first.zero_point)]
        self._cat([first, *(alike[int(i)] for i in self.rng.integers(0, len(alike), self.rng.integers(1, 3)))])

    def _cat(self, parts: list[QTensor]) -> None:
        name, (height, width, _) = self._next("cat"), parts[0].shape
        shape = (height, width, sum(part.shape[2] for part in parts))
        output = QTensor(name, shape, parts[0].scale, parts[0].zero_point)
        self._append(QConcat(name=name, output=output, parts=tuple(parts)))

    def _join(self, loose: QTensor, into: QTensor) -> None:
        """Make the channels agree with a 1×1 convolution, then add."""
        self.tensor = loose
        self.conv(self._next("match"), into.shape[2], (1, 1))
        self._sum(self.tensor, into)
