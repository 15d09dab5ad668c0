"""`prune_channels`: a network made really smaller, by removing whole channels (TREC §5.1, GR §5.3.9)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch_pruning
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.models import macs, parameters
from ostinato.models.resized import Sizes, layer_sizes
from ostinato.nn import ReuseConv2d, ReuseLinear
from ostinato.nn.capture import removed
from ostinato.nn.stem import TransformStem
from ostinato.training.evaluation import evaluating

_STEPS = 8
"""Of the bisection for the common share: channels are whole numbers, finer is no finer."""


@dataclass(frozen=True)
class PrunedLayer:
    """One layer's outputs: how many of how many were kept."""

    name: str
    kept: int
    of: int


@dataclass(frozen=True)
class PruningReport:
    """What was removed: parameters, and multiply-accumulates (`macs`) of one image, with what they were before."""

    layers: tuple[PrunedLayer, ...]
    parameters: int
    parameters_before: int
    macs: int
    macs_before: int

    @property
    def size(self) -> float:
        """Share of the parameters that remains."""
        return self.parameters / self.parameters_before


def prune_channels(
    model: nn.Module,
    example: Tensor,
    *,
    size: float,
    keep: Mapping[str, float] | None = None,
    round_to: int = 4,
) -> tuple[nn.Module, PruningReport]:
    """A copy of `model` without its least important channels, with at most `size` times its parameters; then `fit` it.

    Channels that meet in a sum go together, channels of a concatenation each by themselves: dependencies are followed
    by `torch_pruning` (Fang et al., DepGraph, 2023). A channel's importance is the L2 norm of all weights that make or
    read it. All layers keep one common share of their outputs, the largest for which the copy is small enough, except
    those that `keep` gives a share of their own. The last layer keeps its classes.

    Args:
        model: conventional, trained; not changed. A model of ours stays one: its `architecture` carries the sizes.
        example: (1, C, H, W), one input.
        size: largest share of the parameters to remain, between 0 and 1; 0.076 for TREC's ZfNet.
        keep: qualified layer name -> share of its outputs to keep, in (0, 1].
        round_to: outputs that remain are a multiple of it; kernels work on four channels at a time.

    Raises:
        ModelError: a share out of range, an unknown layer, a layer that reuses computation or has groups, a network
            whose channels cannot be followed, or one that cannot become so small.
    """
    shares = dict(keep or {})
    _check(model, size, shares, round_to)
    share = _common_share(model, example, size, shares, round_to)
    smaller = _pruned(model, example, share, shares, round_to)
    return smaller, _report(model, smaller, example)


def _common_share(model: nn.Module, example: Tensor, size: float, keep: Mapping[str, float], round_to: int) -> float:
    """The largest share of outputs with which the network is small enough, by bisection.

    Sizes depend on how many channels remain, not on which: the networks that are tried have shapes, but no weights.
    """
    shapes = copy.deepcopy(model).to("meta")
    example = example.to("meta")
    before = parameters(model)
    least = parameters(_pruned(shapes, example, 0.0, keep, round_to)) / before
    if least > size:
        raise ModelError(
            f"With {round_to} channels left in each layer that keep does not name, {least:.1%} of the parameters "
            f"remain, {size:.1%} are asked for; keep less of {', '.join(keep) or 'the network'}."
        )
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if parameters(_pruned(shapes, example, middle, keep, round_to)) <= size * before:
            low = middle
        else:
            high = middle
    return low


def _pruned(model: nn.Module, example: Tensor, share: float, keep: Mapping[str, float], round_to: int) -> nn.Module:
    """A copy whose layers keep `share` of their outputs, or what `keep` says; always a group of `round_to` at least."""
    smaller = copy.deepcopy(model)
    trainable = [parameter.requires_grad for parameter in smaller.parameters()]
    smaller.requires_grad_(True)  # dependencies are read off the graph that gradients take
    with evaluating(smaller):
        shape = smaller(example).shape
        try:
            _remove(smaller, example, share, keep, round_to)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"This model's channels cannot be followed, so none can be removed: {error}") from error
        pruned_shape = smaller(example).shape
    if pruned_shape != shape:
        raise ModelError(
            f"Removing channels changes the network's outputs from {tuple(shape)} to {tuple(pruned_shape)}; name the "
            "layers that make them in keep, with 1.0."
        )
    for parameter, requires_grad in zip(smaller.parameters(), trainable, strict=True):
        parameter.requires_grad_(requires_grad)
        parameter.grad = None
    _note_sizes(model, smaller)
    return smaller


def _remove(model: nn.Module, example: Tensor, share: float, keep: Mapping[str, float], round_to: int) -> None:
    """Remove, in place, the least important channels of every group of layers that must lose the same ones."""
    names: dict[nn.Module, str] = {
        module: name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
    }
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    _check_concatenations(graph, names)
    chosen = []
    groups = graph.get_all_groups(
        ignored_layers=[_last_layer(model, example)], root_module_types=[nn.Conv2d, nn.Linear]
    )
    for group in groups:
        scores = _importance(group)
        least: list[int] = []
        for makers, channels in _parts(group, graph, names).items():
            kept_share = _share(makers, share, keep)
            kept = max(round_to, round_to * int(kept_share * len(channels) / round_to + 0.5))
            if kept_share < 1.0 and kept < len(channels):
                order = scores[channels].argsort()[: len(channels) - kept]
                least += [channels[i] for i in order.tolist()]
        if least:
            root = group[0].dep
            chosen.append((root.target.module, root.handler, least))
    for module, handler, channels in chosen:  # all scores are those of the whole network
        graph.get_pruning_group(module, handler, channels).prune()


