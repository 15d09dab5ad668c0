"""Conventional operators bound to their kernels: constants packed, parameters filled, scratch and phases told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ostinato.errors import UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding
from ostinato.kernels.conventional_packing import (
    BLOCK,
    CHANNELS,
    folded_bias,
    has_narrow_stage,
    interleave,
    largest_accumulators,
    narrow_stage,
    pack_depthwise,
    pad,
    pair_channels,
    pair_starts,
    part_of_blocks,
    round_up,
    sxtb16_order,
)
from ostinato.quant.arithmetic import IntArray
from ostinato.quant.ops import ConvDims, QConv2d, QLinear
from ostinato.quant.softmax_op import QSoftmax

_DIR = "conventional"


def bind_conv(op: QConv2d, kernel: Literal["cmsis", "dense"]) -> Binding:
    """A convolution on the CMSIS-NN style kernel, or on our best dense one.

    A convolution in groups has one kernel only, which is taken for either: depthwise, or any other groups.

    Raises:
        UnsupportedError: there is no such kernel, or the window leaves the padded input.
        QuantizationError: an accumulator could overflow int32.
    """
    check_window(op.name, op.dims)
    if op.groups != 1 and kernel in ("cmsis", "dense"):
        return bind_conv_grouped(op)
    if kernel == "cmsis":
        return _bind_conv_cmsis(op)
    if kernel == "dense":
        return _bind_conv_dense(op)
    raise UnsupportedError(f"Layer {op.name}: no convolution kernel {kernel!r}; choose 'cmsis' or 'dense'.")


def _bind_conv_cmsis(op: QConv2d) -> Binding:
    largest_accumulators(op)
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
        sources=(f"{_DIR}/ost_conv_s8_cmsis.c", f"{_DIR}/ost_conv_s8_cmsis_product.S"),
        phases={
            "ost_conv_s8_cmsis_im2col": "transformation",
            "ost_conv_s8_cmsis_gemm": "gemm",
            "ost_conv_s8_cmsis_product": "gemm",
        },
    )


def _bind_conv_dense(op: QConv2d) -> Binding:
    stage = _stage_arrays(op)
    flat = op.weight.reshape(len(op.weight), -1)
    columns, channels = round_up(op.dims.columns, BLOCK), round_up(len(flat), CHANNELS)
    weight, bias = pad(flat, columns - flat.shape[1], 0), folded_bias(op)
    blocks = columns // BLOCK
    part = part_of_blocks(weight, bias)
    packed = pair_channels(op.name, interleave(sxtb16_order(weight)))
    starts = range(0, blocks, part or blocks)
    parts = [packed[:, start : start + (part or blocks)].ravel() for start in starts]
    return Binding(
        kernel="conv_s8_dense",
        params_type="ost_conv_s8_dense_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": op.input.zero_point,
            "weights": ArrayRef("weights"),
            "start": ArrayRef("start"),
            "bias": ArrayRef("bias"),
            "out_stride": int(op.dims.output[2]),
            "part_blocks": part or blocks,
            "output": _output_stage(op),
            "narrow": ArrayRef("narrow"),
        },
        arrays={
            "weights": packed if part is None else np.concatenate(parts),
            "start": pair_starts(bias if part is None else np.zeros_like(bias)),
            "bias": np.zeros(0, np.int32) if part is None else bias[: len(flat)].astype(np.int32),
            **stage,
        },
        scratch_bytes=columns * 2 * 2 + len(parts) * channels * 2 * 4 + columns,
        sources=tuple(f"{_DIR}/ost_conv_s8_dense{part}" for part in (".c", "_im2col.c", "_gemm.S", "_gemm_plain.c")),
        phases={
            "ost_conv_s8_dense_im2col": "transformation",
            "ost_conv_s8_dense_gemm": "gemm",
            "ost_conv_s8_dense_requantize": "gemm",
            **{f"ost_conv_s8_dense_{part}": "other" for part in ("arguments_are_valid", "begin", "rows")},
        },
        strided=True,
    )


def bind_conv_grouped(op: QConv2d) -> Binding:
    """A convolution in groups: as many as channels on the depthwise kernel, any other number on the general one."""
    if op.groups == op.dims.input[2] == op.dims.output[2]:
        return _bind_conv_depthwise(op)
    largest_accumulators(op)
    return Binding(
        kernel="conv_s8_grouped",
        params_type="ost_conv_s8_grouped_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": op.input.zero_point,
            "groups": op.groups,
            "weights": ArrayRef("weights"),
            "bias": ArrayRef("bias"),
            "output": _output_stage(op),
        },
        arrays={"weights": op.weight, **_channel_arrays(op, op.bias)},
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_conv_s8_grouped.c",),
        phases={"ost_conv_s8_grouped_output": "other"},
    )


def _bind_conv_depthwise(op: QConv2d) -> Binding:
    return Binding(
        kernel="conv_s8_depthwise",
        params_type="ost_conv_s8_depthwise_params",
        params={
            "window": window_params(op.dims),
            "input_zero_point": op.input.zero_point,
            "weights": ArrayRef("weights"),
            "bias": ArrayRef("bias"),
            "output": _output_stage(op),
            "narrow": ArrayRef("narrow"),
        },
        arrays={"weights": pack_depthwise(op), "bias": op.bias.astype(np.int32), **_stage_arrays(op)},
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_conv_s8_depthwise.c", f"{_DIR}/ost_conv_s8_depthwise_pixel.S"),
        phases={"ost_conv_s8_depthwise_output": "other", "ost_conv_s8_depthwise_pixel": "other"},
    )


def _stage_arrays(op: QConv2d) -> dict[str, IntArray]:
    """The narrow stage where it is exact, otherwise multipliers and shifts; empty arrays are null pointers."""
    none = np.zeros(0, np.int32)
    if has_narrow_stage(op, largest_accumulators(op)):
        return {"multiplier": none, "shift": none, "narrow": narrow_stage(op)}
    return {"multiplier": op.multiplier.astype(np.int32), "shift": op.shift.astype(np.int32), "narrow": none}


def bind_linear(op: QLinear) -> Binding:
    """A fully connected layer.

    Raises:
        QuantizationError: an accumulator could overflow int32, or a weight is -128.
    """
    largest_accumulators(op)
    outputs, inputs = op.weight.shape
    weight = pad(op.weight, 0, round_up(inputs, BLOCK) - inputs)
    packed = pair_channels(op.name, interleave(sxtb16_order(weight)))
    return Binding(
        kernel="fully_connected_s8",
        params_type="ost_fully_connected_s8_params",
        params={
            "inputs": int(inputs),
            "outputs": int(outputs),
            "weights": ArrayRef("weights"),
            "bias": ArrayRef("bias"),
            "part_blocks": part_of_blocks(weight, np.zeros(len(weight), np.int64)) or weight.shape[1] // BLOCK,
            "output": _output_stage(op),
        },
        arrays={"weights": packed, **_channel_arrays(op, folded_bias(op))},
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_fully_connected_s8.c", f"{_DIR}/ost_fully_connected_s8_blocks.S"),
        phases={"ost_fully_connected_s8_gemm": "other", "ost_fully_connected_s8_blocks": "other"},
    )


def bind_softmax(op: QSoftmax) -> Binding:
    """Softmax of a vector."""
    return Binding(
        kernel="softmax_s8",
        params_type="ost_softmax_s8_params",
        params={"count": op.input.size, "table": ArrayRef("table")},
        arrays={"table": op.table.astype(np.uint16)},
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_softmax_s8.c",),
        phases={"ost_softmax_s8_elements": "other"},
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


def check_window(name: str, dims: ConvDims) -> None:
    """Refuses a window that leaves the padded input.

    Raises:
        UnsupportedError: it does.
    """
    for axis in (0, 1):
        last = (dims.output[axis] - 1) * dims.stride[axis] + (dims.kernel[axis] - 1) * dims.dilation[axis]
        padded = dims.input[axis] + 2 * dims.padding[axis]
        if last >= padded:
            raise UnsupportedError(
                f"Layer {name}: its last window reaches element {last} of a padded input of {padded}; an output of "
                f"{dims.output[:2]} needs more padding."
            )
