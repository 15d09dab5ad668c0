"""SVHN: house numbers from street photographs, cropped to one digit (Netzer et al., 2011)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat

from ostinato.data.dataset import Augmentation, ImageDataset, Split, check_labels, stratified_split
from ostinato.data.hub import download as download_from_hub
from ostinato.data.layouts import not_found
from ostinato.data.official import check_count
from ostinato.data.parquet import read_parquet_split
from ostinato.errors import DataError

CLASSES = tuple("0123456789")
SIDE = 32
COUNTS = {"train": 73_257, "test": 26_032}
"""Classes are not of equal size: house numbers begin with 1 more often. The `extra` images are not used."""
_LAYOUTS = "train_32x32.mat and test_32x32.mat, or train*.parquet and test*.parquet (columns image and label)"


def load_svhn(data_dir: Path | None, download: bool, valid_fraction: float, seed: int, progress: bool) -> ImageDataset:
    """SVHN's cropped digits from `data_dir`, or from the hub when `download` is set. Raises DataError."""
    found = _read(data_dir, progress) if data_dir is not None else None
    if found is None:
        if not download:
            raise DataError(not_found("svhn", data_dir, _LAYOUTS))
        found = download_from_hub(
            "ufldl-stanford/svhn", data_dir, SIDE, progress, config="cropped_digits", image="image"
        )
    where = "SVHN" if data_dir is None else str(data_dir)
    for name, split in zip(("train", "test"), found, strict=True):
        check_count(split, name, where, "SVHN", COUNTS[name])
    train, valid = stratified_split(found[0], valid_fraction, seed)
    return ImageDataset("svhn", CLASSES, train, valid, found[1], Augmentation(flip=False, shift=2))


def read_svhn_mat(file: Path) -> Split:
    """A MATLAB file with `X`, uint8 (32, 32, 3, N), and `y`, (N, 1) with 1 ... 10, where 10 stands for the digit 0.

    Raises DataError when it is missing, damaged, or holds anything else.
    """
    if not file.is_file():
        raise DataError(f"{file} is missing; SVHN's cropped digits come as train_32x32.mat and test_32x32.mat.")
    try:
        content = loadmat(str(file), variable_names=("X", "y"))
    # scipy reports a damaged file in as many ways as it can be damaged.
    except Exception as error:
        reason = error or type(error).__name__
        raise DataError(f"{file}: not a readable MATLAB file ({reason}); get it again.") from error
    if not {"X", "y"} <= set(content):
        raise DataError(f"{file}: has no X and y, so it is none of SVHN's cropped digits; get it again.")
    pixels, numbers = content["X"], content["y"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[:3] != (SIDE, SIDE, 3):
        raise DataError(f"{file}: X is {pixels.dtype} {pixels.shape}, expected uint8 (32, 32, 3, images).")
    flat = numbers.reshape(-1)
    if numbers.dtype.kind not in "uif" or flat.shape != pixels.shape[3:] or not np.isin(flat, range(1, 11)).all():
        raise DataError(f"{file}: y is {numbers.dtype} {numbers.shape}, expected {pixels.shape[3]} labels 1 ... 10.")
    labels = torch.from_numpy(flat.astype(np.int64) % 10)
    check_labels(labels, len(CLASSES), str(file))
    return Split(torch.from_numpy(np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))), labels)


def _read(data_dir: Path, progress: bool) -> tuple[Split, Split] | None:
    for folder in (data_dir, data_dir / "cropped_digits", data_dir / "svhn"):
        if any(folder.glob("*_32x32.mat")):
            return read_svhn_mat(folder / "train_32x32.mat"), read_svhn_mat(folder / "test_32x32.mat")
        if any(folder.glob("train*.parquet")):
            return (
                read_parquet_split(folder, "train", SIDE, CLASSES, progress),
                read_parquet_split(folder, "test", SIDE, CLASSES, progress),
            )
    return None
