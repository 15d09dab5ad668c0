"""Datasets as tensors in memory: real images, official splits, validation always taken from training."""

from ostinato.data.dataset import (
    INPUT_SCALE,
    INPUT_ZERO_POINT,
    Augmentation,
    ImageDataset,
    Split,
    to_input,
)
from ostinato.data.enlarge import enlarge
from ostinato.data.loading import load, names
from ostinato.data.parquet import read_parquet_images

__all__ = [
    "INPUT_SCALE",
    "INPUT_ZERO_POINT",
    "Augmentation",
    "ImageDataset",
    "Split",
    "enlarge",
    "load",
    "names",
    "read_parquet_images",
    "to_input",
]
