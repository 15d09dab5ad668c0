"""FLOPs that remain of a network's convolutions when some of them reuse computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.nn import ReuseConv2d
from ostinato.reuse import ReuseStats, layer_cost


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
        else:
            flops = 2.0 * positions * layer.weight[0].numel() * layer.out_channels
            conventional += flops
            remaining += flops
    return remaining / conventional


def _convolutions(model: nn.Module, image: Tensor) -> list[tuple[str, ReuseConv2d | nn.Conv2d, tuple[int, int], int]]:
    """(name, layer, input height and width, output positions) of every convolution, in execution order."""
    seen: list[tuple[str, ReuseConv2d | nn.Conv2d, tuple[int, int], int]] = []

    def watch(name: str) -> Any:
        def after(layer: Any, args: tuple[Tensor, ...], output: Tensor) -> None:
            x = layer.as_image(args[0]) if isinstance(layer, ReuseConv2d) else args[0]
            height, width = x.shape[2:]
            seen.append((name, layer, (height, width), output[0, 0].numel()))

        return after

    handles = [
        layer.register_forward_hook(watch(name))
        for name, layer in model.named_modules()
        if isinstance(layer, ReuseConv2d | nn.Conv2d)
    ]
    try:
        model(image)
    finally:
        for handle in handles:
            handle.remove()
    return seen
