"""Random conventional operators, and the ones of CifarNet, for tests of their kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pool_samples import random_pool_behind

from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_conv, bind_linear, bind_softmax
from ostinato.kernels.joins import bind_add, bind_concat
from ostinato.kernels.pooled import bind_conv_pooled
from ostinato.kernels.pools import bind_avg_pool, bind_max_pool
from ostinato.quant.arithmetic import Int8Array, IntArray
from ostinato.quant.ops import ConvDims, QAdd, QAvgPool2d, QConcat, QConv2d, QGraph, QLinear, QMaxPool2d, QOp, QTensor
from ostinato.quant.pooled_op import QPooled
from ostinato.quant.softmax_op import QSoftmax, with_softmax

SOURCES = (
    "conventional/ost_conv_s8_cmsis.c",
    "conventional/ost_conv_s8_cmsis_product.S",
    "conventional/ost_conv_s8_cmsis_pooled.c",
    "conventional/ost_conv_s8_dense.c",
    "conventional/ost_conv_s8_dense_im2col.c",
    "conventional/ost_conv_s8_dense_pooled.c",
    "conventional/ost_conv_s8_dense_gemm.S",
    "conventional/ost_conv_s8_dense_gemm_plain.c",
    "conventional/ost_conv_s8_depthwise.c",
    "conventional/ost_conv_s8_depthwise_pixel.S",
    "conventional/ost_conv_s8_grouped.c",
    "conventional/ost_fully_connected_s8.c",
    "conventional/ost_fully_connected_s8_blocks.S",
    "conventional/ost_max_pool_s8.c",
    "conventional/ost_max_pool_s8_columns.S",
    "conventional/ost_avg_pool_s8.c",
    "conventional/ost_add_s8.c",
    "conventional/ost_concat_s8.c",
    "conventional/ost_softmax_s8.c",
)


def tensor(name: str, shape: tuple[int, ...], zero_point: int) -> QTensor:
    return QTensor(name, shape, 0.05, zero_point)


def random_input(rng: np.random.Generator, shape: tuple[int, ...]) -> Int8Array:
    return rng.integers(-128, 128, shape).astype(np.int8)


def random_window(rng: np.random.Generator, channels: int, outputs: int) -> ConvDims:
    """Any kernel, stride, padding and dilation, with an output that may leave a rest of the input unused."""
    kernel = tuple(int(v) for v in rng.integers(1, 6, 2))
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    dilation = tuple(int(v) for v in rng.choice([1, 1, 1, 2, 3], 2))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [int(rng.integers(max(1, r - 2 * p), r + 9)) for r, p in zip(reach, padding, strict=True)]
    out = [(n + 2 * p - r) // s + 1 for n, p, r, s in zip(size, padding, reach, stride, strict=True)]
    return ConvDims(
        input=(size[0], size[1], channels),
        output=(out[0], out[1], outputs),
        kernel=(kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1]),
        dilation=(dilation[0], dilation[1]),
    )


def requantisation(rng: np.random.Generator, columns: int, outputs: int, wide: bool) -> tuple[IntArray, IntArray]:
    """Multipliers and shifts: usual ones that spread the outputs over int8, or (`wide`) also left shifts and none."""
    multiplier = rng.integers(1 << 30, 1 << 31, outputs).astype(np.int32)
    multiplier[rng.random(outputs) < 0.1] = 1 << 30
    usual = -int(np.log2(40 * np.sqrt(columns))) - rng.integers(0, 3, outputs)
    shift = rng.integers(-25, 2, outputs) if wide else usual
    return multiplier, shift.astype(np.int32)


def activation_range(rng: np.random.Generator, wide: bool) -> tuple[int, int]:
    if not wide:
        return -128, 127
    low = int(rng.integers(-128, 100))
    return low, int(rng.integers(low, 128))


def make_conv(rng: np.random.Generator, dims: ConvDims, *, wide: bool = False, groups: int = 1) -> QConv2d:
    """`wide` leaves the usual range of shifts and activations (the dense kernel's longer requantisation)."""
    outputs = dims.output[2]
    multiplier, shift = requantisation(rng, dims.columns // groups, outputs, wide)
    low, high = activation_range(rng, wide)
    return QConv2d(
        name="features.conv",
        input=tensor("x", dims.input, int(rng.integers(-128, 128))),
        output=tensor("y", dims.output, int(rng.integers(-128, 128))),
        dims=dims,
        weight=rng.integers(-127, 128, (outputs, *dims.kernel, dims.input[2] // groups)).astype(np.int8),
        bias=rng.integers(-(1 << 14), 1 << 14, outputs).astype(np.int32),
        multiplier=multiplier,
        shift=shift,
        activation_min=low,
        activation_max=high,
        groups=groups,
    )


def random_grouped(rng: np.random.Generator) -> QConv2d:
    """Depthwise, or any other groups."""
    groups = int(rng.integers(2, 40))
    each, outputs = (1, 1) if rng.random() < 0.5 else (int(n) for n in rng.integers(1, 9, 2))
    dims = random_window(rng, groups * each, groups * outputs)
    return make_conv(rng, dims, wide=bool(rng.random() < 0.3), groups=groups)


def narrow_conv(channels: int, multiplier: int, shift: int, zero_point: int) -> QConv2d:
    """A 1×1 convolution of up to 8 channels with small and large accumulators of both signs, ties among them."""
    op = make_conv(np.random.default_rng(0), ConvDims((16, 16, 1), (16, 16, channels), (1, 1)))
    return replace(
        op,
        input=tensor("x", op.dims.input, 0),
        output=tensor("y", op.dims.output, zero_point),
        weight=np.array([1, -1, 2, -2, 1, -1, 127, -127], np.int8)[:channels].reshape(-1, 1, 1, 1),
        bias=np.array([0, 0, 1, 1, -1, 1, 3, -3], np.int32)[:channels],
        multiplier=np.full(channels, multiplier, np.int32),
        shift=np.full(channels, shift, np.int32),
    )


def random_conv(rng: np.random.Generator) -> QConv2d:
    channels = int(rng.integers(1, 71))
    if rng.random() < 0.3:  # whole blocks of columns, which the dense kernel does not gather
        channels = int(rng.choice([16, 32, 48]))
    dims = random_window(rng, channels, int(rng.integers(1, 71)))
    return make_conv(rng, dims, wide=bool(rng.random() < 0.3))


def random_pooled(rng: np.random.Generator) -> QPooled:
    """A convolution and a max-pool that one kernel does with it."""
    while True:
        found = random_pool_behind(rng, random_conv(rng))
        if found is not None:
            return found


def make_linear(rng: np.random.Generator, inputs: int, outputs: int, *, wide: bool = False) -> QLinear:
    multiplier, shift = requantisation(rng, inputs, outputs, wide)
    low, high = activation_range(rng, wide)
    return QLinear(
        name="classifier.fc",
        input=tensor("x", (inputs,), int(rng.integers(-128, 128))),
        output=tensor("y", (outputs,), int(rng.integers(-128, 128))),
        weight=rng.integers(-127, 128, (outputs, inputs)).astype(np.int8),
        bias=rng.integers(-(1 << 14), 1 << 14, outputs).astype(np.int32),
        multiplier=multiplier,
        shift=shift,
        activation_min=low,
        activation_max=high,
    )


def random_linear(rng: np.random.Generator) -> QLinear:
    return make_linear(rng, int(rng.integers(1, 200)), int(rng.integers(1, 40)), wide=bool(rng.random() < 0.5))


def make_pool(kind: type[QMaxPool2d] | type[QAvgPool2d], dims: ConvDims) -> QMaxPool2d | QAvgPool2d:
    return kind(name="features.pool", input=tensor("x", dims.input, 3), output=tensor("y", dims.output, 3), dims=dims)


def random_pool(rng: np.random.Generator, kind: type[QMaxPool2d] | type[QAvgPool2d]) -> QMaxPool2d | QAvgPool2d:
    channels = int(rng.integers(1, 71))
    dims = random_window(rng, channels, channels)
    while kind is QAvgPool2d and not _every_window_holds_something(dims):
        dims = random_window(rng, channels, channels)
    return make_pool(kind, dims)


def overlapping_pools() -> list[QMaxPool2d]:
    """3×3 windows at a horizontal stride of 2: any padding and height, few windows or none that end in the input."""
    return [
        make_pool(QMaxPool2d, ConvDims((height, width, channels), (oh, ow, channels), (3, 3), (sy, 2), (py, px)))
        for channels in (8, 12, 15, 24)
        for px in (0, 1)
        for py in (0, 1, 2)
        for sy in (1, 2)
        for height in (1, 2, 3, 6)
        for width in (1, 2, 3, 4, 9)
        if (oh := (height + 2 * py - 3) // sy + 1) > 0 and (ow := (width + 2 * px - 3) // 2 + 1) > 0
    ]


def _every_window_holds_something(dims: ConvDims) -> bool:
    for axis in (0, 1):
        for o in range(dims.output[axis]):
            start = o * dims.stride[axis] - dims.padding[axis]
            taps = [start + k * dims.dilation[axis] for k in range(dims.kernel[axis])]
            if not any(0 <= t < dims.input[axis] for t in taps):
                return False
    return True


def random_add(rng: np.random.Generator) -> QAdd:
    """Any number of elements; mostly with 14 fraction bits and int8's own limits, which the DSP code is made for."""
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    bits = 14 if rng.random() < 0.7 else int(rng.integers(1, 15))
    first, second = (int(rng.integers(0, min(2**15, 2 ** (bits + 1)))) for _ in range(2))
    low, high = activation_range(rng, bool(rng.random() < 0.3))
    return QAdd(
        name="features.add",
        output=tensor("y", shape, 0),
        terms=(tensor("a", shape, 0), tensor("b", shape, 0)),
        multipliers=(first, second),
        offset=int(rng.integers(-300, 300)) << bits,
        fraction_bits=bits,
        activation_min=low,
        activation_max=high,
    )


def random_concat(rng: np.random.Generator) -> QConcat:
    height, width = (int(n) for n in rng.integers(1, 6, 2))
    channels = [int(n) for n in rng.integers(1, 70, rng.integers(2, 6))]
    parts = tuple(tensor(f"p{i}", (height, width, c), 3) for i, c in enumerate(channels))
    return QConcat(name="features.cat", output=tensor("y", (height, width, sum(channels)), 3), parts=parts)


def random_softmax(rng: np.random.Generator) -> QSoftmax:
    logits = QTensor("x", (int(rng.integers(1, 200)),), float(rng.uniform(0.001, 0.5)), int(rng.integers(-128, 128)))
    softmax = with_softmax(QGraph("net", logits, logits, ())).ops[-1]
    assert isinstance(softmax, QSoftmax)
    return softmax


def random_inputs(rng: np.random.Generator, op: QOp) -> list[Int8Array]:
    return [random_input(rng, source.shape) for source in op.inputs]


def random_joins(rng: np.random.Generator) -> list[tuple[QOp, Binding]]:
    """One random operator with several inputs of each kind."""
    add, concat = random_add(rng), random_concat(rng)
    return [(add, bind_add(add)), (concat, bind_concat(concat))]


def random_bindings(rng: np.random.Generator) -> list[tuple[QOp, Binding]]:
    """One random operator of each kind with each of its bindings."""
    conv, linear, grouped = random_conv(rng), random_linear(rng), random_grouped(rng)
    softmax = random_softmax(rng)
    pooled = random_pooled(rng)
    largest, mean = random_pool(rng, QMaxPool2d), random_pool(rng, QAvgPool2d)
    return [
        (conv, bind_conv(conv, "cmsis")),
        (conv, bind_conv(conv, "dense")),
        (grouped, bind_conv(grouped, "dense")),
        *((pooled, bind_conv_pooled(pooled.layer, kernel, pooled.pool.dims)) for kernel in ("dense", "cmsis")),
        (linear, bind_linear(linear)),
        (largest, bind_max_pool(largest)),
        (mean, bind_avg_pool(mean)),
        (softmax, bind_softmax(softmax)),
    ]
