"""Constants of the conventional kernels: their layouts in flash, and what has to be proven of their numbers.

`conv_s8_dense` and `fully_connected_s8` interleave four output channels in blocks of 16 columns, so that one pointer
walks through the weights; the dense kernel's are int16, padded in front, and in SXTB16's order.
"""

from __future__ import annotations

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, IntArray
from ostinato.quant.ops import QConv2d, QLinear

CHANNELS = 4
"""Output channels that a pass of the dense and fully connected kernels computes together."""
BLOCK = 16
"""Columns (products per channel) in a block of packed weights."""


def largest_accumulators(op: QConv2d | QLinear) -> IntArray:
    """The largest |accumulator| of each channel, whatever the input, left shift and zero point folding included.

    Raises:
        QuantizationError: one of them leaves int32.
    """
    weight = op.weight.reshape(len(op.weight), -1).astype(np.int64)
    farthest = max(INT8_MAX - op.input.zero_point, op.input.zero_point - INT8_MIN, -INT8_MIN)
    folded = op.input.zero_point * weight.sum(axis=1)
    bias = np.maximum(np.abs(op.bias.astype(np.int64)), np.abs(op.bias - folded))
    largest: IntArray = (bias + farthest * np.abs(weight).sum(axis=1)) << np.maximum(op.shift, 0).astype(np.int64)
    if np.any(largest >= 1 << 31):
        channel = int(np.argmax(largest))
        raise QuantizationError(
            f"Layer {op.name}: the accumulator of output channel {channel} could reach {int(largest[channel])}, beyond "
            "int32; check that channel's weights and bias, or calibrate its input again."
        )
    return largest


def has_narrow_stage(op: QConv2d, largest: IntArray) -> bool:
    """Whether the short requantisation is exact (`ost_finish_narrow`): every usual layer."""
    return bool(
        np.all(largest < 1 << 30)
        and np.all((op.shift >= -22) & (op.shift <= -1))
        and np.all(op.multiplier >= 1 << 30)
        and (op.activation_min, op.activation_max) == (INT8_MIN, INT8_MAX)
    )


def narrow_stage(op: QConv2d) -> IntArray:
    """(M, 3): multiplier, right shift, rounding."""
    right = -op.shift.astype(np.int64)
    rounding = (1 << right >> 1) + op.output.zero_point * (1 << right)
    stage: IntArray = np.stack([op.multiplier, right, rounding], axis=1).astype(np.int32)
    return stage


def folded_bias(op: QConv2d | QLinear) -> IntArray:
    """Σ (q − z)·w + bias = Σ q·w + (bias − z·Σ w), zero for the channels that fill the last group."""
    sums = op.weight.reshape(len(op.weight), -1).sum(axis=1, dtype=np.int64)
    bias = op.bias.astype(np.int64) - op.input.zero_point * sums
    return np.pad(bias, (0, -len(bias) % CHANNELS))


def pad(weight: IntArray, before: int, after: int) -> IntArray:
    """(M, K) → (M rounded up, before + K + after), zeros."""
    return np.pad(weight, ((0, -len(weight) % CHANNELS), (before, after)))


def sxtb16_order(weight: IntArray) -> IntArray:
    """Columns 0, 2, 1, 3 of every four: what SXTB16 and SXTB16 ROR #8 make of four int8."""
    rows = len(weight)
    return weight.reshape(rows, -1, 4)[:, :, [0, 2, 1, 3]].reshape(rows, -1)


def interleave(weight: IntArray) -> IntArray:
    """(M, K) → (M/4, K/16, 4, 16)."""
    blocks = weight.reshape(len(weight) // CHANNELS, CHANNELS, -1, BLOCK)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def pack_depthwise(op: QConv2d) -> IntArray:
    """(C, KH, KW, 1) → (KH, KW, C rounded up to 4) int16, channels 0, 2, 1, 3 of every four."""
    taps = op.weight.reshape(len(op.weight), -1).T
    return sxtb16_order(np.pad(taps, ((0, 0), (0, -len(op.weight) % 4)))).astype(np.int16)


def round_up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple
