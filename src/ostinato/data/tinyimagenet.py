"""Tiny-ImageNet and parts of it: photographs of 64×64, which stand in for ImageNet-64×64 (TREC §5.1, GR §5.3.7)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from ostinato.data.dataset import Augmentation, ImageDataset, Split, stratified_split
from ostinato.data.decode import decode_images
from ostinato.data.layouts import not_found
from ostinato.data.parquet import parquet_classes, read_parquet_split
from ostinato.errors import DataError

SIDE = 64
_LAYOUTS = (
    "train*.parquet and valid*.parquet (columns image and label), or the archive's wnids.txt, train/<wnid>/images and "
    "val/val_annotations.txt"
)


def load_tinyimagenet(
    data_dir: Path | None, download: bool, valid_fraction: float, seed: int, progress: bool
) -> ImageDataset:
    """Tiny-ImageNet, or the classes of it that `data_dir` holds. Raises DataError.

    Its own test images have no labels; as everywhere, its validation images are the test split here, and `valid` is
    taken from the training images.
    """
    if download:
        raise DataError("tinyimagenet is not downloaded: unpack tiny-imagenet-200.zip and give data_dir, that folder.")
    if data_dir is not None:
        for folder in (data_dir, data_dir / "tiny-imagenet-200", data_dir / "data"):
            if any(folder.glob("train*.parquet")):
                return _dataset(*_from_parquet(folder, progress), valid_fraction, seed)
            if (folder / "wnids.txt").is_file():
                return _dataset(*_from_folders(folder, progress), valid_fraction, seed)
    raise DataError(not_found("tinyimagenet", data_dir, _LAYOUTS, download=False))


def _dataset(classes: tuple[str, ...], train_all: Split, test: Split, valid_fraction: float, seed: int) -> ImageDataset:
    train, valid = stratified_split(train_all, valid_fraction, seed)
    return ImageDataset("tinyimagenet", classes, train, valid, test, Augmentation(flip=True, shift=8))


def _from_parquet(folder: Path, progress: bool) -> tuple[tuple[str, ...], Split, Split]:
    first = min(folder.glob("train*.parquet"))
    classes = parquet_classes(first)
    if classes is None:
        raise DataError(f"{first}: does not name its classes (features.label.names in its 'huggingface' metadata).")
    train = read_parquet_split(folder, "train", SIDE, classes, progress, grey=True)
    return classes, train, read_parquet_split(folder, "val", SIDE, classes, progress, grey=True)


def _from_folders(folder: Path, progress: bool) -> tuple[tuple[str, ...], Split, Split]:
    wnids = _lines(folder / "wnids.txt")
    if not wnids or len(set(wnids)) != len(wnids):
        raise DataError(f"{folder / 'wnids.txt'}: expected one class a line, each once; found {len(wnids)} lines.")
    train: list[tuple[Path, int]] = []
    for label, wnid in enumerate(wnids):
        images = sorted((folder / "train" / wnid / "images").glob("*.JPEG"))
        if not images:
            raise DataError(f"{folder / 'train' / wnid / 'images'}: no .JPEG image found; unpack the archive again.")
        train += [(image, label) for image in images]
    return _names(folder, wnids), _read(train, progress), _read(_annotated(folder, wnids), progress)


def _annotated(folder: Path, wnids: list[str]) -> list[tuple[Path, int]]:
    """Validation images with the class that `val_annotations.txt` gives them: file, wnid and a box, tab-separated."""
    annotations = folder / "val" / "val_annotations.txt"
    found = []
    for number, line in enumerate(_lines(annotations), start=1):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in wnids or Path(name).name != name:
            raise DataError(f"{annotations}, line {number}: {line!r} is not an image and one of {len(wnids)} classes.")
        found.append((folder / "val" / "images" / name, wnids.index(wnid)))
    if not found:
        raise DataError(f"{annotations}: names no image; unpack the archive again.")
    return found


def _names(folder: Path, wnids: list[str]) -> tuple[str, ...]:
    """A word for each class from `words.txt`, with the class's number where the word is not its own; or the number."""
    words = {}
    if (folder / "words.txt").is_file():
        for line in _lines(folder / "words.txt"):
            wnid, _, text = line.partition("\t")
            words[wnid] = text.partition(",")[0].strip()
    named = [words.get(wnid) or wnid for wnid in wnids]
    count = Counter(named)
    return tuple(name if count[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(named, wnids, strict=True))


def _read(files: list[tuple[Path, int]], progress: bool) -> Split:
    encoded = []
    for file, _ in files:
        try:
            encoded.append(file.read_bytes())
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}).") from error
    images = decode_images(encoded, [str(file) for file, _ in files], SIDE, progress, grey=True)
    return Split(images, torch.tensor([label for _, label in files], dtype=torch.int64))


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text ({error}); unpack the archive again.") from error
