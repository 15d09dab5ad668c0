from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from random_networks import NetworkBuilder
from torch import nn

import ostinato as ost
from ostinato.firmware import builds, deploy_graph
from ostinato.firmware.pooling import with_pools
from ostinato.firmware.preview import preview
from ostinato.firmware.storage import plan_project
from ostinato.quant.ops import QGraph
from ostinato.targets.boards import get_board

BOARD = get_board("stm32f469i")


def graphs() -> dict[str, QGraph]:
    def start() -> NetworkBuilder:
        return NetworkBuilder((12, 12, 3), seed=5)

    return {
        "linear": start().linear("head", 4).graph(),
        "conventional": start().conv("conv", 8).pool("pool").pool("pool2", average=True).linear("head", 4).graph(),
        "reuse": start().reuse_compiled("t", 16, 3, 4).pool("p").reuse_image("i", 8, 8, 3).linear("head", 4).graph(),
    }


@pytest.mark.parametrize("name", graphs())
def test_the_plan_is_what_the_linker_finds(name: str) -> None:
    graph = graphs()[name]
    planned = preview(plan_project(with_pools(graph), "dense", BOARD))
    net = NetworkBuilder((12, 12, 3), seed=5)
    firmware = deploy_graph(graph, net.images(1), kernel="dense", hot_code=False, verify_images=0)
    assert planned.arena_bytes == firmware.plan.arena_bytes
    assert planned.const_bytes == firmware.sizes.const_bytes
    assert planned.sram_bytes <= firmware.sram_bytes <= planned.sram_bytes + 16  # alignment
    code = firmware.flash_bytes - firmware.sizes.const_bytes
    assert code / 2 < planned.code_bytes < 4 * code
    assert firmware.simulate().stack_bytes <= planned.stack_bytes


def test_nothing_is_compiled_for_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "compile_firmware", lambda *_, **__: pytest.fail("compiled"))
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 4)
    )
    planned = ost.plan(model.eval(), torch.randn(2, 3, 10, 10), board="stm32f469i", name="tiny")
    assert planned.fits
    assert planned.network == "tiny"
    assert [(layer.name, layer.kernel) for layer in planned.layers][:2] == [
        ("0", "conv_s8_dense_pooled"), ("3", "max_pool_s8"),
    ]  # fmt: skip
    first = planned.layers[0]  # input (aligned), pooled output and scratch: what is pooled is nowhere
    assert first.live_bytes == 304 + 4 * 4 * 8 + first.scratch_bytes
    assert planned.layers[1].in_place == "2"
    assert planned.layers[1].live_bytes == 4 * 4 * 8  # in place: the input alone
    assert max(layer.live_bytes for layer in planned.layers) == planned.lower_bound == planned.arena_bytes
    assert json.loads(json.dumps(planned.to_dict()))["fits"] is True
    text = str(planned)
    assert "the least possible" in text
    assert "tiny on stm32f469i" in text


def test_what_does_not_fit_is_told_and_not_raised() -> None:
    graph = graphs()["conventional"]
    planned = preview(plan_project(graph, "dense", replace(BOARD, sram_bytes=1500)))
    assert not planned.fits
    assert planned.problem is not None
    assert "Layer conv does not fit the SRAM" in planned.problem
    assert "does not fit" in " ".join(str(planned).split())
