"""VGG-16 and VGG-19 (Simonyan and Zisserman, 2015; DR Tables I and II). For hosts."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ostinato.models.initial import initialise_for_relu
from ostinato.models.sizes import check_dropout, check_hidden, check_sizes

STAGES = {
    "vgg16": ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
    "vgg19": ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)),
}
"""Channels and convolutions of each stage; a max-pool 2 ends it."""
SMALLEST_IMAGE = 32
"""Five poolings by 2 leave one pixel."""


class Vgg(nn.Module):
    """Stages of 3×3 convolutions with ReLU, each ended by a max-pool 2, then three fully connected layers.

    Modules are named as in torchvision (`features.0`, `classifier.6`; with `batch_norm` as its `vgg16_bn`), so that
    its state dicts load at 1000 classes and 224×224: 138.4 M parameters and 15.5 G multiply-accumulates (VGG-16),
    143.7 M and 19.6 G (VGG-19). Shapes at `image_size=224`: 224 -> 112 -> 56 -> 28 -> 14 -> 7×7 ->
    25088-hidden-hidden-classes. Other image sizes change `classifier.0` alone; there is no adaptive pooling.
    `architecture` says how to make the same network again; checkpoints carry it.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        in_channels: int,
        image_size: int,
        hidden: int,
        dropout: float,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        check_sizes(name, num_classes, in_channels, image_size, SMALLEST_IMAGE, "leaves no pixel after five poolings")
        check_hidden(name, hidden)
        check_dropout(name, dropout)
        self.architecture: dict[str, Any] = {
            "model": name,
            "kwargs": {
                "num_classes": num_classes,
                "in_channels": in_channels,
                "image_size": image_size,
                "hidden": hidden,
                "dropout": dropout,
                "batch_norm": batch_norm,
            },
        }
        layers: list[nn.Module] = []
        before = in_channels
        for channels, convolutions in STAGES[name]:
            for _ in range(convolutions):
                layers.append(nn.Conv2d(before, channels, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU())
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(before * (image_size // 32) ** 2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        initialise_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size)."""
        out: Tensor = self.classifier(self.features(x).flatten(1))
        return out


def vgg16(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 224,
    hidden: int = 4096,
    dropout: float = 0.5,
    batch_norm: bool = False,
) -> Vgg:
    """A freshly initialised VGG-16. Raises ModelError for sizes that cannot be built."""
    return Vgg("vgg16", num_classes, in_channels, image_size, hidden, dropout, batch_norm)


def vgg19(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 224,
    hidden: int = 4096,
    dropout: float = 0.5,
    batch_norm: bool = False,
) -> Vgg:
    """A freshly initialised VGG-19. Raises ModelError for sizes that cannot be built."""
    return Vgg("vgg19", num_classes, in_channels, image_size, hidden, dropout, batch_norm)
