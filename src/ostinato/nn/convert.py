"""convert and revert: exchange a model's convolutions and linear layers for reuse layers and back."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ostinato.errors import ConversionError
from ostinato.nn.channels import flattened_maps
from ostinato.nn.conv import ReuseConv2d, refusal
from ostinato.nn.linear import MapShape, ReuseLinear
from ostinato.nn.stem import TransformStem
from ostinato.reuse import Pattern, StemPattern
from ostinato.reuse.pattern_rules import check_rows

_ROOT = "(model)"  # the name of a model that is itself one convolution
_OTHER_CONVOLUTIONS = (nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def convert(
    model: nn.Module,
    patterns: Mapping[str, Pattern | StemPattern] | Pattern,
    filter_fn: Callable[[str, nn.Conv2d], bool] | None = None,
    inplace: bool = False,
    example_input: Tensor | None = None,
) -> nn.Module:
    """The model with reuse layers in place of the named convolutions and linear layers, weights kept.

    Args:
        model: any module.
        patterns: by qualified layer name, a `StemPattern` for a first layer; or one pattern for every convolution that
            can be reused. A linear layer takes a pattern of scope `compiled` (`ReuseLinear`).
        filter_fn: with one pattern: which convolutions, by (name, convolution), to convert.
        inplace: change `model` itself rather than a deep copy. A refused conversion changes nothing either way.
        example_input: images (B, C, H, W) as the model will see them. The conventional model runs on them once, in
            evaluation mode, so that blocks or tiles of rows that are larger than a layer's output are refused here
            and not at the first forward pass. With it, linear layers behind a flattening have slices of the map's
            pixels; without it, slices of a vector, which firmware does not have in that order.

    Returns:
        The converted model; `conversion_report` says what was converted and what was left and why.

    Raises:
        ConversionError: for an unknown layer name, or one that is no layer that can be reused; with
            `example_input`, for a layer that does not run.
        PatternError: if a pattern cannot apply to its layer.
        ModelError: if a layer's weights are not finite.
    """
    target = model if inplace else copy.deepcopy(model)
    if isinstance(patterns, Pattern):
        chosen: dict[str, Pattern | StemPattern] = {
            name: patterns
            for name, conv in _convolutions(target).items()
            if refusal(conv) is None and (filter_fn is None or filter_fn(name, conv))
        }
        if not chosen:
            raise ConversionError("no convolution of the model was left to convert; see conversion_report(model)")
    else:
        if filter_fn is not None:
            raise ConversionError("filter_fn goes with one pattern for all layers; here patterns have layer names")
        chosen = dict(patterns)
    replacements: dict[nn.Module, nn.Module] = {}
    flattened = _flattened(model, chosen, example_input)
    for name, pattern in chosen.items():
        conv = _find(target, name)
        if isinstance(conv, nn.Linear):
            if isinstance(pattern, StemPattern):
                raise ConversionError(f"layer '{name}' is fully connected; a stem takes a convolution's place")
            replacements[conv] = ReuseLinear.from_linear(conv, pattern, name, flattened.get(name))
        elif isinstance(pattern, StemPattern):
            replacements[conv] = TransformStem.from_conv(conv, pattern, name)
        else:
            replacements[conv] = ReuseConv2d.from_conv(conv, pattern, name)
    if example_input is not None:
        of_rows = {name: pattern for name, pattern in chosen.items() if isinstance(pattern, Pattern)}
        _check_outputs(model, of_rows, example_input)
    return _exchange(target, replacements)


def revert(model: nn.Module, inplace: bool = False) -> nn.Module:
    """The model with conventional layers in place of its reuse layers, weights kept."""
    target = model if inplace else copy.deepcopy(model)
    layers: list[ReuseConv2d | TransformStem] = [*reuse_layers(target).values(), *stem_layers(target).values()]
    return _exchange(target, {layer: layer.to_conv() for layer in layers})


def reuse_layers(model: nn.Module) -> dict[str, ReuseConv2d]:
    """The model's reuse layers by qualified name, in the order in which they were defined."""
    return {name or _ROOT: m for name, m in model.named_modules() if isinstance(m, ReuseConv2d)}


