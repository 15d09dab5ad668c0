"""CIFAR-10 from the Hugging Face hub, through the optional `datasets` package."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from ostinato.data.dataset import Split
from ostinato.data.decode import decode_images
from ostinato.errors import DataError

REPOSITORY = "uoft-cs/cifar10"


def download_cifar10(cache_dir: Path | None, side: int, progress: bool) -> tuple[Split, Split]:
    """(train, test) from the hub, kept in `cache_dir` (or the package's own cache) for the next time.

    Raises DataError when `datasets` is not installed or the hub cannot be reached.
    """
    try:
        hub = importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(
            "Downloading needs the 'datasets' package: pip install 'ostinato[download]'; or give data_dir, a "
            "folder with CIFAR-10."
        ) from error
    cache = None if cache_dir is None else str(cache_dir)
    try:
        loaded = hub.load_dataset(REPOSITORY, cache_dir=cache)
        parts = {name: loaded[name].cast_column("img", hub.Image(decode=False)) for name in ("train", "test")}
    # The package raises whatever its transport raised; the user needs the reason and the way around it.
    except Exception as error:
        raise DataError(
            f"{REPOSITORY} could not be downloaded ({error or type(error).__name__}); check the connection, or "
            "give data_dir, a folder with CIFAR-10."
        ) from error
    return _split(parts["train"], "train", side, progress), _split(parts["test"], "test", side, progress)


def _split(part: Any, name: str, side: int, progress: bool) -> Split:
    encoded = [row["bytes"] or b"" for row in part["img"]]
    names = [f"{REPOSITORY} ({name}), row {row}" for row in range(len(encoded))]
    return Split(
        decode_images(encoded, names, side, progress), torch.tensor(list(part["label"]), dtype=torch.int64)
    )
