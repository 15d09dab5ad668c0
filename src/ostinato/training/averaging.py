"""Stochastic weight averaging: the mean of the weights of several epochs (Izmailov et al., UAI 2018).

Each epoch's weights are off the minimum by the noise of its last steps, and their mean is less so. What it gave a
network with tables: docs/findings.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.data import Split, to_input
from ostinato.training.evaluation import device_of, in_mode

REFRESHING = 8192
"""Training images from which statistics are taken anew."""


@dataclass
class WeightAverage:
    """Means of the floating-point tensors of `epochs` state dicts, on the CPU; of other tensors, the last."""

    epochs: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, state: Mapping[str, Tensor]) -> None:
        """One epoch's."""
        self.epochs += 1
        for name, tensor in state.items():
            now = tensor.detach().cpu()
            if name in self.weights and now.is_floating_point():
                self.weights[name].lerp_(now, 1 / self.epochs)
            else:
                self.weights[name] = now.clone(memory_format=torch.contiguous_format)

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"epochs": self.epochs, "weights": self.weights}


@torch.no_grad()
def refresh_statistics(model: nn.Module, split: Split, batch_size: int) -> None:
    """Take what layers keep of their inputs (batch norms' statistics, running centroids) from these images.

    Mean weights have other activations than the mean of activations. Batch norms forget what they had; centroids go on
    from it, for an id that these images do not have keeps its own.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    device = device_of(model)
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        with in_mode(model, training=True):
            for start in range(0, len(split) - batch_size + 1, batch_size) or [0]:
                images = to_input(split.images[start : start + batch_size].to(device))
                model(images.contiguous(memory_format=torch.channels_last))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
