"""Signal-to-noise ratio by layer: the integer network against the float model that it was made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ostinato.errors import UnsupportedError
from ostinato.quant.accuracy import dequantize
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.evaluate import execute
from ostinato.quant.evaluate import run as run_float
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import INPUT, FloatFlatten, FloatGraph, FloatOp, Shape
from ostinato.quant.ops import QGraph, QTensor
from ostinato.quant.passes import prepare
from ostinato.quant.pooled_op import apart
from ostinato.quant.softmax_op import QSoftmax


@dataclass(frozen=True)
class Decibels:
    """10 · log10(power of the signal / power of the error); infinite without error, −infinite without signal."""

    total: float
    """Error of all layers up to this one."""
    own: float
    """Error of this layer alone, whose float twin was given the same int8 inputs."""


@dataclass
class _Powers:
    signal: float = 0.0
    noise: float = 0.0

    def add(self, exact: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> None:
        self.signal += float(np.square(exact).sum())
        self.noise += float(np.square(exact - found).sum())

    def decibels(self) -> float:
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


@dataclass
class LayerErrors:
    """Sums up, image by image, how far each integer layer is from its float twin.

    The float model is given the network's int8 input as real numbers, so that what is compared is the arithmetic.
    """

    graph: QGraph
    floats: FloatGraph
    _total: dict[str, _Powers] = field(default_factory=dict)
    _own: dict[str, _Powers] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: QGraph, model: nn.Module) -> LayerErrors:
        """For `graph`, which was made from `model`.

        Raises:
            UnsupportedError: the model has other layers than the network.
        """
        height, width, channels = graph.input.shape
        graph = apart(graph)
        floats = prepare(from_module(model, torch.zeros(1, channels, height, width)))
        names = [op.name for op in floats.ops if not isinstance(op, FloatFlatten)]
        # A softmax is the integer network's own; there is nothing to compare it with.
        if names != [op.name for op in graph.ops if not isinstance(op, QSoftmax)]:
            raise UnsupportedError(
                f"The float model's layers ({', '.join(names)}) are not those of the network "
                f"({', '.join(op.name for op in graph.ops)}); compare with the model that was deployed."
            )
        return cls(graph, floats)

    def see(self, tensors: Mapping[str, Int8Array]) -> None:
        """Take one image into account: all int8 tensors by name, as `reference.execute` returns them."""
        quantized = {INPUT: self.graph.input} | {op.name: op.output for op in self.graph.ops}
        image = _tensor(tensors[self.graph.input.name], self.graph.input, self.floats.input_shape)
        exact = run_float(self.floats, image)
        # Flattened maps are in the order that firmware stores them in; the value is the tensor before.
        found = {INPUT: image}
        for op in self.floats.ops:
            if isinstance(op, FloatFlatten):
                found[op.name] = execute(op, found[op.input])
                continue
            tensor = quantized[op.name]
            found[op.name] = _tensor(tensors[tensor.name], tensor, op.shape)
            own = execute(op, *(found[name] for name in op.inputs))
            self._add(self._total, op, exact[op.name], found[op.name])
            self._add(self._own, op, own, found[op.name])

    def decibels(self) -> dict[str, Decibels]:
        """By layer name."""
        return {name: Decibels(self._total[name].decibels(), self._own[name].decibels()) for name in self._total}

    @staticmethod
    def _add(powers: dict[str, _Powers], op: FloatOp, exact: Tensor, found: Tensor) -> None:
        powers.setdefault(op.name, _Powers()).add(exact.double().numpy(), found.double().numpy())


def _tensor(values: Int8Array, tensor: QTensor, shape: Shape) -> Tensor:
    """int8 (H, W, C) or (features,) as a real tensor with torch's `shape`, and a batch axis."""
    real = torch.from_numpy(dequantize(values, tensor))
    if len(shape) == 3:
        real = real.reshape(*shape[1:], shape[0]).permute(2, 0, 1)
    return real[None]
