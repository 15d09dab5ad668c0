"""`load`: one call for every dataset."""

from __future__ import annotations

import difflib
from pathlib import Path

from ostinato.data.cifar10 import load_cifar10
from ostinato.data.dataset import ImageDataset
from ostinato.data.digits import load_digits
from ostinato.errors import DataError

_NAMES = ("cifar10", "digits")


def names() -> tuple[str, ...]:
    """The names that `load` knows, sorted."""
    return _NAMES


def load(
    name: str,
    data_dir: str | Path | None = None,
    download: bool = False,
    valid_fraction: float = 0.1,
    seed: int = 0,
    progress: bool = True,
) -> ImageDataset:
    """A dataset in memory, its validation split taken from the training images (stratified, by `seed`).

    `digits` comes with scikit-learn and needs no folder. `cifar10` is read from `data_dir` in one of three
    layouts (parquet, the original python batches, class sub-folders), or fetched with `download=True`, which
    needs the optional `datasets` package. A progress bar shows on a terminal when loading takes over 2 s.

    Raises DataError, naming the file, what was found and what to do.
    """
    if name == "digits":
        return load_digits(valid_fraction, seed)
    if name == "cifar10":
        folder = None if data_dir is None else Path(data_dir)
        return load_cifar10(folder, download, valid_fraction, seed, progress)
    close = difflib.get_close_matches(name.lower(), _NAMES, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise DataError(f"Unknown dataset {name!r}; known: {', '.join(_NAMES)}{hint}")
