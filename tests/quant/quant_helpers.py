"""Small networks and measures that several tests of `ostinato.quant` use."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import ostinato.nn as onn
from ostinato.quant import QGraph, dequantize, outputs
from ostinato.reuse import Pattern


def decibels(signal: np.ndarray, made: np.ndarray) -> float:
    """Signal-to-noise ratio of `made` against `signal`."""
    noise = float(np.square(signal - made).sum())
    return float("inf") if noise == 0 else 10 * np.log10(float(np.square(signal).sum()) / noise)


def images(count: int, channels: int = 3, side: int = 12, seed: int = 0) -> Tensor:
    """Smooth images in [−1, 1): neighbours resemble each other, as in real ones."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, channels, side // 3 + 1, side // 3 + 1, generator=generator)
    smooth = nn.functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=True)
    noise = 0.1 * torch.randn(count, channels, side, side, generator=generator)
    return (0.6 * smooth + noise).clamp(-1, 127 / 128)


def settle(model: nn.Module, side: int = 12, channels: int = 3) -> nn.Module:
    """The model with batch-norm statistics and affine parameters that are not trivial, in eval mode."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.affine:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    model.train()
    with torch.no_grad():
        for seed in range(3):
            model(images(32, channels, side, seed=10 + seed))
    return model.eval()


def convolutional(channels: int = 16) -> nn.Module:
    """Two 3×3 convolutions with batch norm, the second one to be reused, a pooling and a linear layer."""
    torch.manual_seed(0)
    return settle(
        nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24 * 36, 10),
        )
    )  # fmt: skip


def reused(pattern: Pattern, layer: str = "3", model: nn.Module | None = None) -> nn.Module:
    """`convolutional` with one layer under `pattern`, calibrated."""
    made = onn.convert(convolutional() if model is None else model, {layer: pattern})
    return onn.calibrate(made, images(48, seed=3)).eval()


def fidelity(model: nn.Module, graph: QGraph, x: Tensor) -> float:
    """Signal-to-noise ratio of the integer network's outputs against the float model's, in decibels."""
    with torch.no_grad():
        real = model(x).double().numpy()
    made = dequantize(outputs(graph, x), graph.output).reshape(real.shape)
    return decibels(real, made)
