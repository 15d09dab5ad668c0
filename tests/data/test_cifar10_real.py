"""The real CIFAR-10, where it is at hand: OSTINATO_DATA names a folder with `cifar10/` inside."""

import os
from pathlib import Path

import pytest
import torch

from ostinato import data

ROOT = os.environ.get("OSTINATO_DATA", "")

pytestmark = pytest.mark.skipif(not ROOT, reason="OSTINATO_DATA is not set (a folder with cifar10/ inside)")


@pytest.fixture(scope="module")
def dataset():
    return data.load("cifar10", Path(ROOT) / "cifar10", valid_fraction=0.1, seed=0)


def pictures(split):
    return {image.numpy().tobytes() for image in split.images}


def test_counts_and_label_distribution(dataset):
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (45_000, 5_000, 10_000)
    for split, per_class in ((dataset.train, 4500), (dataset.valid, 500), (dataset.test, 1000)):
        assert torch.bincount(split.labels).tolist() == [per_class] * 10


def test_validation_is_disjoint_from_training_and_from_test(dataset):
    train, valid, test = map(pictures, (dataset.train, dataset.valid, dataset.test))
    assert len(valid) == len(dataset.valid)
    assert not valid & train
    assert not valid & test
    assert not train & test


def test_images_are_natural_images(dataset):
    # Neighbouring pixels of photographs are alike; of wrongly ordered bytes they are not.
    images = dataset.test.images[:500].float()
    across = (images[..., 1:] - images[..., :-1]).abs().mean()
    assert across < 0.35 * images.std()
