"""Images in one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

import torch

from ostinato.data.dataset import Split
from ostinato.data.decode import decode_images
from ostinato.errors import DataError

_SUFFIXES = {".png", ".jpg", ".jpeg"}


def read_class_folders(folder: Path, classes: tuple[str, ...], side: int, progress: bool = True) -> Split:
    """`folder/<class>/*.png|jpg|jpeg`, class by class in the order of `classes`, files sorted by name.

    Raises DataError when a class's folder is missing, empty or unknown, or an image is not side x side RGB.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is missing; class sub-folders are expected in it: {', '.join(classes)}.")
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    unknown = [name for name in found if name not in classes]
    if unknown:
        raise DataError(f"{folder}: unknown class folder {unknown[0]!r}; the classes are {', '.join(classes)}.")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        members = _images(folder / name)
        if not members:
            raise DataError(f"{folder / name}: no .png or .jpg image found; every class needs at least one.")
        files += members
        labels += [label] * len(members)
    encoded = [_read(file) for file in files]
    images = decode_images(encoded, [str(file) for file in files], side, progress)
    return Split(images, torch.tensor(labels, dtype=torch.int64))


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from error
