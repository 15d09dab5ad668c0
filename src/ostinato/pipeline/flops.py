"""FLOPs that remain of a network's convolutions when some of them reuse computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.nn import ReuseConv2d
from ostinato.nn.stem import TransformStem
from ostinato.reuse import ReuseStats, layer_cost

Convolution = ReuseConv2d | TransformStem | nn.Conv2d


@torch.no_grad()
def flops_remaining(model: nn.Module, reuse: Mapping[str, ReuseStats], image: Tensor) -> float:
    """FLOPs of all convolutions with reuse, over those of the conventional network (TREC §4.3, every term counted).

    Args:
        model: the network, in evaluation mode.
        reuse: measured vectors and clusters by reuse layer (`measure_reuse`).
        image: one input (1, C, H, W), to see each layer's size.
    """
    conventional = remaining = 0.0
    for name, layer, (height, width), positions in _convolutions(model, image):
        if isinstance(layer, ReuseConv2d):
            r_c = 1.0 - reuse[name].r_t if layer.pattern.scope != "compiled" else None
            cost = layer_cost(layer.geometry, layer.pattern, height, width, r_c)
            conventional += cost.conventional
            remaining += cost.total
        elif isinstance(layer, TransformStem):
            conventional += 2.0 * positions * layer.weight.numel()
            remaining += _stem_flops(layer, positions, width)
        else:
            flops = 2.0 * positions * layer.weight[0].numel() * layer.out_channels
            conventional += flops
            remaining += flops
    return remaining / conventional


def _stem_flops(stem: TransformStem, positions: int, width: int) -> float:
    """Colours rotated, columns and coefficients of the cosine transform, and G rows added up (DESIGN §5.11)."""
    g, transform = stem.geometry, stem.transform
    channels, (height, taps) = g.in_channels, g.kernel_size
    planes = len({(int(c), int(v)) for c, v, _ in transform.axes.tolist()})
    columns = positions / g.output_size(width, width)[1] * (width + 2 * g.padding[1])  # of every row of the output
    rotated = 2.0 * columns * g.stride[0] * channels * channels
    sums = stem.pattern.groups * g.out_channels if stem.pattern.groups else 2 * len(transform.axes) * g.out_channels
    return rotated + 2.0 * columns * planes * height + positions * (2.0 * len(transform.axes) * taps + sums)


def _convolutions(model: nn.Module, image: Tensor) -> list[tuple[str, Convolution, tuple[int, int], int]]:
    """(name, layer, input height and width, output positions) of every convolution, in execution order."""
    seen: list[tuple[str, Convolution, tuple[int, int], int]] = []

    def watch(name: str) -> Any:
        def after(layer: Any, args: tuple[Tensor, ...], output: Tensor) -> None:
            x = layer.as_image(args[0]) if isinstance(layer, ReuseConv2d) else args[0]
            height, width = x.shape[2:]
            seen.append((name, layer, (height, width), output[0, 0].numel()))

        return after

    handles = [
        layer.register_forward_hook(watch(name))
        for name, layer in model.named_modules()
        if isinstance(layer, ReuseConv2d | TransformStem | nn.Conv2d)
    ]
    try:
        model(image)
    finally:
        for handle in handles:
            handle.remove()
    return seen
