"""`load`: one call for every dataset."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from ostinato.data.cifar10 import load_cifar10
from ostinato.data.cifar100 import load_cifar100
from ostinato.data.dataset import ImageDataset
from ostinato.data.digits import load_digits
from ostinato.data.enlarge import enlarge
from ostinato.data.svhn import load_svhn
from ostinato.data.tinyimagenet import load_tinyimagenet
from ostinato.errors import DataError

_FROM_FOLDERS: dict[str, Callable[[Path | None, bool, float, int, bool], ImageDataset]] = {
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "svhn": load_svhn,
    "tinyimagenet": load_tinyimagenet,
}
_NAMES = ("cifar10", "cifar100", "digits", "svhn", "tinyimagenet")


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

    `digits` comes with scikit-learn and needs no folder. The others are read from `data_dir` in any of their layouts
    (docs/data.md), or, but for `tinyimagenet`, fetched with `download=True`, which needs the optional `datasets`
    package. `cifar10@64` enlarges the images to 64×64, and so for the others. A progress bar shows on a terminal when
    loading takes over 2 s.

    Raises DataError, naming the file, what was found and what to do.
    """
    base, at, side = name.partition("@")
    if at:
        if not side.isdecimal():
            raise DataError(f"Dataset {name!r}: {side!r} is no size in pixels; an example is 'cifar10@64'.")
        return enlarge(load(base, data_dir, download, valid_fraction, seed, progress), int(side))
    if name == "digits":
        return load_digits(valid_fraction, seed)
    if name in _FROM_FOLDERS:
        folder = None if data_dir is None else Path(data_dir)
        return _FROM_FOLDERS[name](folder, download, valid_fraction, seed, progress)
    close = difflib.get_close_matches(name.lower(), _NAMES, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise DataError(f"Unknown dataset {name!r}; known: {', '.join(_NAMES)}{hint}")
