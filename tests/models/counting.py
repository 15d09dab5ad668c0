"""What a network costs: multiply-accumulates and numbers, counted from its layers' shapes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def macs(model: nn.Module, side: int, channels: int = 3) -> int:
    """Multiply-accumulates of one image: each output of a convolution or linear layer costs a filter's weights."""
    total = 0
    device = next(model.parameters()).device

    def count(module, inputs, output):
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    handles = [
        module.register_forward_hook(count)
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    model.eval()(torch.zeros(1, channels, side, side, device=device))
    for handle in handles:
        handle.remove()
    return total


def parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """The network without memory for its weights: large ones are counted in no time."""
    with torch.device("meta"):
        return build()
