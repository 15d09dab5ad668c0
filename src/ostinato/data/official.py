"""Official data sets have official counts: what has others is incomplete, or something else."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ostinato.data.dataset import Split, check_labels
from ostinato.errors import DataError


def check_count(split: Split, name: str, where: str, title: str, expected: int) -> None:
    """Raise DataError unless the split called `name` has `expected` images."""
    if len(split) != expected:
        raise DataError(
            f"{where}: the {name} split has {len(split):,} images, {title} has {expected:,}; "
            "a file is missing or incomplete, get it again."
        )


def check_balance(split: Split, name: str, where: str, title: str, classes: Sequence[str]) -> None:
    """Raise DataError unless there are equally many images of each class."""
    check_labels(split.labels, len(classes), f"{where} ({name} split)")
    expected = len(split) // len(classes)
    for label, count in enumerate(torch.bincount(split.labels, minlength=len(classes)).tolist()):
        if count != expected:
            raise DataError(
                f"{where}: the {name} split has {count:,} images of class {classes[label]!r}, {title} has "
                f"{expected:,}; this is not the official data, get it again."
            )
