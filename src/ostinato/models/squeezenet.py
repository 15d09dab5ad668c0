"""SqueezeNet for small images, with the bypasses of its paper: the deeper network of TREC §5 and GR §5."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.models.sizes import check_sizes

Bypass = Literal["none", "simple", "complex"]

STEM = 96
FIRES = {  # name: (in, out, squeeze)
    "fire2": (96, 128, 16),
    "fire3": (128, 128, 16),
    "fire4": (128, 256, 32),
    "fire5": (256, 256, 32),
    "fire6": (256, 384, 48),
    "fire7": (384, 384, 48),
    "fire8": (384, 512, 64),
    "fire9": (512, 512, 64),
}
POOLED = ("fire4", "fire8")
"""Fires with a max-pool 2 behind them."""
SMALLEST_IMAGE = 8
"""Three poolings by 2 leave one pixel."""


class Fire(nn.Module):
    """A squeezing 1×1 convolution, then 1×1 and 3×3 expanding ones side by side, each with BN and ReLU.

    (B, in, H, W) -> (B, out, H, W); each expand layer makes out / 2 channels, `expand1x1` the first half. With bypass
    `identity` the input is added to the result, with `conv` a 1×1 convolution of it (SqueezeNet §6).
    """

    def __init__(self, channels: int, out: int, squeeze: int, bypass: Literal["identity", "conv"] | None) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.squeeze_bn = nn.BatchNorm2d(squeeze)
        self.expand1x1 = nn.Conv2d(squeeze, out // 2, 1)
        self.expand1x1_bn = nn.BatchNorm2d(out // 2)
        self.expand3x3 = nn.Conv2d(squeeze, out // 2, 3, padding=1)
        self.expand3x3_bn = nn.BatchNorm2d(out // 2)
        self.bypass = nn.Conv2d(channels, out, 1) if bypass == "conv" else None
        self.identity = bypass == "identity"

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        squeezed = F.relu(self.squeeze_bn(self.squeeze(x)))
        near = F.relu(self.expand1x1_bn(self.expand1x1(squeezed)))
        wide = F.relu(self.expand3x3_bn(self.expand3x3(squeezed)))
        y = torch.cat([near, wide], 1)
        if self.bypass is not None:
            y = y + self.bypass(x)
        elif self.identity:
            y = y + x
        return y


class SqueezeNet(nn.Module):
    """Stem 3×3, eight Fires (numbered 2 to 9 as in the paper), a 1×1 convolution to the classes, global average.

    Shapes at `image_size=32`: 32×32 stem -> 16×16 fire2-4 -> 8×8 fire5-8 -> 4×4 fire9, conv10 -> logits (B, classes).
    `bypass`: "none"; "simple" adds the input of fire3, fire5, fire7 and fire9 to their outputs; "complex" also a 1×1
    convolution of the input of fire2, fire4, fire6 and fire8. 52.5 M multiply-accumulates without 1×1 bypasses.

    `architecture` says how to make the same network again; checkpoints carry it.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, image_size: int = 32, bypass: Bypass = "simple"
    ) -> None:
        super().__init__()
        why = "leaves no pixel after three poolings"
        check_sizes("squeezenet", num_classes, in_channels, image_size, SMALLEST_IMAGE, why)
        if bypass not in get_args(Bypass):
            raise ModelError(f"squeezenet: bypass={bypass!r} is not known; known: {', '.join(get_args(Bypass))}.")
        self.architecture: dict[str, Any] = {
            "model": "squeezenet",
            "kwargs": {
                "num_classes": num_classes,
                "in_channels": in_channels,
                "image_size": image_size,
                "bypass": bypass,
            },
        }
        self.conv1 = nn.Conv2d(in_channels, STEM, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(STEM)
        for name, (channels, out, squeeze) in FIRES.items():
            self.add_module(name, Fire(channels, out, squeeze, _bypass(bypass, channels, out)))
        self.conv10 = nn.Conv2d(FIRES["fire9"][1], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        for name in FIRES:
            x = self.get_submodule(name)(x)
            if name in POOLED:
                x = F.max_pool2d(x, 2)
        out: Tensor = F.adaptive_avg_pool2d(self.conv10(x), 1).flatten(1)
        return out


def squeezenet(
    num_classes: int = 10, in_channels: int = 3, image_size: int = 32, bypass: Bypass = "simple"
) -> SqueezeNet:
    """A freshly initialised `SqueezeNet`. Raises ModelError for sizes or a bypass that do not exist."""
    return SqueezeNet(num_classes, in_channels, image_size, bypass)


def _bypass(bypass: Bypass, channels: int, out: int) -> Literal["identity", "conv"] | None:
    if bypass == "none":
        return None
    if channels == out:
        return "identity"
    return "conv" if bypass == "complex" else None
