"""ResNet-18 and ResNet-34 for 64×64 images, thinner where they are to fit a microcontroller (TREC §5)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.models.sizes import check_sizes

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
CHANNELS = (64, 128, 256, 512)
SMALLEST_IMAGE = 32
"""Stem, pooling and three strides divide the side by 32."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with BN, the input added before the last ReLU (He et al., 2016).

    (B, in, H, W) -> (B, out, H/stride, W/stride). Where shapes differ the input goes through a 1×1 convolution and BN.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            if stride != 1 or channels != out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/stride, W/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """7×7 stem of stride 2, max-pool 3/2, four stages of basic blocks, global average, a fully connected layer.

    Modules are named as in torchvision (`layer2.0.conv1`), so that its state dicts load at `width=1` and 1000 classes.
    Shapes at `image_size=64`: 32×32 -> 16×16 layer1 -> 8×8 -> 4×4 -> 2×2 layer4 -> logits (B, classes).
    `width` multiplies all channels. `architecture` says how to make the same network again; checkpoints carry it.
    """

    def __init__(self, name: str, num_classes: int, in_channels: int, image_size: int, width: float) -> None:
        super().__init__()
        why = "leaves no pixel after its strides"
        check_sizes(name, num_classes, in_channels, image_size, SMALLEST_IMAGE, why)
        if not 1 / CHANNELS[0] <= width <= 4:
            raise ModelError(f"{name}: width={width}; it multiplies {CHANNELS[0]} channels and is 1/64 to 4.")
        self.architecture: dict[str, Any] = {
            "model": name,
            "kwargs": {
                "num_classes": num_classes,
                "in_channels": in_channels,
                "image_size": image_size,
                "width": width,
            },
        }
        stages = [round(channels * width) for channels in CHANNELS]
        self.conv1 = nn.Conv2d(in_channels, stages[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stages[0])
        before = stages[0]
        for i, (channels, blocks) in enumerate(zip(stages, BLOCKS[name], strict=True)):
            first = BasicBlock(before, channels, 1 if i == 0 else 2)
            rest = (BasicBlock(channels, channels, 1) for _ in range(blocks - 1))
            self.add_module(f"layer{i + 1}", nn.Sequential(first, *rest))
            before = channels
        self.fc = nn.Linear(before, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(len(CHANNELS)):
            x = self.get_submodule(f"layer{i + 1}")(x)
        out: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return out


def resnet18(num_classes: int = 10, in_channels: int = 3, image_size: int = 64, width: float = 1.0) -> ResNet:
    """A freshly initialised ResNet-18. Raises ModelError for sizes that cannot be built."""
    return ResNet("resnet18", num_classes, in_channels, image_size, width)


def resnet34(num_classes: int = 10, in_channels: int = 3, image_size: int = 64, width: float = 1.0) -> ResNet:
    """A freshly initialised ResNet-34. Raises ModelError for sizes that cannot be built."""
    return ResNet("resnet34", num_classes, in_channels, image_size, width)
