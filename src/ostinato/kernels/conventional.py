"""Conventional operators bound to their kernels: constants packed, parameters filled, scratch and phases told.

Layouts (see the kernels' headers): `conv_s8_cmsis` takes the weights as they are. `conv_s8_dense` and
`fully_connected_s8` interleave four output channels in blocks of 16 columns, so that one pointer walks through them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, IntArray
from ostinato.quant.ops import ConvDims, QAvgPool2d, QConv2d, QLinear, QMaxPool2d

CHANNELS = 4
"""Output channels that a pass of the dense and fully connected kernels computes together."""
BLOCK = 16
"""Columns (products per channel) in a block of packed weights."""

_DIR = "conventional"


def bind_conv(op: QConv2d, kernel: Literal["cmsis", "dense"]) -> Binding:
    """A convolution on the CMSIS-NN style kernel, or on our best dense one.

    Raises:
        UnsupportedError: there is no such kernel, or the window leaves the padded input.
        QuantizationError: an accumulator could overflow int32.
    """
    _check_window(op.name, op.dims)
    if kernel == "cmsis":
        return _bind_conv_cmsis(op)
    if kernel == "dense":
        return _bind_conv_dense(op)
    raise UnsupportedError(f"Layer {op.name}: no convolution kernel {kernel!r}; choose 'cmsis' or 'dense'.")


def _bind_conv_cmsis(op: QConv2d) -> Binding:
    _check_accumulators(op)
    return Binding(
        kernel="conv_s8_cmsis",
        params_type="ost_conv_s8_cmsis_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": op.input.zero_point,
            "weights": ArrayRef("weights"),
            "bias": ArrayRef("bias"),
            "output": _output_stage(op),
        },
        arrays={"weights": op.weight, **_channel_arrays(op, op.bias)},
        scratch_bytes=2 * 2 * op.dims.columns,
        sources=(f"{_DIR}/ost_conv_s8_cmsis.c",),
        phases={"ost_conv_s8_cmsis_im2col": "transformation", "ost_conv_s8_cmsis_gemm": "gemm"},
    )


def _bind_conv_dense(op: QConv2d) -> Binding:
    largest = _check_accumulators(op)
    flat = op.weight.reshape(len(op.weight), -1)
    columns, channels = _round_up(op.dims.columns, BLOCK), _round_up(len(flat), CHANNELS)
    narrow = _is_narrow(op, largest)
    rounding = _narrow_rounding(op) if narrow else np.zeros(0, np.int32)  # empty: a null pointer
    return Binding(
        kernel="conv_s8_dense",
        params_type="ost_conv_s8_dense_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": op.input.zero_point,
            "weights": ArrayRef("weights"),
            "bias": ArrayRef("bias"),
            "output": _output_stage(op),
            "rounding": ArrayRef("rounding"),
            "narrow": int(narrow),
        },
        arrays={
            "weights": _interleave(_sxtb16_order(_pad(flat, columns - flat.shape[1], 0))).astype(np.int16),
            **_channel_arrays(op, _folded_bias(op)),
            "rounding": rounding,
        },
        scratch_bytes=columns * 2 * 2 + channels * 2 * 4 + columns,
        sources=tuple(f"{_DIR}/ost_conv_s8_dense{part}" for part in (".c", "_gemm.S", "_gemm_plain.c")),
        phases={
            "ost_conv_s8_dense_im2col": "transformation",
            "ost_conv_s8_dense_gemm": "gemm",
            "ost_conv_s8_dense_requantize": "gemm",
        },
    )


def bind_linear(op: QLinear) -> Binding:
    """A fully connected layer.

    Raises:
        QuantizationError: an accumulator could overflow int32.
    """
    _check_accumulators(op)
    outputs, inputs = op.weight.shape
    return Binding(
        kernel="fully_connected_s8",
        params_type="ost_fully_connected_s8_params",
        params={
            "inputs": int(inputs),
            "outputs": int(outputs),
            "weights": ArrayRef("weights"),
            "bias": ArrayRef("bias"),
            "output": _output_stage(op),
        },
        arrays={
            "weights": _interleave(_pad(op.weight, 0, _round_up(inputs, BLOCK) - inputs)),
            **_channel_arrays(op, _folded_bias(op)),
        },
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_fully_connected_s8.c",),
        phases={"ost_fully_connected_s8_gemm": "other"},
    )


def bind_max_pool(op: QMaxPool2d) -> Binding:
    """Maximum pooling.

    Raises:
        UnsupportedError: the window leaves the padded input, or the channels change.
    """
    return _bind_pool("max_pool_s8", op)


def bind_avg_pool(op: QAvgPool2d) -> Binding:
    """Average pooling.

    Raises:
        UnsupportedError: the window leaves the padded input, the channels change, or a window is padding only.
    """
    dims = op.dims
    for axis, size in enumerate(dims.input[:2]):
        starts = np.arange(dims.output[axis]) * dims.stride[axis] - dims.padding[axis]
        taps = starts[:, None] + np.arange(dims.kernel[axis]) * dims.dilation[axis]
        if not np.all(np.any((taps >= 0) & (taps < size), axis=1)):
            raise UnsupportedError(
                f"Layer {op.name}: an average pooling window of {dims.kernel} with padding {dims.padding} holds "
                "padding only; use less padding."
            )
    return _bind_pool("avg_pool_s8", op)


def _bind_pool(kernel: str, op: QMaxPool2d | QAvgPool2d) -> Binding:
    _check_window(op.name, op.dims)
    if op.dims.input[2] != op.dims.output[2]:
        raise UnsupportedError(
            f"Layer {op.name}: pooling cannot turn {op.dims.input[2]} channels into {op.dims.output[2]}."
        )
    return Binding(
        kernel=kernel,
        params_type="ost_pool_s8_params",
        params={"window": window_params(op.dims)},
        arrays={},
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_{kernel}.c",),
        phases={f"ost_{kernel}_windows": "other"},
    )


def window_params(dims: ConvDims) -> dict[str, dict[str, int]]:
    """The fields of `ost_window`."""

    def shape(size: tuple[int, int, int]) -> dict[str, int]:
        return {"height": int(size[0]), "width": int(size[1]), "channels": int(size[2])}

    def pair(size: tuple[int, int]) -> dict[str, int]:
        return {"height": int(size[0]), "width": int(size[1])}

    return {
        "input": shape(dims.input),
        "output": shape(dims.output),
        "kernel": pair(dims.kernel),
        "stride": pair(dims.stride),
        "padding": pair(dims.padding),
        "dilation": pair(dims.dilation),
    }


def _output_stage(op: QConv2d | QLinear) -> Mapping[str, Any]:
    """The fields of `ost_output_stage`."""
    return {
        "multiplier": ArrayRef("multiplier"),
        "shift": ArrayRef("shift"),
        "zero_point": int(op.output.zero_point),
        "activation_min": int(op.activation_min),
        "activation_max": int(op.activation_max),
    }


def _channel_arrays(op: QConv2d | QLinear, bias: IntArray) -> dict[str, IntArray]:
    return {
        "bias": bias.astype(np.int32),
        "multiplier": op.multiplier.astype(np.int32),
        "shift": op.shift.astype(np.int32),
    }


def _check_window(name: str, dims: ConvDims) -> None:
    for axis in (0, 1):
        last = (dims.output[axis] - 1) * dims.stride[axis] + (dims.kernel[axis] - 1) * dims.dilation[axis]
        padded = dims.input[axis] + 2 * dims.padding[axis]
        if last >= padded:
            raise UnsupportedError(
                f"Layer {name}: its last window reaches element {last} of a padded input of {padded}; an output of "
                f"{dims.output[:2]} needs more padding."
            )


def _check_accumulators(op: QConv2d | QLinear) -> IntArray:
    """The largest |accumulator| of each channel, whatever the input, left shift and zero point folding included."""
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


def _is_narrow(op: QConv2d, largest: IntArray) -> bool:
    """Whether the short requantisation is exact (`ost_finish_narrow`): every usual layer."""
    return bool(
        np.all(largest < 1 << 30)
        and np.all((op.shift >= -22) & (op.shift <= -1))
        and np.all(op.multiplier >= 1 << 30)
        and (op.activation_min, op.activation_max) == (INT8_MIN, INT8_MAX)
    )


def _narrow_rounding(op: QConv2d) -> IntArray:
    right = -op.shift.astype(np.int64)
    rounding: IntArray = ((1 << right >> 1) + op.output.zero_point * (1 << right)).astype(np.int32)
    return rounding


def _folded_bias(op: QConv2d | QLinear) -> IntArray:
    """Σ (q − z)·w + bias = Σ q·w + (bias − z·Σ w), zero for the channels that fill the last group."""
    sums = op.weight.reshape(len(op.weight), -1).sum(axis=1, dtype=np.int64)
    bias = op.bias.astype(np.int64) - op.input.zero_point * sums
    return np.pad(bias, (0, -len(bias) % CHANNELS))


def _pad(weight: IntArray, before: int, after: int) -> IntArray:
    """(M, K) → (M rounded up, before + K + after), zeros."""
    return np.pad(weight, ((0, -len(weight) % CHANNELS), (before, after)))


def _sxtb16_order(weight: IntArray) -> IntArray:
    """Columns 0, 2, 1, 3 of every four: what SXTB16 and SXTB16 ROR #8 make of four int8."""
    rows = len(weight)
    return weight.reshape(rows, -1, 4)[:, :, [0, 2, 1, 3]].reshape(rows, -1)


def _interleave(weight: IntArray) -> IntArray:
    """(M, K) → (M/4, K/16, 4, 16)."""
    blocks = weight.reshape(len(weight) // CHANNELS, CHANNELS, -1, BLOCK)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
