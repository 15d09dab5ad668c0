"""The whole way: a float module and calibration images to the integer network that firmware runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ostinato.errors import DataError, QuantizationError
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN
from ostinato.quant.calibrate import Calibration, calibrate
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import (
    INPUT,
    FloatAdd,
    FloatConcat,
    FloatConv,
    FloatFlatten,
    FloatGraph,
    FloatLinear,
    FloatOp,
    FloatPool,
    FloatReuse,
    FloatStem,
    Shape,
    WeightedOp,
)
from ostinato.quant.ops import ConvDims, QAvgPool2d, QGraph, QMaxPool2d, QOp, QTensor
from ostinato.quant.passes import prepare
from ostinato.quant.quantize_dense import activation_limits, quantize_conv, quantize_linear
from ostinato.quant.quantize_horizontal import quantize_horizontal
from ostinato.quant.quantize_join import quantize_add, quantize_concat
from ostinato.quant.quantize_reuse_compiled import quantize_reuse_compiled
from ostinato.quant.quantize_reuse_image import quantize_reuse_image
from ostinato.quant.quantize_stem import quantize_stem
from ostinato.quant.ranges import Scales
from ostinato.quant.reuse_statistics import ReuseStatistics
from ostinato.quant.scales import owns_scale
from ostinato.quant.softmax_op import with_softmax
from ostinato.quant.stem_layer import StemStatistics
from ostinato.reuse.geometry import Pair


def quantize(
    model: nn.Module,
    calibration: Tensor,
    *,
    input_scale: float | None = None,
    input_zero_point: int | None = None,
    name: str = "model",
    classes: Sequence[str] = (),
    method: str = "mse",
    scales: Scales = "real",
    softmax: bool = False,
) -> QGraph:
    """Quantise `model` after training: per-channel symmetric int8 weights, per-tensor asymmetric int8 activations.

    With `scales="power_of_two"` it is the papers' 8-bit fixed point (GR §5.1): one power of two for each tensor.

    Args:
        model: in eval mode or not; it is not changed.
        calibration: real images (N, C, H, W) as the model takes them, best a few hundred of the training set.
        input_scale: fix the input's scale (1/128 for images in [−1, 1)) rather than calibrate it.
        input_zero_point: with `input_scale`; 0 unless given.
        name: of the network, in generated code.
        classes: names of the outputs.
        method: how activation ranges are found: `mse`, `percentile` or `minmax`.
        scales: `real` or `power_of_two`.
        softmax: end in probabilities, whether or not the model does; otherwise its softmax is left out.

    Raises:
        UnsupportedError: what firmware cannot express, naming the layer.
        ModelError: weights or activations that are NaN or infinite.
        DataError: unusable calibration images.
        QuantizationError: arithmetic that cannot be proven safe, or unusable arguments.
    """
    if calibration.ndim != 4 or len(calibration) == 0:
        raise DataError(
            f"calibration images have shape {tuple(calibration.shape)}; at least one is needed, (N, C, H, W)"
        )
    parameters = _input_parameters(input_scale, input_zero_point)
    if scales == "power_of_two" and parameters is not None and math.frexp(parameters[0])[0] != 0.5:
        raise QuantizationError(f"input_scale={input_scale} is no power of two, which scales='power_of_two' asks for")
    graph = prepare(from_module(model, calibration[:1]))
    quantized = quantize_graph(
        graph,
        calibrate(graph, calibration, method, scales),
        input_parameters=parameters,
        name=name,
        classes=tuple(classes),
    )
    return with_softmax(quantized) if softmax else quantized


def _input_parameters(scale: float | None, zero_point: int | None) -> tuple[float, int] | None:
    if scale is None:
        if zero_point is not None:
            raise QuantizationError("input_zero_point is given without input_scale; give both or neither")
        return None
    zero_point = 0 if zero_point is None else zero_point
    if not 0 < scale < float("inf") or not -128 <= zero_point <= 127:
        raise QuantizationError(
            f"input_scale={scale} and input_zero_point={zero_point} are not usable: the scale must be positive and "
            "finite, the zero point within −128 and 127"
        )
    return scale, zero_point


def quantize_graph(
    graph: FloatGraph,
    calibration: Calibration,
    *,
    input_parameters: tuple[float, int] | None = None,
    name: str = "model",
    classes: tuple[str, ...] = (),
) -> QGraph:
    """Integers for a prepared graph (see `passes.prepare`) and what `calibrate` observed in it."""
    parameters = input_parameters or calibration.ranges[INPUT].parameters()
    tensors = {INPUT: QTensor(INPUT, _channels_last(graph.input_shape), *parameters)}
    ops: list[QOp] = []
    for op in graph.ops:
        sources = tuple(tensors[name] for name in op.inputs)
        if isinstance(op, FloatFlatten):  # a map in (H, W, C) order already is that vector
            tensors[op.name] = sources[0]
            continue
        own = calibration.ranges[op.name].parameters() if owns_scale(op) else (sources[0].scale, sources[0].zero_point)
        tensors[op.name] = QTensor(op.name, _channels_last(op.shape), *own)
        ops.append(_quantize_op(op, sources, tensors[op.name], calibration))
    _check_classes(classes, tensors[graph.output])
    metadata = {"notes": "; ".join(graph.notes)} if graph.notes else {}
    metadata |= {} if calibration.scales == "real" else {"scales": calibration.scales}
    return QGraph(name, tensors[INPUT], tensors[graph.output], tuple(ops), classes, metadata)


def _check_classes(classes: tuple[str, ...], output: QTensor) -> None:
    if classes and len(classes) != output.size:
        raise QuantizationError(f"{len(classes)} class names are given for a network with {output.size} outputs")


def _quantize_op(op: FloatOp, sources: tuple[QTensor, ...], target: QTensor, calibration: Calibration) -> QOp:
    if isinstance(op, FloatAdd):
        return quantize_add(op, sources[0], sources[1], target)
    if isinstance(op, FloatConcat):
        return quantize_concat(op, sources, target)
    (source,) = sources
    if isinstance(op, FloatLinear):
        return quantize_linear(op, source, target, calibration.scales)
    if isinstance(op, FloatPool):
        dims = _dims(source, target, op.kernel, op.stride, op.padding, op.dilation)
        kind = QAvgPool2d if op.average else QMaxPool2d
        return kind(name=op.name, input=source, output=target, dims=dims)
    if isinstance(op, FloatConv | FloatReuse | FloatStem):
        g = op.geometry
        dims = _dims(source, target, g.kernel_size, g.stride, g.padding, g.dilation)
        if isinstance(op, FloatConv):
            return quantize_conv(op, dims, source, target, calibration.scales)
        _check_saturation(op, target)
        statistics = calibration.reuse[op.name]
        if isinstance(op, FloatStem):
            assert isinstance(statistics, StemStatistics)
            return quantize_stem(op, dims, source, target, statistics)
        assert isinstance(statistics, ReuseStatistics)
        if op.pattern.direction == "horizontal":
            return quantize_horizontal(op, dims, source, target, statistics, calibration.scales)
        if op.pattern.scope == "image":
            return quantize_reuse_image(op, dims, source, target, statistics, calibration.scales)
        return quantize_reuse_compiled(op, dims, source, target, statistics)
    raise TypeError(f"{type(op).__name__} '{op.name}' is not left by passes.prepare")


def _check_saturation(op: WeightedOp, target: QTensor) -> None:
    """A reuse layer's activation is int8's saturation: its limits must be the ends of the output's range."""
    low, high = activation_limits(op.clamp, target)
    if low > INT8_MIN + 1 or high < INT8_MAX - 1:  # a range that was rounded to its zero point may be off by one
        raise QuantizationError(
            f"layer '{op.name}': its activation limits outputs to {low} … {high} of int8's {INT8_MIN} … {INT8_MAX}, "
            "for example because it is concatenated with a layer of another range; a reuse layer has no other limits "
            "than int8's: give all parts of the concatenation the same activation, or leave this layer conventional"
        )


def _dims(source: QTensor, target: QTensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> ConvDims:
    height, width, channels = source.shape if len(source.shape) == 3 else (1, 1, *source.shape)  # a vector
    oh, ow, out = target.shape if len(target.shape) == 3 else (1, 1, *target.shape)
    return ConvDims((height, width, channels), (oh, ow, out), kernel, stride, padding, dilation)


def _channels_last(shape: Shape) -> tuple[int, ...]:
    return (*shape[1:], shape[0])