def _importance(group: torch_pruning.dependency.Group) -> Tensor:
    """Of each channel of a group; where there are no weights, any will do."""
    if group[0].dep.target.module.weight.is_meta:
        return torch.arange(len(group[0].idxs))
    scores: Tensor = torch_pruning.importance.GroupMagnitudeImportance(p=2)(group)
    return scores


def _parts(
    group: torch_pruning.dependency.Group, graph: torch_pruning.DependencyGraph, names: Mapping[nn.Module, str]
) -> dict[tuple[str, ...], list[int]]:
    """A group's channels (numbered as its root's) by the layers that make them: each part keeps its own share.

    A convolution that is added to a concatenation has channels of several parts; were they one, a branch of the
    concatenation could vanish.
    """
    makers: dict[int, set[str]] = {}
    for item in group:
        if graph.is_out_channel_pruning_fn(item.dep.handler) and item.dep.target.module in names:
            for channel in item.root_idxs:
                makers.setdefault(channel, set()).add(names[item.dep.target.module])
    parts: dict[tuple[str, ...], list[int]] = {}
    for channel, layers in sorted(makers.items()):
        parts.setdefault(tuple(sorted(layers)), []).append(channel)
    return parts


def _check_concatenations(graph: torch_pruning.DependencyGraph, names: Mapping[nn.Module, str]) -> None:
    """Refuse what `torch_pruning` would get wrong: it knows a concatenation by the channels of the layer behind it."""
    for node in graph.module2node.values():
        if node.type == torch_pruning.ops.OPTYPE.CONCAT and node.module.offsets is None:
            parts = list(node.inputs)
            while parts and parts[0].module not in names:
                parts = list(parts[0].inputs)
            layer = names[parts[0].module] if parts else "?"
            raise ModelError(
                f"The concatenation behind layer {layer!r} is not one of channels that a convolution or global pooling "
                "reads; its channels cannot be followed, so none can be removed."
            )


def _share(makers: Sequence[str], share: float, keep: Mapping[str, float]) -> float:
    """The share that a group of layers keeps together."""
    named = {name: keep[name] for name in makers if name in keep}
    if len(set(named.values())) > 1:
        listed = ", ".join(f"{name} {value}" for name, value in named.items())
        raise ModelError(f"keep: channels of these layers meet in a sum and must be the same, but: {listed}.")
    return next(iter(named.values()), share)


def _last_layer(model: nn.Module, example: Tensor) -> nn.Module:
    """The convolution or linear layer that runs last, whose outputs are the classes."""
    order: list[nn.Module] = []
    handles = [
        layer.register_forward_hook(lambda layer, *_: order.append(layer))
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with removed(*handles), torch.no_grad():
        model(example)
    if not order:
        raise ModelError("This model has no convolution and no linear layer; there is nothing to prune.")
    return order[-1]


def _note_sizes(model: nn.Module, smaller: nn.Module) -> None:
    """Let a model of ours say which sizes make it again; layers of the definition's own size are left out."""
    architecture = getattr(model, "architecture", None)
    if not isinstance(architecture, Mapping):
        return
    original, now = layer_sizes(model), layer_sizes(smaller)
    earlier: Sizes = architecture["kwargs"].get("sizes", {})
    changed = {name: size for name, size in now.items() if size != original[name] or name in earlier}
    smaller.architecture = {  # type: ignore[assignment]  # a plain attribute, as the builders set it
        "model": architecture["model"],
        "kwargs": {**architecture["kwargs"], "sizes": changed},
    }


def _report(model: nn.Module, smaller: nn.Module, example: Tensor) -> PruningReport:
    with evaluating(model), evaluating(smaller):
        costs = macs(smaller, example), macs(model, example)
    original = layer_sizes(model)
    layers = tuple(
        PrunedLayer(name, size[0], original[name][0]) for name, size in layer_sizes(smaller).items() if len(size) == 2
    )
    return PruningReport(layers, parameters(smaller), parameters(model), *costs)


def _check(model: nn.Module, size: float, keep: Mapping[str, float], round_to: int) -> None:
    if not 0.0 < size < 1.0:
        raise ModelError(f"size={size}; it is the share of the parameters to remain, between 0 and 1.")
    if round_to < 1:
        raise ModelError(f"round_to={round_to}; it is 1 or more.")
    for name, layer in model.named_modules():
        if isinstance(layer, ReuseConv2d | ReuseLinear | TransformStem):
            raise ModelError(f"Layer {name!r} reuses computation; prune the conventional network, then convert it.")
        if isinstance(layer, nn.Conv2d) and layer.groups != 1:
            raise ModelError(
                f"Layer {name!r} has {layer.groups} groups; channels are removed from convolutions without groups."
            )
    known = [name for name, size in layer_sizes(model).items() if len(size) == 2]
    for name, share in keep.items():
        if name not in known:
            raise ModelError(f"keep: there is no convolution or linear layer {name!r}; known: {', '.join(known)}.")
        if not isinstance(share, int | float) or not 0.0 < share <= 1.0:
            raise ModelError(f"keep: layer {name!r} is to keep {share} of its outputs; a share is in (0, 1].")
