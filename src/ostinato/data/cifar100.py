"""CIFAR-100: as CIFAR-10, with a hundred classes of its own; no picture of one is in the other (Krizhevsky, 2009)."""

from __future__ import annotations

from pathlib import Path

from ostinato.data.dataset import Augmentation, ImageDataset, Split, stratified_split
from ostinato.data.hub import download as download_from_hub
from ostinato.data.layouts import not_found
from ostinato.data.official import check_balance, check_count
from ostinato.data.parquet import read_parquet_split
from ostinato.data.python_batches import read_python_batch
from ostinato.errors import DataError

CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
"""The fine labels, in the order of their numbers."""
SIDE = 32
COUNTS = {"train": 50_000, "test": 10_000}
_LAYOUTS = "train*.parquet and test*.parquet (columns img and fine_label), or the python version's train and test"


def load_cifar100(
    data_dir: Path | None, download: bool, valid_fraction: float, seed: int, progress: bool
) -> ImageDataset:
    """CIFAR-100 from `data_dir`, or from the hub when it is not there and `download` is set. Raises DataError."""
    found = _read(data_dir, progress) if data_dir is not None else None
    if found is None:
        if not download:
            raise DataError(not_found("cifar100", data_dir, _LAYOUTS))
        found = download_from_hub("uoft-cs/cifar100", data_dir, SIDE, progress, label="fine_label")
    where = "CIFAR-100" if data_dir is None else str(data_dir)
    for name, split in zip(("train", "test"), found, strict=True):
        check_count(split, name, where, "CIFAR-100", COUNTS[name])
        check_balance(split, name, where, "CIFAR-100", CLASSES)
    train, valid = stratified_split(found[0], valid_fraction, seed)
    return ImageDataset("cifar100", CLASSES, train, valid, found[1], Augmentation(flip=True, shift=4))


def _read(data_dir: Path, progress: bool) -> tuple[Split, Split] | None:
    for folder in (data_dir, data_dir / "cifar-100-python", data_dir / "cifar100"):
        if any(folder.glob("train*.parquet")):
            return (
                read_parquet_split(folder, "train", SIDE, CLASSES, progress, label="fine_label"),
                read_parquet_split(folder, "test", SIDE, CLASSES, progress, label="fine_label"),
            )
        if (folder / "train").is_file() and (folder / "test").is_file():
            train, test = (
                read_python_batch(folder / name, COUNTS[name], len(CLASSES), "fine_labels") for name in COUNTS
            )
            return train, test
    return None
