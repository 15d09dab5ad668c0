"""Which order a map's channels have, and changing it without changing what the network computes (DESIGN §5.5).

A slice is a block of neighbouring channels. Which channels are neighbours is an accident of training; permuting the
filters that make them, and the inputs of every layer that reads them, makes correlated channels share a block and
costs nothing at inference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from ostinato.errors import ModelError

# Operators that treat all channels alike, or each by itself without parameters: they let a permutation through.
_CHANNELWISE = {
    "relu", "relu_", "relu6", "relu6_", "hardtanh", "hardtanh_", "clamp", "clamp_", "sigmoid", "silu", "silu_", "gelu",
    "leaky_relu", "leaky_relu_", "hardswish", "hardswish_", "elu", "elu_", "dropout", "dropout_", "feature_dropout",
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "clone", "contiguous",
}  # fmt: skip
_NORMALISATIONS = {"batch_norm", "_native_batch_norm_legit_no_training"}
_READERS = {"conv2d", "convolution", "reuse_conv2d"}


@dataclass(frozen=True)
class ChannelPath:
    """Everything that knows the order of one map's channels.

    Attributes:
        producer: qualified name of the convolution that makes them.
        norms: of batch normalisations on the way.
        readers: of convolutions and, behind a flattening, linear layers that read them.
    """

    producer: str
    norms: tuple[str, ...]
    readers: tuple[str, ...]

    def permute(self, model: nn.Module, permutation: Tensor) -> None:
        """Put the channels in the order `permutation` (C,), in place; the network's outputs stay what they were."""
        with torch.no_grad():
            _permute(model.get_submodule(self.producer), ("weight", "bias"), permutation)
            for name in self.norms:
                parts = ("weight", "bias", "running_mean", "running_var")
                _permute(model.get_submodule(name), parts, permutation)
            for name in self.readers:
                weight = model.get_submodule(name).weight
                assert isinstance(weight, Tensor)
                columns = weight.view(len(weight), len(permutation), -1)
                weight.copy_(columns[:, permutation.to(weight.device)].view_as(weight))


def channel_paths(model: nn.Module, layers: Iterable[str], example: Tensor) -> dict[str, ChannelPath | str]:
    """For each named convolution, the path of its input's channels; or why their order cannot be changed.

    Args:
        model: in any mode; not changed.
        layers: qualified names of convolutions.
        example: (1, C, H, W), one input.

    Raises:
        ModelError: the model cannot be exported.
    """
    graph = _Graph(model, example)
    return {name: graph.path(name) for name in layers}


def flattened_maps(model: nn.Module, layers: Iterable[str], example: Tensor) -> dict[str, tuple[int, int, int]]:
    """(C, H, W) of the maps whose flattenings the named linear layers read; without those that read other vectors.

    Args:
        model: in any mode; not changed.
        layers: qualified names of linear layers.
        example: (1, C, H, W), one input.

    Raises:
        ModelError: the model cannot be exported.
    """
    graph = _Graph(model, example)
    return {name: shape for name in layers if (shape := graph.flattened(name)) is not None}


