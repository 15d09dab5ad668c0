"""CifarNet, the small network on which the papers show their per-layer figures (TREC §5.1, GR §5.1)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ostinato.models.sizes import check_dropout, check_sizes

KERNEL = 5
POOL = 2
FEATURES = 64
SMALLEST_IMAGE = 16
"""The least side for which the second pooling still yields a pixel: 16 -> 12 -> 6 -> 2 -> 1."""


class CifarNet(nn.Module):
    """Two 5x5 convolutions without padding, each with BN, ReLU and max-pool 2, then three FC layers.

    Shapes at `image_size=32`: (B, C, 32, 32) -> conv1 28x28 -> 14x14 -> conv2 10x10 -> 5x5 -> 1600-384-192-classes.
    14.7 M multiply-accumulates, 10.2 M of them in `conv2`. Output: logits (B, num_classes), float32.

    `architecture` says how to make the same network again; checkpoints carry it.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, image_size: int = 32, dropout: float = 0.5) -> None:
        super().__init__()
        why = "leaves no pixel after two 5x5 convolutions and two poolings"
        check_sizes("cifarnet", num_classes, in_channels, image_size, SMALLEST_IMAGE, why)
        check_dropout("cifarnet", dropout)
        self.architecture: dict[str, Any] = {
            "model": "cifarnet",
            "kwargs": {
                "num_classes": num_classes,
                "in_channels": in_channels,
                "image_size": image_size,
                "dropout": dropout,
            },
        }
        side = flat_side(image_size)
        self.conv1 = nn.Conv2d(in_channels, FEATURES, KERNEL)
        self.bn1 = nn.BatchNorm2d(FEATURES)
        self.conv2 = nn.Conv2d(FEATURES, FEATURES, KERNEL)
        self.bn2 = nn.BatchNorm2d(FEATURES)
        self.fc1 = nn.Linear(FEATURES * side * side, 384)
        self.fc2 = nn.Linear(384, 192)
        self.fc3 = nn.Linear(192, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), POOL)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), POOL)
        x = x.flatten(1)
        x = self.dropout(F.relu(self.fc1(x)))
        x = self.dropout(F.relu(self.fc2(x)))
        out: Tensor = self.fc3(x)
        return out


def cifarnet(num_classes: int = 10, in_channels: int = 3, image_size: int = 32, dropout: float = 0.5) -> CifarNet:
    """A freshly initialised `CifarNet`. Raises ModelError when a size is too small to build it."""
    return CifarNet(num_classes, in_channels, image_size, dropout)


def flat_side(image_size: int) -> int:
    """Side of the map that enters `fc1`: twice a convolution without padding, then pooling that rounds down."""
    side = image_size
    for _ in range(2):
        side = (side - (KERNEL - 1)) // POOL
    return side
