"""Networks whose layers are narrower than their definition: what is left after channels were removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from ostinato.errors import ModelError

Sizes = dict[str, list[int]]
"""Qualified layer name -> [outputs, inputs] of a convolution or linear layer, [channels] of a normalisation."""


def layer_sizes(model: nn.Module) -> Sizes:
    """Sizes of all layers that `resize` can change."""
    sizes: Sizes = {}
    for name, module in model.named_modules():
        found = _sizes(module)
        if found is not None:
            sizes[name] = found
    return sizes


def resize(model: nn.Module, sizes: Mapping[str, Sequence[int]]) -> None:
    """Replace, in place, every layer whose size is another in `sizes` by a freshly initialised one of that size.

    Raises:
        ModelError: a layer that the model does not have, or of a kind or size that cannot be.
    """
    here = layer_sizes(model)
    for name, wanted in sizes.items():
        if name not in here:
            raise ModelError(f"sizes: the model has no convolution, linear or normalisation layer {name!r}.")
        if len(wanted) != len(here[name]) or not all(isinstance(n, int) and n >= 1 for n in wanted):
            raise ModelError(f"sizes: layer {name!r} is {list(wanted)}, expected {len(here[name])} positive integers.")
        if list(wanted) != here[name]:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, _remade(model.get_submodule(name), wanted))


def _sizes(module: nn.Module) -> list[int] | None:
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return [module.out_channels, module.in_channels]
    if isinstance(module, nn.Linear):
        return [module.out_features, module.in_features]
    if isinstance(module, nn.BatchNorm2d):
        return [module.num_features]
    return None


def _remade(module: nn.Module, sizes: Sequence[int]) -> nn.Module:
    if isinstance(module, nn.Conv2d):
        return nn.Conv2d(
            sizes[1],
            sizes[0],
            module.kernel_size,  # type: ignore[arg-type]  # PyTorch keeps pairs and accepts them
            module.stride,  # type: ignore[arg-type]
            module.padding,  # type: ignore[arg-type]
            module.dilation,  # type: ignore[arg-type]
            bias=module.bias is not None,
            padding_mode=module.padding_mode,
        )
    if isinstance(module, nn.Linear):
        return nn.Linear(sizes[1], sizes[0], bias=module.bias is not None)
    assert isinstance(module, nn.BatchNorm2d)
    return nn.BatchNorm2d(sizes[0], module.eps, module.momentum, module.affine, module.track_running_stats)
