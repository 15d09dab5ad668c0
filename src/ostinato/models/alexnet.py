"""AlexNet, one of Deep Reuse's two networks for ImageNet (Krizhevsky 2014; DR Tables I and II). For hosts."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ostinato.models.initial import initialise_for_relu
from ostinato.models.sizes import check_dropout, check_hidden, check_sizes, side_after

SMALLEST_IMAGE = 67
"""The least side for which the third pooling still yields a pixel: 67 -> 15 -> 7 -> 3 -> 1."""


class AlexNet(nn.Module):
    """Five convolutions and three fully connected layers, in the variant of one column that DR took from TF-Slim.

    K and M of DR Table II: 363→64, 1600→192, 1728→384, 3456→384, 3456→256. The first convolution has no padding
    (torchvision's variant pads it, and has 256 channels in the fourth). Shapes at `image_size=224`: 54×54 -> 26×26 ->
    12×12 -> 5×5 -> 6400-hidden-hidden-classes; 50.3 M parameters at 1000 classes. Other image sizes change `fc1` alone.
    `architecture` says how to make the same network again; checkpoints carry it.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        why = "leaves no pixel after a stride of 4 and three poolings"
        check_sizes("alexnet", num_classes, in_channels, image_size, SMALLEST_IMAGE, why)
        check_hidden("alexnet", hidden)
        check_dropout("alexnet", dropout)
        self.architecture: dict[str, Any] = {
            "model": "alexnet",
            "kwargs": {
                "num_classes": num_classes,
                "in_channels": in_channels,
                "image_size": image_size,
                "hidden": hidden,
                "dropout": dropout,
            },
        }
        self.conv1 = nn.Conv2d(in_channels, 64, 11, 4)
        self.conv2 = nn.Conv2d(64, 192, 5, padding=2)
        self.conv3 = nn.Conv2d(192, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.fc1 = nn.Linear(256 * flat_side(image_size) ** 2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(dropout)
        initialise_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 3, 2)
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = F.max_pool2d(F.relu(self.conv5(x)), 3, 2).flatten(1)
        x = self.dropout(F.relu(self.fc1(x)))
        x = self.dropout(F.relu(self.fc2(x)))
        out: Tensor = self.fc3(x)
        return out


def alexnet(
    num_classes: int = 10, in_channels: int = 3, image_size: int = 224, hidden: int = 4096, dropout: float = 0.5
) -> AlexNet:
    """A freshly initialised `AlexNet`. Raises ModelError for sizes that cannot be built."""
    return AlexNet(num_classes, in_channels, image_size, hidden, dropout)


def flat_side(image_size: int) -> int:
    """Side of the map that enters the classifier."""
    side = side_after(image_size, 11, 4)
    for _ in range(3):
        side = side_after(side, 3, 2)
    return side
