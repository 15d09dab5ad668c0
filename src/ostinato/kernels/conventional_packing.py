"""Constants of the conventional kernels: their layouts in flash, and what has to be proven of their numbers.

`conv_s8_dense` and `fully_connected_s8` interleave four output channels in blocks of 16 columns, so that one pointer
walks through the weights, in SXTB16's order and two channels in each int16; the dense kernel's are padded in front.
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


def pair_channels(name: str, weight: IntArray) -> IntArray:
    """(M/4, K/16, 4, 16) → (M/4, K/16, 2, 16) int16: 256 · odd channel + even channel (ost_conv_s8_dense_gemm.h).

    Raises:
        QuantizationError: a weight of -128, which the quantiser does not make.
    """
    if weight.min(initial=0) == INT8_MIN:
        raise QuantizationError(f"Layer {name}: weights of two channels in a halfword are within ±127, not {INT8_MIN}.")
    both = 256 * weight[:, :, 1::2].astype(np.int32) + weight[:, :, ::2]
    return both.astype(np.int16)


def pair_starts(start: IntArray) -> IntArray:
    """(M rounded up,) → the accumulators of pairs of channels, modulo 2^32: 256 · odd + even, even."""
    even, odd = start[::2].astype(np.int64), start[1::2].astype(np.int64)
    return np.stack([256 * odd + even, even], axis=1).reshape(-1).astype(np.uint32).view(np.int32)


def part_of_blocks(weight: IntArray, start: IntArray) -> int | None:
    """Blocks of columns whose sums in odd channels are sure to lie within ±2^23, as the dense kernel needs.

    Args:
        weight: (M, K), K a multiple of 16.
        start: (M,), of the accumulators.

    Returns:
        None if all blocks together do, start included; otherwise the most of which any neighbours do, without it.
    """
    blocks = weight[1::2].reshape(len(weight) // 2, -1, BLOCK).astype(np.int64)
    high = np.maximum(INT8_MAX * blocks, INT8_MIN * blocks).sum(axis=2)
    low = np.minimum(INT8_MAX * blocks, INT8_MIN * blocks).sum(axis=2)
    odd = start[1::2].astype(np.int64)
    if (odd + high.sum(axis=1)).max() < 1 << 23 and (odd + low.sum(axis=1)).min() >= -(1 << 23):
        return None
    for count in range(blocks.shape[1], 1, -1):
        edges = range(0, blocks.shape[1], count)
        if np.add.reduceat(high, edges, 1).max() < 1 << 23 and np.add.reduceat(low, edges, 1).min() >= -(1 << 23):
            return count
    return 1


def pack_depthwise(op: QConv2d) -> IntArray:
    """(C, KH, KW, 1) → (KH, KW, C rounded up to 4) int16, channels 0, 2, 1, 3 of every four."""
    taps = op.weight.reshape(len(op.weight), -1).T
    return sxtb16_order(np.pad(taps, ((0, 0), (0, -len(op.weight) % 4)))).astype(np.int16)


def round_up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple
