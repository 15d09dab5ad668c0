"""ResNet-8, and ZfNet pruned as in TREC §5.1: they fit the board, and its core computes the executor's logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_dag_networks import images, settled

from ostinato.firmware import deploy, plan
from ostinato.models import create
from ostinato.quant.reference import execute
from ostinato.training import prune_channels


def resnet8() -> tuple[torch.nn.Module, int]:
    torch.manual_seed(0)
    return settled(create("resnet8"), 32), 32


def zfnet(size: float, **keep: float) -> tuple[torch.nn.Module, int]:
    torch.manual_seed(0)
    shares = {"conv1": 1.0, "fc1": 0.06, "fc2": 0.06, **keep}
    smaller, report = prune_channels(create("zfnet", image_size=64), torch.zeros(1, 3, 64, 64), size=size, keep=shares)
    assert 0.9 * size < report.size <= size
    return smaller.eval(), 64


@pytest.mark.parametrize("network", [resnet8, lambda: zfnet(0.045)], ids=["resnet8", "zfnet, 4.5 %"])
def test_it_fits_the_board_and_runs_there(network) -> None:
    model, side = network()
    firmware = deploy(
        model, images(4, side, seed=2), "stm32f469i", kernel="dense", input_scale=1 / 128, verify_images=0
    )
    report = firmware.simulate()
    expected = execute(firmware.graph, firmware.samples[0])[firmware.graph.output.name]
    assert np.array_equal(report.logits[0], expected)
    assert firmware.sram_bytes <= 320 * 1024
    assert firmware.flash_bytes <= 2048 * 1024


def test_trecs_share_fits() -> None:
    """7.6 %, with K and M of the first two convolutions as in GR Table 1 (b)."""
    model, side = zfnet(0.076, conv2=1.0)
    fits = {
        kernel: plan(model, images(2, side, seed=2), board="stm32f469i", kernel=kernel, input_scale=1 / 128).fits
        for kernel in ("cmsis", "dense")
    }
    assert fits == {"cmsis": True, "dense": True}


def test_the_whole_zfnet_does_not_fit() -> None:
    """Which is why TREC prunes it."""
    torch.manual_seed(0)
    whole = create("zfnet", image_size=64).eval()
    assert not plan(whole, images(2, 64, seed=2), board="stm32f469i", input_scale=1 / 128).fits