class _Graph:
    """An exported graph, and which module each of its operators belongs to."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        with _evaluation(model):
            try:
                program = torch.export.export(model, (example,))
            except Exception as error:
                raise ModelError(f"the model cannot be exported, so channels cannot be followed: {error}") from error
        self.model = model
        self.names = {module: name for name, module in model.named_modules()}  # one name of each, if it has several
        signature = program.graph_signature
        self.tensors = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.nodes = [node for node in program.graph.nodes if node.op == "call_function"]
        self.of_module: dict[str, list[fx.Node]] = {}
        for node in self.nodes:
            if _operator(node) in _READERS | _NORMALISATIONS | {"linear"}:
                self.of_module.setdefault(self.module(node), []).append(node)

    def module(self, node: fx.Node) -> str:
        """Qualified name of the module whose weight `node` uses."""
        weight = node.args[1] if len(node.args) > 1 else None
        name = self.tensors.get(weight.name, "") if isinstance(weight, fx.Node) else ""
        module = self.model.get_submodule(str(name).rpartition(".")[0])
        return str(self.names[module])

    def path(self, layer: str) -> ChannelPath | str:
        readers = self.of_module.get(self.names[self.model.get_submodule(layer)], [])
        if len(readers) != 1:
            return f"it runs {len(readers)} times"
        producer = _source(readers[0])
        while producer is not None and _operator(producer) in _CHANNELWISE | _NORMALISATIONS:
            producer = _source(producer)
        if producer is None or _operator(producer) == "":
            return "its input is the network's"
        if _operator(producer) not in _READERS:
            return f"its input comes from {_operator(producer)}"
        if self._grouped(producer):
            return f"its input comes from the grouped convolution '{self.module(producer)}'"
        return self._forward(producer)

    def flattened(self, layer: str) -> tuple[int, int, int] | None:
        """Shape of the map that a linear layer reads flattened, if it does so once."""
        readers = self.of_module.get(self.names[self.model.get_submodule(layer)], [])
        source = _source(readers[0]) if len(readers) == 1 else None
        while source is not None and _operator(source) in _CHANNELWISE:
            source = _source(source)
        if source is None or _operator(source) not in ("flatten", "view", "reshape") or not _flattens(source):
            return None
        before = _source(source)
        assert before is not None
        channels, height, width = before.meta["val"].shape[1:]
        return int(channels), int(height), int(width)

    def _forward(self, producer: fx.Node) -> ChannelPath | str:
        norms, readers = [], []
        pending, flat = [(user, False) for user in producer.users], False
        while pending:
            node, flat = pending.pop()
            kind = _operator(node)
            if (kind == "linear" and flat) or (kind in _READERS and not flat and not self._grouped(node)):
                readers.append(node)
            elif kind in _NORMALISATIONS and not flat:
                norms.append(node)
                pending += [(user, flat) for user in node.users]
            elif kind in _CHANNELWISE or (kind in ("flatten", "view", "reshape") and not flat and _flattens(node)):
                flat = flat or kind in ("flatten", "view", "reshape")
                pending += [(user, flat) for user in node.users]
            elif kind == "getitem":
                pending += [(user, flat) for user in node.users]
            else:
                return f"its channels are also read by {kind or 'the output'}"
        names = [self.module(node) for node in (producer, *norms, *readers)]
        repeated = [name for name in names if len(self.of_module[name]) > 1]
        if repeated:
            return f"'{repeated[0]}' runs several times"
        return ChannelPath(names[0], tuple(names[1 : 1 + len(norms)]), tuple(sorted(names[1 + len(norms) :])))

    def _grouped(self, node: fx.Node) -> bool:
        """Whether a convolution's weight has fewer input channels than its input."""
        weight, source = node.args[1], node.args[0]
        assert isinstance(weight, fx.Node)
        assert isinstance(source, fx.Node)
        return bool(weight.meta["val"].shape[1] != source.meta["val"].shape[1])


def _operator(node: fx.Node) -> str:
    """The bare name of an ATen operator, `conv2d` of `aten.conv2d.default`; "" for inputs and outputs."""
    if node.op != "call_function":
        return ""
    parts = str(node.target).split(".")
    return parts[1] if len(parts) > 1 else str(getattr(node.target, "__name__", parts[0]))


def _source(node: fx.Node) -> fx.Node | None:
    first = node.args[0] if node.args else None
    return first if isinstance(first, fx.Node) else None


def _flattens(node: fx.Node) -> bool:
    """Whether (N, C, H, W) becomes (N, C·H·W)."""
    source = _source(node)
    assert source is not None
    before, after = source.meta["val"].shape, node.meta["val"].shape
    return len(before) == 4 and len(after) == 2 and after[0] == before[0]


def _permute(module: nn.Module, names: tuple[str, ...], permutation: Tensor) -> None:
    for name in names:
        tensor = getattr(module, name, None)
        if isinstance(tensor, Tensor):
            tensor.copy_(tensor[permutation.to(tensor.device)])


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    for module in modes:
        module.training = False  # not .eval(), which would ask uncalibrated layers for their centroids
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
