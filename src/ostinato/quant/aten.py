"""The allow-list: each supported ATen operator and how it becomes an operator of the float graph."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ostinato.quant.call import Call
from ostinato.quant.graph import (
    Clamp,
    FloatActivation,
    FloatAdd,
    FloatBatchNorm,
    FloatConcat,
    FloatConv,
    FloatFlatten,
    FloatLinear,
    FloatOp,
    FloatPool,
)
from ostinato.quant.reuse_layer import convert_reuse
from ostinato.quant.stem_layer import convert_stem
from ostinato.reuse.geometry import ConvGeometry, Pair


def _conv2d(call: Call) -> FloatOp:
    weight = call.constant(1, "weight")
    assert weight is not None  # conv2d has no default for it
    groups = int(call.arg(6, "groups", 1))
    kernel = (weight.shape[2], weight.shape[3])
    dilation = call.pair(5, "dilation", (1, 1))
    stride = call.pair(3, "stride", (1, 1))
    padding = call.arg(4, "padding", (0, 0))
    given = (
        _named_padding(call, padding, kernel, dilation) if isinstance(padding, str) else call.pair(4, "padding", (0, 0))
    )
    geometry = ConvGeometry(groups * weight.shape[1], weight.shape[0], kernel, stride, given, dilation)
    return FloatConv(
        name="", input=call.value(0), shape=call.shape, weight=weight, bias=_bias(call, len(weight)),
        geometry=geometry, groups=groups,
    )  # fmt: skip


def _named_padding(call: Call, padding: str, kernel: Pair, dilation: Pair) -> Pair:
    total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
    call.refuse_unless(
        not any(t % 2 for t in total),
        f"padding='same' with kernel {kernel} pads one side more than the other; use an odd kernel or numbers",
    )
    return (total[0] // 2, total[1] // 2)


def _bias(call: Call, channels: int) -> Tensor:
    bias = call.constant(2, "bias")
    return torch.zeros(channels, dtype=torch.float64) if bias is None else bias


def _linear(call: Call) -> FloatOp:
    call.refuse_unless(
        len(call.input_shape) == 1,
        f"a linear layer on a tensor of shape {(1, *call.input_shape)} is not supported; flatten it to (1, features)",
    )
    weight = call.constant(1, "weight")
    assert weight is not None
    return FloatLinear(name="", input=call.value(0), shape=call.shape, weight=weight, bias=_bias(call, len(weight)))


def _batch_norm(call: Call) -> FloatOp:
    mean, variance = call.constant(3, "running_mean"), call.constant(4, "running_var")
    if mean is None or variance is None or call.arg(5, "training", False):
        call.refuse("batch norm uses the statistics of the batch; track_running_stats=True is needed")
    gamma, beta = call.constant(1, "weight"), call.constant(2, "bias")
    scale = (variance + float(call.arg(7, "eps", 1e-5))).rsqrt() * (1.0 if gamma is None else gamma)
    shift = (0.0 if beta is None else beta) - mean * scale
    return FloatBatchNorm(name="", input=call.value(0), shape=call.shape, scale=scale, shift=shift)


def _activation(call: Call, clamp: Clamp) -> FloatOp:
    call.refuse_unless(
        clamp.low <= 0 <= clamp.high and clamp.low < clamp.high,
        f"a clamp to [{clamp.low:g}, {clamp.high:g}] is not supported; its limits must include zero",
    )
    return FloatActivation(name="", input=call.value(0), shape=call.shape, clamp=clamp)


def _hardtanh(call: Call) -> FloatOp:
    return _activation(call, Clamp(float(call.arg(1, "min_val", -1)), float(call.arg(2, "max_val", 1))))


def _clamp(call: Call) -> FloatOp:
    low, high = call.arg(1, "min"), call.arg(2, "max")
    return _activation(call, Clamp(-math.inf if low is None else float(low), math.inf if high is None else float(high)))


def _pool(call: Call, average: bool) -> FloatOp:
    kernel = call.pair(1, "kernel_size", ())
    stride = call.pair(2, "stride", ()) if call.arg(2, "stride") else kernel
    padding = call.pair(3, "padding", (0, 0))
    dilation = (1, 1) if average else call.pair(4, "dilation", (1, 1))
    if average:
        counted = bool(call.arg(5, "count_include_pad", True)) and padding != (0, 0)
        call.refuse_unless(
            not counted, "average pooling that counts padding is not supported; set count_include_pad=False"
        )
        call.refuse_unless(
            call.arg(6, "divisor_override") is None, "average pooling with divisor_override is not supported"
        )
    window = ConvGeometry(1, 1, kernel, stride, padding, dilation)
    floor = window.output_size(*call.input_shape[1:])
    call.refuse_unless(
        floor == call.shape[1:],
        f"pooling with ceil_mode=True gives {call.shape[1]}×{call.shape[2]} here and windows beyond the map; "
        f"only ceil_mode=False ({floor[0]}×{floor[1]}) is supported",
    )
    return FloatPool(
        name="", input=call.value(0), shape=call.shape, average=average, kernel=kernel, stride=stride,
        padding=padding, dilation=dilation,
    )  # fmt: skip


def _adaptive_average(call: Call) -> FloatOp | None:
    (height, width), (oh, ow) = call.input_shape[1:], call.shape[1:]
    call.refuse_unless(
        height % oh == 0 and width % ow == 0,
        f"adaptive pooling of {height}×{width} to {oh}×{ow} has windows of several sizes; the input must be a multiple",
    )
    kernel = (height // oh, width // ow)
    if kernel == (1, 1):
        return None
    return FloatPool(name="", input=call.value(0), shape=call.shape, average=True, kernel=kernel, stride=kernel)


def _mean(call: Call) -> FloatOp:
    rank = len(call.input_shape) + 1
    dims = sorted(int(d) % rank for d in call.arg(1, "dim") or ())
    call.refuse_unless(
        rank == 4 and dims == [2, 3], f"a mean over dimensions {dims} is not supported; only height and width"
    )
    _, height, width = call.input_shape
    channels = call.input_shape[0]
    return FloatPool(
        name="", input=call.value(0), shape=(channels, 1, 1), average=True, kernel=(height, width), stride=(1, 1)
    )


def _add(call: Call) -> FloatOp:
    first, second = call.value(0), call.value(1)
    shapes = [tuple(int(n) for n in node.meta["val"].shape) for node in call.node.args[:2]]  # type: ignore[union-attr]
    call.refuse_unless(
        shapes[0] == shapes[1],
        f"a sum of tensors of shapes {shapes[0]} and {shapes[1]} is not supported; only of equal ones",
    )
    alpha = call.arg(2, "alpha", 1)
    call.refuse_unless(alpha == 1, f"a sum with alpha={alpha} is not supported; only with alpha=1")
    return FloatAdd(name="", sources=(first, second), shape=call.shape)


def _concat(call: Call) -> FloatOp | None:
    parts, rank = call.values_of(0), len(call.shape) + 1
    dim = int(call.arg(1, "dim", 0)) % rank
    call.refuse_unless(dim == 1, f"a concatenation along dimension {dim} is not supported; only along the channels (1)")
    return FloatConcat(name="", sources=parts, shape=call.shape) if len(parts) > 1 else None


def _reshape(call: Call) -> FloatOp | None:
    batch = int(call.node.meta["val"].shape[0]) if call.node.meta["val"].ndim else 0
    if batch == 1 and call.shape == call.input_shape:
        return None
    flat = (math.prod(call.input_shape),)
    squeezed = tuple(size for size in call.shape if size != 1) == tuple(size for size in call.input_shape if size != 1)
    call.refuse_unless(
        batch == 1 and len(call.shape) <= len(call.input_shape) and (call.shape == flat or squeezed),
        f"reshaping {(1, *call.input_shape)} to {tuple(call.node.meta['val'].shape)} is not supported; "
        "only flattening to (1, features) is",
    )
    return FloatFlatten(name="", input=call.value(0), shape=flat) if len(call.input_shape) > 1 else None


def _dropout(call: Call) -> None:
    call.refuse_unless(not call.arg(2, "train", False), "dropout is active in evaluation; pass training=self.training")


def _identity(call: Call) -> None:
    return None


_RELU = Clamp(0.0, math.inf)
_SHAPES = ("view.default", "reshape.default", "flatten.using_ints", "squeeze.default", "squeeze.dim", "squeeze.dims")

CONVERTERS: dict[str, Callable[[Call], FloatOp | None]] = {
    "aten.conv2d.default": _conv2d,
    "aten.conv2d.padding": _conv2d,
    "ostinato.reuse_conv2d.default": convert_reuse,
    "ostinato.reuse_linear.default": convert_reuse,
    "ostinato.transform_stem.default": convert_stem,
    "aten.linear.default": _linear,
    "aten.batch_norm.default": _batch_norm,
    "aten.relu.default": lambda call: _activation(call, _RELU),
    "aten.relu_.default": lambda call: _activation(call, _RELU),
    "aten.relu6.default": lambda call: _activation(call, Clamp(0.0, 6.0)),
    "aten.hardtanh.default": _hardtanh,
    "aten.hardtanh_.default": _hardtanh,
    "aten.clamp.default": _clamp,
    "aten.clamp_min.default": _clamp,
    "aten.max_pool2d.default": lambda call: _pool(call, average=False),
    "aten.avg_pool2d.default": lambda call: _pool(call, average=True),
    "aten.adaptive_avg_pool2d.default": _adaptive_average,
    "aten.mean.dim": _mean,
    "aten.add.Tensor": _add,
    "aten.add_.Tensor": _add,
    "aten.cat.default": _concat,
    "aten.concat.default": _concat,
    "aten.concatenate.default": _concat,
    **{f"aten.{name}": _reshape for name in _SHAPES},
    "aten.dropout.default": _dropout,
    "aten.feature_dropout.default": _dropout,
    "aten.contiguous.default": _identity,
    "aten.clone.default": _identity,
    "aten.detach_.default": _identity,
}
