"""Calibration: what activations look like on real images, observed in the network that will be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from ostinato.errors import DataError, ModelError, QuantizationError
from ostinato.quant.evaluate import steps
from ostinato.quant.graph import INPUT, FloatGraph, FloatPool, FloatReuse, FloatStem
from ostinato.quant.ranges import METHODS, POWER_OF_TWO_METHODS, Observer, Range, Scales, hull, power_of_two
from ostinato.quant.reuse_statistics import ReuseStatistics
from ostinato.quant.scales import owns_scale, shared_scales
from ostinato.quant.stem_layer import StemStatistics

_BATCH = 16


@dataclass(frozen=True)
class Calibration:
    """Ranges of the values that have a scale of their own, and what reuse layers need beside them."""

    ranges: Mapping[str, Range]
    reuse: Mapping[str, ReuseStatistics | StemStatistics]
    scales: Scales = "real"


def calibrate(graph: FloatGraph, images: Tensor, method: str = "mse", scales: Scales = "real") -> Calibration:
    """Observe `graph` on `images` (N, C, H, W), already scaled as the network expects them.

    Pooling keeps its input's scale. A maximum of clipped values is the clipped maximum, so where all that reads a layer
    is max pooling, the range is that of the pooled values, which are what later layers see. What is concatenated shares
    one range, that of the concatenation; for values in several concatenations, the hull of theirs. With `scales`
    "power_of_two" every range is one of 8-bit fixed point.

    Raises:
        DataError: no images, or of another shape than the network's input.
        QuantizationError: an unknown method.
        ModelError: activations that are NaN or infinite, naming the layer.
    """
    if method not in METHODS:
        raise QuantizationError(f"calibration method '{method}' is not known; known: {', '.join(METHODS)}")
    if scales not in get_args(Scales):
        raise QuantizationError(f"scales '{scales}' are not known; known: {', '.join(get_args(Scales))}")
    if images.ndim != 4 or len(images) == 0 or tuple(images.shape[1:]) != graph.input_shape:
        raise DataError(
            f"calibration images have shape {tuple(images.shape)}; the network needs at least one, (N, "
            f"{', '.join(map(str, graph.input_shape))})"
        )
    batches = torch.split(images, _BATCH)
    tied = shared_scales(graph)
    owners = (INPUT, *(op.name for op in graph.ops if owns_scale(op)))
    observed = {owner: [observed_at(graph, name) for name in tied.get(owner, (owner,))] for owner in owners}
    observers = {value: Observer(len(batches)) for values in observed.values() for value in values}
    reuse: list[ReuseStatistics | StemStatistics] = [
        StemStatistics(op) if isinstance(op, FloatStem) else ReuseStatistics(op)
        for op in graph.ops
        if isinstance(op, FloatReuse | FloatStem)
    ]
    for batch in batches:
        for name, value in steps(graph, batch):
            if name in observers:
                _see(observers[name], value, name)
            for statistics in reuse:
                if statistics.op.input == name:
                    statistics.see(value)
    methods = METHODS if scales == "real" else POWER_OF_TWO_METHODS
    found = {value: methods[method](observer) for value, observer in observers.items()}
    ranges = {owner: hull([found[value] for value in values]) for owner, values in observed.items()}
    if scales == "power_of_two":
        ranges = {owner: power_of_two(together) for owner, together in ranges.items()}
    return Calibration(ranges, {statistics.op.name: statistics for statistics in reuse}, scales)


def observed_at(graph: FloatGraph, name: str) -> str:
    """The value whose distribution decides the range of value `name`: itself, or what max pooling makes of it."""
    readers = graph.consumers(name)
    if len(readers) == 1 and graph.output != name:
        reader = readers[0]
        if isinstance(reader, FloatPool) and not reader.average:
            return observed_at(graph, reader.name)
    return name


def _see(observer: Observer, value: Tensor, name: str) -> None:
    try:
        observer.see(torch.as_tensor(value))
    except ValueError as error:
        where = "the calibration images have" if name == INPUT else f"layer '{name}': calibration gave"
        raise ModelError(
            f"{where} NaN or infinite values; check the model's weights and the images' scaling"
        ) from error
