"""Data sets from the Hugging Face hub, through the optional `datasets` package."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from ostinato.data.dataset import Split
from ostinato.data.decode import decode_images
from ostinato.errors import DataError


def download(
    repository: str,
    cache_dir: Path | None,
    side: int,
    progress: bool,
    *,
    config: str | None = None,
    image: str = "img",
    label: str = "label",
) -> tuple[Split, Split]:
    """(train, test) of `repository`, kept in `cache_dir` (or the package's own cache) for the next time.

    Raises DataError when `datasets` is not installed or the hub cannot be reached.
    """
    try:
        hub = importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(
            "Downloading needs the 'datasets' package: pip install 'ostinato[download]'; or give data_dir, a "
            "folder with the data set."
        ) from error
    cache = None if cache_dir is None else str(cache_dir)
    names = (repository,) if config is None else (repository, config)
    try:
        loaded = hub.load_dataset(*names, cache_dir=cache)
        parts = {name: loaded[name].cast_column(image, hub.Image(decode=False)) for name in ("train", "test")}
    # The package raises whatever its transport raised; the user needs the reason and the way around it.
    except Exception as error:
        raise DataError(
            f"{repository} could not be downloaded ({error or type(error).__name__}); check the connection, or "
            "give data_dir, a folder with the data set."
        ) from error
    train, test = (_split(part, f"{repository} ({name})", side, progress, image, label) for name, part in parts.items())
    return train, test


def _split(part: Any, where: str, side: int, progress: bool, image: str, label: str) -> Split:
    encoded = [row["bytes"] or b"" for row in part[image]]
    names = [f"{where}, row {row}" for row in range(len(encoded))]
    return Split(decode_images(encoded, names, side, progress), torch.tensor(list(part[label]), dtype=torch.int64))
