"""The conventional operators that a reuse layer stands for, whose kernels' cycles are told beside its own."""

from __future__ import annotations

import numpy as np

from ostinato.quant.arithmetic import IntArray
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import ConvDims, QConv2d, QLinear, QMaxPool2d, QOp, QReuseCompiled, QReuseImage, QTensor
from ostinato.quant.pooled_op import QPooled
from ostinato.quant.stem_ops import QStem

_SHIFT = -12
"""Of a requantisation: to the right, as trained layers have it."""


def conventional_twin(op: QOp) -> tuple[QOp, ...]:
    """Conventional operators of the same sizes, one after the other; none for an operator that is one itself.

    They are for their cycles, which depend on sizes: tables no longer have the weights that they came from, so that all
    twins have normal ones, scaled to int8 by channel as the quantiser scales them.
    """
    match op:
        case QPooled(layer=layer, pool=pool):
            twin = conventional_twin(layer)
            return (*twin, pool) if twin else ()
        case QReuseImage() | QReuseHorizontal() | QReuseCompiled() | QStem():
            return (_twin(op.name, op.dims, op.input, op.output),)
        case _:
            return ()


def _twin(name: str, dims: ConvDims, source: QTensor, target: QTensor) -> QConv2d | QLinear:
    channels = dims.output[2]
    weight = _weights(channels, dims.columns)
    bias, multiplier, shift = (np.full(channels, value, np.int32) for value in (0, 1 << 30, _SHIFT))
    if dims.positions == 1 and dims.kernel == dims.input[:2]:  # a fully connected layer
        return QLinear(
            name=name, input=source, output=target, weight=weight, bias=bias, multiplier=multiplier, shift=shift
        )
    return QConv2d(
        name=name, input=source, output=target, dims=dims, bias=bias, multiplier=multiplier, shift=shift,
        weight=weight.reshape(channels, *dims.kernel, dims.input[2]),
    )  # fmt: skip


def _weights(channels: int, columns: int) -> IntArray:
    """(M, K) int8, the largest of each channel ±127."""
    real = np.random.default_rng(0).normal(size=(channels, columns))
    scaled: IntArray = np.rint(127 * real / np.abs(real).max(axis=1, keepdims=True)).astype(np.int8)
    return scaled


def input_of(op: QOp, known: IntArray) -> IntArray:
    """What a twin reads: the layer's own input, which is `known`; a pooling's is what no layer computed, any values."""
    return np.zeros(op.dims.input, np.int8) if isinstance(op, QMaxPool2d) else known
