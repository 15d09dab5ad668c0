"""group_channels: correlated channels become neighbours, so that a block of them needs fewer ids (DESIGN §5.5)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ostinato.errors import ConversionError, ModelError
from ostinato.nn.capture import capture_input
from ostinato.nn.channels import ChannelPath, channel_paths
from ostinato.nn.sensitivity import Metric, seen_weight
from ostinato.reuse import Pattern, channel_grouping
from ostinato.reuse.order import COLUMN_AXES, parse_order

_SAMPLED_PIXELS = 20_000


@dataclass(frozen=True)
class ChannelGrouping:
    """What was done about the order of one layer's input channels, or why nothing was."""

    layer: str
    grouped: bool
    reason: str


@torch.no_grad()
def group_channels(
    model: nn.Module, patterns: Mapping[str, Pattern], images: Tensor, *, metric: Metric = "outputs",
    batch_size: int = 50, inplace: bool = False,
) -> tuple[nn.Module, list[ChannelGrouping]]:  # fmt: skip
    """The same network with channels permuted so that each pattern's slices hold correlated ones.

    The permutation goes into the convolution that makes the channels, its batch normalisation, and every layer that
    reads them; outputs stay what they were but for rounding. A layer whose input is the network's, or comes from a sum
    or a concatenation, keeps its order. Where two patterns read one map, the first one's slices decide.

    Args:
        model: conventional, or with reuse layers that are not calibrated yet.
        patterns: by qualified layer name; those whose slices are blocks of one pixel's channels count.
        images: (N, C, H, W) floating point, preprocessed as in training; labels are not needed.
        metric: what outputs' errors are measured by, as in `calibrate`; `loss` needs a conventional model.
        batch_size: images at a time.
        inplace: change `model` itself rather than a deep copy.

    Returns:
        The model, and what was done about each pattern's layer.

    Raises:
        ConversionError: for an unknown layer.
        ModelError: no images, or a model that cannot be exported.
    """
    if images.dim() != 4 or len(images) == 0:
        raise ModelError(f"grouping channels needs images (N, C, H, W), not a tensor of shape {tuple(images.shape)}")
    target = model if inplace else copy.deepcopy(model)
    modules = dict(target.named_modules())
    for name in patterns:
        if name not in modules:
            raise ConversionError(f"the model has no layer '{name}'; it has {', '.join(n for n in modules if n)}")
    paths = channel_paths(target, patterns, images[:1])
    done: dict[str, str] = {}  # producer -> the layer that decided
    report = []
    for name, pattern in patterns.items():
        path, layer = paths[name], modules[name]
        reason = _refusal(path, pattern, layer, done)
        if reason is None:
            assert isinstance(path, ChannelPath)
            assert isinstance(layer.weight, Tensor)
            pixels = _sampled_pixels(target, layer, images, batch_size, pattern.seed)
            seen = seen_weight(target, layer, layer.weight, images, metric)
            path.permute(target, channel_grouping(pixels, seen, pattern.length, pattern.hashes))
            done[path.producer] = name
        report.append(ChannelGrouping(name, reason is None, reason or f"folded into '{path.producer}'"))  # type: ignore[union-attr]
    return target, report


def _refusal(path: ChannelPath | str, pattern: Pattern, layer: nn.Module, done: Mapping[str, str]) -> str | None:
    if isinstance(path, str):
        return path
    if path.producer in done:
        return f"grouped for '{done[path.producer]}', which reads the same channels"
    if parse_order(pattern.order, COLUMN_AXES)[-1] != ("c", 1):
        return f"in order {pattern.order} a slice is no block of channels"
    channels = int(layer.weight.shape[1])  # type: ignore[index]
    if pattern.length >= channels or channels % pattern.length:
        return f"slices of {pattern.length} do not divide {channels} channels into blocks"
    return None


def _sampled_pixels(model: nn.Module, layer: nn.Module, images: Tensor, batch_size: int, seed: int) -> Tensor:
    """(n, C) pixels of the layer's input, evenly many from each batch."""
    generator = torch.Generator().manual_seed(seed)
    batches = torch.split(images, batch_size)
    wanted = max(1, _SAMPLED_PIXELS // len(batches))
    samples = []
    for batch in batches:
        x = capture_input(model, layer, batch)
        pixels = x.permute(0, 2, 3, 1).flatten(0, 2)
        samples.append(pixels[torch.randperm(len(pixels), generator=generator)[:wanted].to(pixels.device)])
    return torch.cat(samples)
