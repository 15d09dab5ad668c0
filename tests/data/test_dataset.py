import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT, Augmentation, ImageDataset, Split, to_input
from ostinato.data.dataset import stratified_split
from ostinato.errors import DataError


def make_split(labels, size=4):
    labels = torch.tensor(labels, dtype=torch.int64)
    images = torch.arange(len(labels)).to(torch.uint8)[:, None, None, None].expand(-1, 3, size, size)
    return Split(images.contiguous(), labels)


def test_input_is_exactly_the_firmwares_int8():
    every_value = torch.arange(256, dtype=torch.uint8)
    x = to_input(every_value)
    assert x.dtype == torch.float32
    int8 = (x.double() / INPUT_SCALE + INPUT_ZERO_POINT).numpy()
    np.testing.assert_array_equal(int8, np.arange(256) - 128)
    assert every_value.equal(torch.arange(256, dtype=torch.uint8)), "the images themselves were changed"


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int32)),
    ],
)
def test_split_refuses_other_shapes_and_types(images, labels):
    with pytest.raises(DataError):
        Split(images, labels)


def test_subset_is_reproducible_nested_and_keeps_labels_with_images():
    split = make_split([i % 5 for i in range(100)])
    small, large = split.subset(10, seed=3), split.subset(40, seed=3)
    assert len(small) == 10
    assert small.images.equal(large.images[:10])
    assert not small.images.equal(split.subset(10, seed=4).images)
    assert large.labels.equal(large.images[:, 0, 0, 0].long() % 5)
    assert len(set(large.images[:, 0, 0, 0].tolist())) == 40


@pytest.mark.parametrize("n", [0, -1, 6])
def test_subset_refuses_impossible_sizes(n):
    with pytest.raises(DataError, match=f"subset of {n} images"):
        make_split([0] * 5).subset(n, 0)


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(2, 30), min_size=1, max_size=6),
    fraction=st.floats(0.05, 0.45),
    seed=st.integers(0, 1000),
)
def test_stratified_split_is_a_partition_with_every_class_in_both(counts, fraction, seed):
    split = make_split([label for label, count in enumerate(counts) for _ in range(count)])
    rest, held_out = stratified_split(split, fraction, seed)
    together = torch.cat([rest.images, held_out.images])[:, 0, 0, 0]
    assert sorted(together.tolist()) == sorted(split.images[:, 0, 0, 0].tolist())
    for label, count in enumerate(counts):
        assert int((held_out.labels == label).sum()) == max(1, round(fraction * count))
        assert int((rest.labels == label).sum()) >= 1


def test_stratified_split_depends_on_the_seed_only():
    split = make_split([0, 1] * 50)
    first, again, other = (stratified_split(split, 0.2, seed)[1].images for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_validation_fraction_must_leave_both_parts(fraction):
    with pytest.raises(DataError, match="fraction"):
        stratified_split(make_split([0, 1] * 10), fraction, 0)


def test_a_class_with_one_image_cannot_be_split():
    with pytest.raises(DataError, match="Class 1 has 1 training images"):
        stratified_split(make_split([0, 0, 1]), 0.1, 0)


def test_dataset_checks_labels_and_sizes():
    good = make_split([0, 1])
    with pytest.raises(DataError, match=r"labels run from 0 to 2.*2 classes"):
        ImageDataset("toy", ("a", "b"), good, good, make_split([0, 2]))
    with pytest.raises(DataError, match="one size"):
        ImageDataset("toy", ("a", "b"), good, good, make_split([0, 1], size=6))
    with pytest.raises(DataError, match="shifts of 4"):
        ImageDataset("toy", ("a", "b"), good, good, good, Augmentation(shift=4))
    dataset = ImageDataset("toy", ("a", "b"), good, good, good)
    assert (dataset.image_size, dataset.num_classes) == (4, 2)
