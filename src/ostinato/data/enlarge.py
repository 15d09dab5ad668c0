"""Images enlarged for networks that were made for larger ones: ZfNet and AlexNet on CIFAR's."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ostinato.data.dataset import Augmentation, ImageDataset, Split
from ostinato.errors import DataError

_CHUNK = 1000
"""Images at a time: floats of all of them would take four times the memory."""


def enlarge(dataset: ImageDataset, side: int) -> ImageDataset:
    """The data set with images of side × side, bilinear, rounded to uint8; called `<name>@<side>`.

    Shifts of the augmentation grow with the images. All images are held in memory: CIFAR-10 at 64×64 takes 0.7 GB.

    Raises:
        DataError: `side` is below the images' own.
    """
    if side < dataset.image_size:
        raise DataError(f"{dataset.name}: images of {dataset.image_size} pixels are not reduced to {side}.")
    train, valid, test = (
        Split(_enlarged(split.images, side), split.labels) for split in (dataset.train, dataset.valid, dataset.test)
    )
    shift = round(dataset.augmentation.shift * side / dataset.image_size)
    return replace(
        dataset,
        name=f"{dataset.name}@{side}",
        train=train,
        valid=valid,
        test=test,
        augmentation=Augmentation(dataset.augmentation.flip, shift),
    )


def _enlarged(images: Tensor, side: int) -> Tensor:
    large = torch.empty((len(images), 3, side, side), dtype=torch.uint8)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK].float()
        resized = F.interpolate(part, size=(side, side), mode="bilinear", align_corners=False)
        large[start : start + _CHUNK] = resized.round_().to(torch.uint8)
    return large
