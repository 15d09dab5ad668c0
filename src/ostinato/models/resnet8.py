"""ResNet-8, image classification in MLPerf Tiny: so that the field can compare (Banbury et al., 2021)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ostinato.models.sizes import check_sizes

CHANNELS = (16, 32, 64)
SMALLEST_IMAGE = 4
"""Two strides of 2 leave one pixel."""


class Block(nn.Module):
    """Two 3×3 convolutions with BN, the input added before the last ReLU; biases everywhere, as in the reference.

    (B, in, H, W) -> (B, out, H/stride, W/stride). Where shapes differ the input goes through a 1×1 convolution
    without BN.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(channels, out, 1, stride) if stride != 1 or channels != out else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/stride, W/stride)."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet8(nn.Module):
    """A 3×3 stem of 16 channels, three blocks of 16, 32 and 64, global average, a fully connected layer.

    Shapes at `image_size=32`: 32×32 stem, stack1 -> 16×16 stack2 -> 8×8 stack3 -> logits (B, classes). 12.5 M
    multiply-accumulates, 78,666 numbers as Keras counts them (running statistics included). One difference from the
    Keras reference: before a stride of 2, TensorFlow pads an even side on the right and at the bottom only, this
    network on all sides; neither count is touched.
    `architecture` says how to make the same network again; checkpoints carry it.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        why = "leaves no pixel after two strides of 2"
        check_sizes("resnet8", num_classes, in_channels, image_size, SMALLEST_IMAGE, why)
        self.architecture: dict[str, Any] = {
            "model": "resnet8",
            "kwargs": {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size},
        }
        first, second, third = CHANNELS
        self.conv1 = nn.Conv2d(in_channels, first, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        self.stack1 = Block(first, first, 1)
        self.stack2 = Block(first, second, 2)
        self.stack3 = Block(second, third, 2)
        self.fc = nn.Linear(third, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.stack3(self.stack2(self.stack1(x)))
        out: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return out


def resnet8(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> ResNet8:
    """A freshly initialised `ResNet8`. Raises ModelError for sizes that cannot be built."""
    return ResNet8(num_classes, in_channels, image_size)
