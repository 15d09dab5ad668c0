"""scikit-learn's 1,797 handwritten digits, which come with the library: real images without a download."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ostinato.data.dataset import Augmentation, ImageDataset, Split, stratified_split

SIDE = 32
TEST_FRACTION = 0.2
TEST_SEED = 0
"""The test split is the same for every seed, so that results of several seeds can be compared."""


def load_digits(valid_fraction: float, seed: int) -> ImageDataset:
    """The digits as 32x32 RGB (three equal channels): 1,438 for training and validation, 359 for testing.

    The 8x8 originals (0-16) are enlarged bilinearly. Repeating each pixel 4x4 would fill the images with equal
    tiles, and so flatter every redundancy ratio measured on them. No mirroring: a mirrored 2 is not a 2.
    """
    from sklearn.datasets import load_digits as sklearn_digits

    originals = sklearn_digits()
    small = torch.from_numpy(originals.images)[:, None]
    # Weights are multiples of 1/64 and pixels small integers: the result is exact, equal on every machine.
    large = F.interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    images = (large * (255.0 / 16.0)).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    labels = torch.from_numpy(originals.target.astype("int64"))
    rest, test = stratified_split(Split(images, labels), TEST_FRACTION, TEST_SEED)
    train, valid = stratified_split(rest, valid_fraction, seed)
    classes = tuple(str(name) for name in originals.target_names)
    return ImageDataset("digits", classes, train, valid, test, Augmentation(flip=False, shift=4))
