"""Datasets as tensors in memory: real images, official splits, validation always taken from training."""

from ostinato.data.dataset import (
    INPUT_SCALE,
    INPUT_ZERO_POINT,
    Augmentation,
    ImageDataset,
    Split,
    to_input,
)
from ostinato.data.loading import load, names

__all__ = [
    "INPUT_SCALE",
    "INPUT_ZERO_POINT",
    "Augmentation",
    "ImageDataset",
    "Split",
    "load",
    "names",
    "to_input",
]
