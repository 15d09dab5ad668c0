"""Conventional convolutions and linear layers as integers, with the proof that int32 is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, INT32_MAX, Int8Array, Int32Array, quantize_multiplier
from ostinato.quant.graph import Clamp, FloatConv, FloatLinear, WeightedOp
from ostinato.quant.ops import ConvDims, QConv2d, QLinear, QTensor
from ostinato.quant.ranges import Scales

_BIAS_LIMIT = 1 << 30
"""A bias of at most half an int32 leaves the other half to the products."""
_TINY = 2.0**-100

FloatArray = npt.NDArray[Any]


@dataclass(frozen=True)
class DenseParameters:
    """Weights and what requantises their sums; see `QConv2d`."""

    weight: Int8Array
    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array


def symmetric_weights(
    weight: FloatArray, least_scale: FloatArray | float = 0.0, scales: Scales = "real"
) -> tuple[Int8Array, FloatArray]:
    """Symmetric int8 of (M, …): integers in [−127, 127] and scales (M,), none below `least_scale`.

    Each output channel has its own scale; in fixed point (`scales` "power_of_two") the layer has one, a power of two.
    """
    peak = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = np.maximum(np.maximum(peak / INT8_MAX, least_scale), _TINY)
    if scales == "power_of_two":
        scale = np.full_like(scale, 2.0 ** np.ceil(np.log2(scale.max())))
    integers = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(integers, -INT8_MAX, INT8_MAX).astype(np.int8), scale


def dense_parameters(
    op: WeightedOp, weight: FloatArray, source: QTensor, target: QTensor, scales: Scales = "real"
) -> DenseParameters:
    """Quantise `weight` (M, …) and the bias of `op` for these input and output scales.

    A channel whose weights are tiny beside its bias (a dead one after BN folding) gets a larger weight scale, so that
    the bias fits: what its weights lose is then below 2^−30 of it.

    Raises:
        QuantizationError: sums that int32 cannot hold.
    """
    bias = op.bias.numpy()
    integers, scale = symmetric_weights(weight, np.abs(bias) / (source.scale * _BIAS_LIMIT), scales)
    units = source.scale * scale
    whole = np.rint(bias / units)
    pairs = [quantize_multiplier(float(u / target.scale)) for u in units]
    multiplier, shift = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    reach = max(INT8_MAX - source.zero_point, source.zero_point - INT8_MIN)
    largest = reach * np.abs(integers.astype(np.int64)).reshape(len(weight), -1).sum(axis=1) + np.abs(whole)
    largest = largest * 2.0 ** np.maximum(shift, 0)
    if (largest > INT32_MAX).any():
        m = int(largest.argmax())
        raise QuantizationError(
            f"layer '{op.name}': sums of output channel {m} can reach {largest[m]:.3g}, beyond int32 ({INT32_MAX}); "
            "the layer is too wide, or its outputs are tiny beside its weights: check the calibration images"
        )
    return DenseParameters(integers, whole.astype(np.int32), multiplier, shift)


def activation_limits(clamp: Clamp, target: QTensor) -> tuple[int, int]:
    """The clamp in the output's integers."""
    low, high = (
        float(np.clip(np.rint(bound / target.scale) + target.zero_point, INT8_MIN, INT8_MAX))
        for bound in (clamp.low, clamp.high)
    )
    return int(low), int(high)


def quantize_conv(op: FloatConv, dims: ConvDims, source: QTensor, target: QTensor, scales: Scales = "real") -> QConv2d:
    """`QConv2d` of a conventional convolution."""
    p = dense_parameters(op, op.weight.permute(0, 2, 3, 1).contiguous().numpy(), source, target, scales)
    low, high = activation_limits(op.clamp, target)
    return QConv2d(
        name=op.name, input=source, output=target, dims=dims, weight=p.weight, bias=p.bias,
        multiplier=p.multiplier, shift=p.shift, activation_min=low, activation_max=high, groups=op.groups,
    )  # fmt: skip


def quantize_linear(op: FloatLinear, source: QTensor, target: QTensor, scales: Scales = "real") -> QLinear:
    """`QLinear` of a linear layer whose columns are already in (H, W, C) order."""
    p = dense_parameters(op, op.weight.contiguous().numpy(), source, target, scales)
    low, high = activation_limits(op.clamp, target)
    return QLinear(
        name=op.name, input=source, output=target, weight=p.weight, bias=p.bias,
        multiplier=p.multiplier, shift=p.shift, activation_min=low, activation_max=high,
    )  # fmt: skip
