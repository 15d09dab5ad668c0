import copy

import pytest
import torch
from torch import nn

from ostinato.errors import UnsupportedError
from ostinato.nn import ReuseConv2d, calibrate, convert, measure_reuse, reset_caches
from ostinato.quant.frontend import from_module
from ostinato.reuse import Pattern

PATTERN = Pattern(6, 4, scope="across_batches", gradient="frozen")


def images(seed, batch=3):
    return torch.randn(batch, 4, 7, 7, generator=torch.Generator().manual_seed(seed))


def layer(**fields):
    torch.manual_seed(0)
    pattern = Pattern.from_dict({**PATTERN.to_dict(), **fields})
    return ReuseConv2d.from_conv(nn.Conv2d(4, 5, 3), pattern, "conv2").eval()


@torch.no_grad()
def rate(model, x):
    with measure_reuse(model) as stats:
        model(x)
    return stats["conv2" if "conv2" in stats else "(model)"].reuse_rate


def test_the_reuse_rate_grows_with_the_batches_and_a_reset_begins_again():
    reuse = layer()
    rates = [rate(reuse, images(seed)) for seed in range(4)]
    assert rates[0] == 0
    assert rates[1] > 0.5
    assert rates[3] > rates[1]
    reset_caches(reuse)
    assert len(reuse.cache) == 0
    assert rate(reuse, images(9)) == 0


@torch.no_grad()
def test_the_cache_is_used_without_measuring_too():
    reuse = layer()
    reuse(images(0))
    assert len(reuse.cache) > 0
    assert rate(reuse, images(0)) == 1


def change_weight(reuse):
    reuse.weight.mul_(2)


def change_hash(reuse):
    reuse.thresholds.add_(0.1)


def load(reuse):
    reuse.load_state_dict(layer(seed=5).state_dict())


def move(reuse):
    reuse.double().float()


def train(reuse):
    reuse.train()(images(1))
    reuse.eval()


@torch.no_grad()
@pytest.mark.parametrize("change", [change_weight, change_hash, load, move, train])
def test_results_of_other_weights_or_hashes_are_not_reused(change):
    reuse = layer()
    reuse(images(0))
    change(reuse)
    fresh = copy.deepcopy(reuse)
    fresh.reset_cache()
    assert torch.equal(reuse(images(2)), fresh(images(2)))


@torch.no_grad()
def test_the_cache_is_bounded_and_no_part_of_a_checkpoint():
    reuse = layer(cache_entries=7)
    for seed in range(3):
        reuse(images(seed))
    assert len(reuse.cache) == 7
    assert set(reuse.state_dict()) == {"weight", "bias", "hash_vectors", "thresholds"}


def test_it_trains_as_batch_scope_and_calibrates():
    model = nn.Sequential()
    model.add_module("conv2", layer(init="pca", gradient="flip").train())
    calibrate(model, images(0))
    model(images(1)).square().mean().backward()
    assert model.conv2.hash_vectors.grad.abs().sum() > 0


def test_firmware_refuses_it_by_name():
    model = nn.Sequential()
    model.add_module("conv2", nn.Conv2d(4, 5, 3))
    reuse = convert(model.eval(), {"conv2": PATTERN})
    with pytest.raises(UnsupportedError, match=r"conv2.*scope='across_batches'; supported is 'image' or 'compiled'"):
        from_module(reuse, images(0, 1))
