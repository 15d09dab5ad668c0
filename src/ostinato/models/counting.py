"""What a network costs: multiply-accumulates and numbers to learn, counted from the shapes of its layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def macs(model: nn.Module, images: Tensor) -> int:
    """Multiply-accumulates of one image in convolutions and fully connected layers; biases and the rest not counted.

    Each output costs as many as its filter has weights. Layers that run twice count twice. `images` (N, C, H, W) may
    lie on the meta device with the model, where nothing is computed.
    """
    total = 0

    def count(module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        total += output[0].numel() * weight[0].numel()

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return total


def parameters(model: nn.Module) -> int:
    """How many numbers are learned (running statistics are not)."""
    return sum(parameter.numel() for parameter in model.parameters())
