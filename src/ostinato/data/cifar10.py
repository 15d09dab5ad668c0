"""CIFAR-10 in whichever form it is at hand, checked before it is believed."""

from __future__ import annotations

from pathlib import Path

from ostinato.data.class_folders import read_class_folders
from ostinato.data.dataset import Augmentation, ImageDataset, Split, stratified_split
from ostinato.data.hub import download as download_from_hub
from ostinato.data.layouts import not_found
from ostinato.data.official import check_balance, check_count
from ostinato.data.parquet import read_parquet_split
from ostinato.data.python_batches import read_python_batches
from ostinato.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
COUNTS = {"train": 50_000, "test": 10_000}
"""Images in the official splits, equally many of every class."""

_LAYOUTS = (
    "train*.parquet and test*.parquet; data_batch_1 ... data_batch_5 and test_batch; "
    "or train/<class>/*.png and test/<class>/*.png (also .jpg)"
)


def load_cifar10(
    data_dir: Path | None, download: bool, valid_fraction: float, seed: int, progress: bool
) -> ImageDataset:
    """CIFAR-10 from `data_dir`, or from the hub when it is not there and `download` is set. Raises DataError."""
    layout = _layout(data_dir) if data_dir is not None else None
    if layout is None:
        if not download:
            raise DataError(not_found("cifar10", data_dir, _LAYOUTS))
        splits = download_from_hub("uoft-cs/cifar10", data_dir, SIDE, progress)
        where, official = "CIFAR-10 from the hub", True
    else:
        kind, folder = layout
        where, official = str(folder), kind != "folders"
        splits = _read(kind, folder, progress)
    train_all, test = splits
    if official:
        check_official(train_all, "train", where)
        check_official(test, "test", where)
    train, valid = stratified_split(train_all, valid_fraction, seed)
    return ImageDataset("cifar10", CLASSES, train, valid, test, Augmentation(flip=True, shift=4))


def check_official(split: Split, name: str, where: str) -> None:
    """Raise DataError unless `split` has the official number of images, equally many of each class."""
    check_count(split, name, where, "CIFAR-10", COUNTS[name])
    check_balance(split, name, where, "CIFAR-10", CLASSES)


def _layout(data_dir: Path) -> tuple[str, Path] | None:
    """(kind, folder) of the first layout found in `data_dir`, or in the sub-folder its archive unpacks to."""
    if not data_dir.is_dir():
        return None
    for folder in (data_dir, data_dir / "cifar-10-batches-py", data_dir / "plain_text"):
        if any(folder.glob("train*.parquet")) or any(folder.glob("test*.parquet")):
            return "parquet", folder
        if any(folder.glob("data_batch_?")) or (folder / "test_batch").exists():
            return "batches", folder
    if (data_dir / "train").is_dir() or (data_dir / "test").is_dir():
        return "folders", data_dir
    return None


def _read(kind: str, folder: Path, progress: bool) -> tuple[Split, Split]:
    if kind == "parquet":
        return (
            read_parquet_split(folder, "train", SIDE, CLASSES, progress),
            read_parquet_split(folder, "test", SIDE, CLASSES, progress),
        )
    if kind == "batches":
        return read_python_batches(folder)
    return (
        read_class_folders(folder / "train", CLASSES, SIDE, progress),
        read_class_folders(folder / "test", CLASSES, SIDE, progress),
    )
