"""What a dataset is: three splits of uint8 images with labels, and the one way to feed them to a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ostinato.errors import DataError

INPUT_SCALE = 1.0 / 128.0
"""Real value of one step of the int8 input of firmware."""

INPUT_ZERO_POINT = 0
"""int8 value that stands for the real 0: the firmware's input is exactly `u8 - 128`."""


def to_input(images: Tensor) -> Tensor:
    """Model input (u8 - 128) / 128 as float32 in [-1, 1): exact in float32, and `u8 - 128` in int8.

    Any shape, uint8; the memory format is kept.
    """
    return images.to(torch.float32).sub_(128.0).mul_(INPUT_SCALE)


@dataclass(frozen=True)
class Augmentation:
    """Which random changes leave the label true: mirroring left-right, and shifts of up to `shift` pixels."""

    flip: bool = False
    shift: int = 0


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, 3, H, W) uint8 and labels (N,) int64, checked on construction (DataError)."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise DataError(f"Images must be uint8 of shape (N, 3, H, W); found {images.dtype} {tuple(images.shape)}.")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise DataError(
                f"Labels must be int64 of shape ({images.shape[0]},); found {labels.dtype} {tuple(labels.shape)}."
            )

    def __len__(self) -> int:
        return self.labels.shape[0]

    def to(self, device: torch.device | str) -> Split:
        """The images and labels on a device; this split itself if they are there."""
        there = Split(self.images.to(device), self.labels.to(device))
        return self if there.images is self.images and there.labels is self.labels else there

    def subset(self, n: int, seed: int = 0) -> Split:
        """`n` images drawn without replacement; with one seed, a smaller subset is the start of a larger one."""
        if not 1 <= n <= len(self):
            raise DataError(f"A subset of {n} images was asked of a split that has {len(self)}.")
        return self.take(np.random.default_rng(seed).permutation(len(self))[:n])

    def take(self, index: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Split:
        """The images at `index` (n,), in that order."""
        chosen = torch.from_numpy(index.astype(np.int64))
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Named splits with the class names; `classes[label]` names a label. `augmentation` is what training may do."""

    name: str
    classes: tuple[str, ...]
    train: Split
    valid: Split
    test: Split
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        sides = {tuple(split.images.shape[2:]) for split in (self.train, self.valid, self.test)}
        if len(sides) != 1 or len(set(next(iter(sides)))) != 1:
            raise DataError(f"{self.name}: images must be square and of one size; found {sorted(sides)}.")
        if not 0 <= self.augmentation.shift < self.image_size:
            raise DataError(f"{self.name}: shifts of {self.augmentation.shift} pixels; images have {self.image_size}.")
        for label, split in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            check_labels(split.labels, len(self.classes), f"{self.name} ({label} split)")

    @property
    def image_size(self) -> int:
        """Side of the square images in pixels."""
        return self.test.images.shape[-1]

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)


def check_labels(labels: Tensor, num_classes: int, where: str) -> None:
    """Raise DataError unless every label is in 0 .. num_classes - 1."""
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < num_classes):
        raise DataError(
            f"{where}: labels run from {int(labels.min())} to {int(labels.max())}, but there are {num_classes} "
            f"classes (0-{num_classes - 1})."
        )


def stratified_split(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """(rest, held out): the same `fraction` of every class, at least one image each, drawn by `seed`.

    Both parts keep the order of `split`. Raises DataError when a class is too small to give one and keep one.
    """
    if not 0.0 < fraction < 1.0:
        raise DataError(
            f"The validation fraction is {fraction}; it must be between 0 and 1, for models are chosen on "
            "held-out training images."
        )
    rng = np.random.default_rng(seed)
    labels = split.labels.numpy()
    held_out = np.zeros(len(split), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(fraction * members.size))
        if count >= members.size:
            raise DataError(
                f"Class {label} has {members.size} training images; holding out {count} of them leaves none."
            )
        held_out[rng.permutation(members)[:count]] = True
    return split.take(np.flatnonzero(~held_out)), split.take(np.flatnonzero(held_out))
