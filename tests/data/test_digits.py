import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ostinato import data
from ostinato.errors import DataError


def as_set(split):
    return {image.numpy().tobytes() for image in split.images}


def test_all_images_are_there_once_and_every_class_is_in_every_split():
    dataset = data.load("digits")
    assert len(dataset.train) + len(dataset.valid) + len(dataset.test) == 1797
    assert dataset.classes == tuple("0123456789")
    assert dataset.image_size == 32
    for split in (dataset.train, dataset.valid, dataset.test):
        assert set(split.labels.tolist()) == set(range(10))


def test_splits_are_disjoint():
    dataset = data.load("digits")
    train, valid, test = map(as_set, (dataset.train, dataset.valid, dataset.test))
    assert not train & valid
    assert not (train | valid) & test


def test_seed_changes_validation_but_never_the_test_split():
    first, again, other = data.load("digits"), data.load("digits"), data.load("digits", seed=1)
    assert first.valid.images.equal(again.valid.images)
    assert not first.valid.images.equal(other.valid.images)
    assert first.test.images.equal(other.test.images)
    assert first.test.labels.equal(other.test.labels)


def test_images_are_the_originals_enlarged():
    # Averaging each 4x4 tile of a bilinear enlargement gives back the original, blurred by its neighbours:
    # the sums of intensities must agree closely, the label with them.
    originals = load_digits()
    dataset = data.load("digits")
    sums = torch.cat([s.images for s in (dataset.train, dataset.valid, dataset.test)])[:, 0].sum((1, 2))
    expected = originals.images.sum((1, 2)) * 16 * 255 / 16
    np.testing.assert_allclose(np.sort(sums.numpy()), np.sort(expected), rtol=0.05)


def test_channels_are_equal_and_digits_must_not_be_mirrored():
    dataset = data.load("digits")
    assert dataset.test.images[:, 0].equal(dataset.test.images[:, 1])
    assert dataset.test.images[:, 0].equal(dataset.test.images[:, 2])
    assert not dataset.augmentation.flip


def test_valid_fraction_is_taken_from_training():
    small, large = data.load("digits", valid_fraction=0.1), data.load("digits", valid_fraction=0.3)
    assert len(large.valid) > 2.5 * len(small.valid)
    assert len(small.test) == len(large.test)
    with pytest.raises(DataError, match="fraction"):
        data.load("digits", valid_fraction=0.0)


def test_unknown_dataset_lists_the_known():
    with pytest.raises(DataError, match=r"'cifar-10'; known: cifar10, .*tinyimagenet; did you mean 'cifar10'\?"):
        data.load("cifar-10")
