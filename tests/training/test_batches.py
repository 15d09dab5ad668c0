import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import Augmentation, Split, to_input
from ostinato.training.batches import EpochPlan, transform


def naive(image, flip, dy, dx):
    """Pad by reflection, crop, mirror: the textbook's augmentation, for one (3, H, W) image."""
    height, width = image.shape[1:]
    pad = max(abs(dy), abs(dx))
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
    moved = padded[:, pad + dy : pad + dy + height, pad + dx : pad + dx + width]
    return moved[:, :, ::-1] if flip else moved


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(5, 12),
    flip=st.booleans(),
    dy=st.integers(-4, 4),
    dx=st.integers(-4, 4),
    seed=st.integers(0, 99),
)
def test_transform_equals_pad_crop_mirror(size, flip, dy, dx, seed):
    images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, 3, size, size), dtype=np.uint8))
    result = transform(
        images, torch.tensor([2]), torch.tensor([flip]), torch.tensor([dy]), torch.tensor([dx])
    )
    np.testing.assert_array_equal(result[0].numpy(), naive(images[2].numpy(), flip, dy, dx))


def numbered(n):
    images = torch.arange(n).to(torch.uint8)[:, None, None, None].expand(n, 3, 6, 6).contiguous()
    return Split(images, torch.arange(n))


def test_an_epoch_sees_every_image_once_with_its_label():
    split = numbered(50)
    plan = EpochPlan.draw(50, Augmentation(flip=True, shift=2), seed=0, epoch=1)
    seen = []
    for start in range(0, 50, 8):
        images, labels = plan.batch(split, start, min(start + 8, 50))
        assert images.equal(to_input(split.images[labels]))
        seen += labels.tolist()
    assert sorted(seen) == list(range(50))
    assert seen != list(range(50))


def test_without_augmentation_images_are_untouched():
    generator = torch.Generator().manual_seed(0)
    split = Split(torch.randint(0, 256, (20, 3, 6, 6), generator=generator).to(torch.uint8), torch.arange(20))
    images, labels = EpochPlan.draw(20, Augmentation(), 0, 1).batch(split, 0, 20)
    assert images.equal(to_input(split.images[labels]))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_plan_depends_on_seed_and_epoch_only():
    augmentation = Augmentation(flip=True, shift=3)
    first = EpochPlan.draw(40, augmentation, seed=5, epoch=2)
    torch.rand(7)  # draws from the global generator must not matter
    again = EpochPlan.draw(40, augmentation, seed=5, epoch=2)
    for name in ("order", "flip", "dy", "dx"):
        assert getattr(first, name).equal(getattr(again, name))
    assert not first.order.equal(EpochPlan.draw(40, augmentation, seed=5, epoch=3).order)
    assert not first.order.equal(EpochPlan.draw(40, augmentation, seed=6, epoch=2).order)


@pytest.mark.parametrize("flip", [False, True])
def test_augmentation_uses_its_whole_range_and_no_more(flip):
    plan = EpochPlan.draw(2000, Augmentation(flip=flip, shift=2), seed=0, epoch=1)
    assert set(plan.dy.tolist()) == set(plan.dx.tolist()) == {-2, -1, 0, 1, 2}
    assert set(plan.flip.tolist()) == ({False, True} if flip else {False})
