"""Networks without memory for their weights: the large ones are counted in no time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ostinato import models


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """What `build` makes, on the meta device."""
    with torch.device("meta"):
        return build()


def macs(model: nn.Module, side: int) -> int:
    """Multiply-accumulates of one RGB image."""
    device = next(model.parameters()).device
    return models.macs(model.eval(), torch.zeros(1, 3, side, side, device=device))
