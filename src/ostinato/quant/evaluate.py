"""The float graph, executed: what calibration observes, and what integers are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.quant.graph import (
    INPUT,
    ClampedOp,
    FloatActivation,
    FloatAdd,
    FloatBatchNorm,
    FloatConcat,
    FloatConv,
    FloatFlatten,
    FloatGraph,
    FloatLinear,
    FloatOp,
    FloatPool,
    FloatReuse,
    FloatStem,
)
from ostinato.quant.stem_layer import execute_stem
from ostinato.reuse.functional import reuse_conv2d


def run(graph: FloatGraph, x: Tensor) -> dict[str, Tensor]:
    """Every value of the graph by name, for inputs (B, C, H, W), in the input's precision.

    Reuse layers run in their deployed scope: clusters are those of one image, or the compiled ones.
    """
    return dict(steps(graph, x))


def steps(graph: FloatGraph, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """`run`, one value after another."""
    values = {INPUT: x}
    yield INPUT, x
    with torch.no_grad():
        for op in graph.ops:
            values[op.name] = execute(op, *(values[name] for name in op.inputs))
            yield op.name, values[op.name]


def execute(op: FloatOp, *inputs: Tensor) -> Tensor:
    """One operator on a batch of each of its input values."""
    y = _EXECUTORS[type(op)](op, *inputs)
    return y.clamp(op.clamp.low, op.clamp.high) if isinstance(op, ClampedOp) else y


def _conv(op: FloatConv, x: Tensor) -> Tensor:
    g = op.geometry
    return F.conv2d(x, op.weight.to(x), op.bias.to(x), g.stride, g.padding, g.dilation, op.groups)


def _reuse(op: FloatReuse, x: Tensor) -> Tensor:
    centroids = None if op.centroids is None else op.centroids.to(x)
    offsets = None if op.table_offsets is None else op.table_offsets.to(x)
    y = reuse_conv2d(
        op.as_image(x), op.weight.to(x), op.bias.to(x), op.hash_vectors.to(x), op.thresholds.to(x), op.pattern,
        stride=op.geometry.stride, padding=op.geometry.padding, dilation=op.geometry.dilation,
        centroids=centroids, counts=None if centroids is None else centroids.new_ones(centroids.shape[:2]),
        table_offsets=offsets, layer_name=op.name,
    )  # fmt: skip
    return y if len(op.shape) == 3 else y.flatten(1)


def _linear(op: FloatLinear, x: Tensor) -> Tensor:
    return F.linear(x.flatten(1), op.weight.to(x), op.bias.to(x))


def _batch_norm(op: FloatBatchNorm, x: Tensor) -> Tensor:
    shape = (1, -1, *([1] * (x.ndim - 2)))
    return x * op.scale.to(x).view(shape) + op.shift.to(x).view(shape)


def _pool(op: FloatPool, x: Tensor) -> Tensor:
    if op.average:
        return F.avg_pool2d(x, op.kernel, op.stride, op.padding, count_include_pad=False)
    return F.max_pool2d(x, op.kernel, op.stride, op.padding, op.dilation)


def _flatten(op: FloatFlatten, x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(1) if op.channels_last and x.ndim == 4 else x.flatten(1)


_EXECUTORS: dict[type[FloatOp], Callable[..., Tensor]] = {
    FloatConv: _conv,
    FloatReuse: _reuse,
    FloatStem: execute_stem,
    FloatLinear: _linear,
    FloatBatchNorm: _batch_norm,
    FloatActivation: lambda op, x: x.clamp(op.clamp.low, op.clamp.high),
    FloatPool: _pool,
    FloatFlatten: _flatten,
    FloatAdd: lambda op, first, second: first + second,
    FloatConcat: lambda op, *parts: torch.cat(parts, 1),
}
