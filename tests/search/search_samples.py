"""A network, data and a pattern space so small that a whole search takes seconds; importable by worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ostinato.data import ImageDataset, Split
from ostinato.search import SearchSpace, Settings
from ostinato.search.context import Context
from ostinato.targets.boards import get_board

TABLES = """
[[patterns]]
name = "tables"
layers = "conv2"
scope = "compiled"
sharing = "block"
clustering = "tree"
init = "pca"
gradient = "frozen"
length = "C"
"""
"""A pattern of compiled scope, but for its `hashes`."""

SPACE = f"""{TABLES}hashes = [2, 3]

[[patterns]]
name = "image"
length = "KH*KW"
order = "c.kh.kw"
hashes = 2
init = "itq"
"""
SETTINGS = Settings(
    calibration_images=24, profile_images=16, bound_images=2, simulate=4, front=2, validation_images=30
)  # fmt: skip
BOARD = "stm32f469i"


class SmallNet(nn.Module):
    """Two convolutions and a classifier, on 3×8×8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc = nn.Linear(16 * 9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, 8, 8) to (B, 3)."""
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        return self.fc(torch.max_pool2d(x, 2).flatten(1))


def seeded(network: Callable[[], nn.Module]) -> nn.Module:
    """A network with the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return network().eval()


def small_net() -> nn.Module:
    """With the same weights every time."""
    return seeded(SmallNet)


def small_dataset() -> ImageDataset:
    """Smooth images in three classes that differ in brightness."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        labels = torch.arange(n) % 3
        coarse = torch.rand(n, 3, 4, 4, generator=generator) * 120 + 45.0 * labels[:, None, None, None]
        fine = nn.functional.interpolate(coarse, size=(8, 8), mode="bilinear")
        return Split(fine.to(torch.uint8), labels)

    return ImageDataset("small", ("dark", "grey", "light"), split(90), split(30), split(3))


def small_space() -> SearchSpace:
    """Four patterns."""
    return SearchSpace.parse(SPACE)


def small_context(**changes: Any) -> Context:
    """Of `SETTINGS` with changes."""
    settings = Settings(**{**SETTINGS.to_dict(), **changes})
    return Context.of(small_net(), small_dataset(), get_board(BOARD), settings)


class DeadlyContext:
    """A context that ends the process that uses it, `times` times, by counting files in a folder."""

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    @property
    def answers(self) -> Any:
        """The first thing that a task asks for after the model."""
        raise RuntimeError("survived")

    @property
    def model(self) -> Any:
        """Asked for at once by a `network` task."""
        deaths = len(list(self.folder.iterdir()))
        if deaths < self.times:
            (self.folder / str(deaths)).touch()
            os._exit(9)
        raise RuntimeError("survived")
