"""Data sets by name, all below one folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ostinato import data
from ostinato.data import ImageDataset

FOLDERS = {"tinyimagenet": "tinyimagenet30"}
"""Where a data set is below the root, if not in a folder of its own name."""


@cache
def dataset(name: str, root: Path) -> ImageDataset:
    """By its name, enlarged where that says so ("cifar10@64")."""
    base = name.partition("@")[0]
    if base == "digits":  # embedded
        return data.load(name)
    return data.load(name, data_dir=root / FOLDERS.get(base, base))