def stem_layers(model: nn.Module) -> dict[str, TransformStem]:
    """The model's transform-coded stems by qualified name, in the order in which they were defined."""
    return {name or _ROOT: m for name, m in model.named_modules() if isinstance(m, TransformStem)}


@dataclass(frozen=True)
class LayerReport:
    """One convolution: whether it is reused, and how or why not."""

    name: str
    converted: bool
    reason: str


def conversion_report(model: nn.Module) -> list[LayerReport]:
    """Each convolution of the model, converted (with its pattern) or left (with the reason), in definition order."""
    report = []
    for name, module in model.named_modules():
        if isinstance(module, ReuseConv2d | TransformStem):
            report.append(LayerReport(name or _ROOT, True, str(module.pattern)))
        elif isinstance(module, nn.Conv2d):
            report.append(LayerReport(name or _ROOT, False, refusal(module) or "not asked for"))
        elif isinstance(module, _OTHER_CONVOLUTIONS):
            report.append(LayerReport(name or _ROOT, False, f"{type(module).__name__}; only Conv2d can be reused"))
    return report


def _convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    return {name or _ROOT: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}


def _linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {name or _ROOT: m for name, m in model.named_modules() if type(m) is nn.Linear}


def _flattened(
    model: nn.Module, patterns: Mapping[str, Pattern | StemPattern], example: Tensor | None
) -> dict[str, MapShape]:
    """What the linear layers among `patterns` flatten, as far as an example tells."""
    named = [name for name in patterns if name in _linears(model)]
    return {} if example is None or not named else flattened_maps(model, named, example[:1])


def _find(model: nn.Module, name: str) -> nn.Conv2d | nn.Linear:
    convolutions: dict[str, nn.Conv2d | nn.Linear] = {**_convolutions(model), **_linears(model)}
    if name in convolutions:
        return convolutions[name]
    found = dict(model.named_modules()).get(name)
    if isinstance(found, ReuseConv2d | TransformStem):
        raise ConversionError(f"layer '{name}' is a reuse layer already; revert the model first")
    if found is not None:
        raise ConversionError(f"layer '{name}' is a {type(found).__name__}; only Conv2d and Linear can be reused")
    close = difflib.get_close_matches(name, convolutions, n=3, cutoff=0.3)
    known = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else f"it has {', '.join(convolutions)}"
    raise ConversionError(f"the model has no layer '{name}'; {known}")


@torch.no_grad()
def _check_outputs(model: nn.Module, patterns: Mapping[str, Pattern], images: Tensor) -> None:
    """Refuse patterns whose blocks or tiles of rows do not fit into what their layers make of `images`."""
    conventional = revert(model).eval()
    shapes: dict[nn.Module, list[torch.Size]] = {}
    handles = [
        module.register_forward_hook(lambda m, _args, y: shapes.setdefault(m, []).append(y.shape))
        for module in (_find(conventional, name) for name in patterns)
    ]
    try:
        conventional(images)
    finally:
        for handle in handles:
            handle.remove()
    for name, pattern in patterns.items():
        runs = shapes.get(_find(conventional, name))
        if not runs:
            raise ConversionError(f"layer '{name}' does not run when the model gets example_input")
        for batch, _, *size in runs:
            rows, cols = size or (1, 1)
            check_rows(pattern, batch, rows, cols, name)


def _exchange(model: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Replace modules wherever they are used, also where one is used under several names."""
    if model in replacements:
        return replacements[model]
    for parent in list(model.modules()):
        for child_name, child in list(parent._modules.items()):  # named_children() gives a shared child once only
            if child is not None and child in replacements:
                setattr(parent, child_name, replacements[child])
    return model
