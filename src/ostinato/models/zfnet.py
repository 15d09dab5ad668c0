"""ZfNet, in the papers pruned to fit a microcontroller (Zeiler and Fergus, 2014; TREC §5.1, Table 3)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ostinato.models.initial import initialise_for_relu
from ostinato.models.sizes import check_dropout, check_hidden, check_sizes, side_after

CHANNELS = (96, 256, 384, 384, 256)
SMALLEST_IMAGE = 53
"""The least side for which the third pooling still yields a pixel: 53 -> 25 -> 13 -> 5 -> 3 -> 1."""


class ZfNet(nn.Module):
    """Five convolutions, each with ReLU, three poolings, three fully connected layers; no normalisation.

    7×7 stride 2, 5×5 stride 2, three 3×3; max-pool 3 by stride 2 after the first, second and fifth. K of the
    convolutions: 147, 2400, 2304, 3456, 3456. Shapes at `image_size=224`: 110×110 -> 55×55 -> 26×26 -> 13×13 -> 6×6 ->
    9216-hidden-hidden-classes, 1.16 G multiply-accumulates; at 64: 30×30 -> 15×15 -> 6×6 -> 3×3 -> 1×1 ->
    256-hidden-hidden-classes, 80.6 M.

    CIFAR's images are enlarged for it (`ostinato.data.load("cifar10@64")`); TREC does not say to which size.
    `architecture` says how to make the same network again; checkpoints carry it.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        why = "leaves no pixel after two strides and three poolings"
        check_sizes("zfnet", num_classes, in_channels, image_size, SMALLEST_IMAGE, why)
        check_hidden("zfnet", hidden)
        check_dropout("zfnet", dropout)
        self.architecture: dict[str, Any] = {
            "model": "zfnet",
            "kwargs": {
                "num_classes": num_classes,
                "in_channels": in_channels,
                "image_size": image_size,
                "hidden": hidden,
                "dropout": dropout,
            },
        }
        first, second, third, fourth, fifth = CHANNELS
        self.conv1 = nn.Conv2d(in_channels, first, 7, 2, padding=1)
        self.conv2 = nn.Conv2d(first, second, 5, 2)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.conv4 = nn.Conv2d(third, fourth, 3, padding=1)
        self.conv5 = nn.Conv2d(fourth, fifth, 3, padding=1)
        self.fc1 = nn.Linear(fifth * flat_side(image_size) ** 2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(dropout)
        initialise_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1)
        x = F.max_pool2d(F.relu(self.conv2(x)), 3, 2, 1)
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = F.max_pool2d(F.relu(self.conv5(x)), 3, 2).flatten(1)
        x = self.dropout(F.relu(self.fc1(x)))
        x = self.dropout(F.relu(self.fc2(x)))
        out: Tensor = self.fc3(x)
        return out


def zfnet(
    num_classes: int = 10, in_channels: int = 3, image_size: int = 224, hidden: int = 4096, dropout: float = 0.5
) -> ZfNet:
    """A freshly initialised `ZfNet`. Raises ModelError for sizes that cannot be built."""
    return ZfNet(num_classes, in_channels, image_size, hidden, dropout)


def flat_side(image_size: int) -> int:
    """Side of the map that enters `fc1`."""
    side = side_after(side_after(image_size, 7, 2, 1), 3, 2, 1)
    side = side_after(side_after(side, 5, 2), 3, 2, 1)
    return side_after(side, 3, 2)
