"""Hot code of a network in RAM: chosen by measurement, within what is left, in the generated project."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_networks import NetworkBuilder

from ostinato.errors import UnsupportedError
from ostinato.firmware import Firmware, deploy_graph
from ostinato.quant.reference import execute
from ostinato.targets.boards import get_board

BOARD = get_board("stm32f469i")
GEMM = "ost_conv_s8_dense_gemm"


def network() -> NetworkBuilder:
    return NetworkBuilder((8, 8, 32), seed=1).conv("conv", 32, kernel=(3, 3)).pool("gap", average=True)


@pytest.fixture(scope="module")
def cold() -> Firmware:
    net = network()
    return deploy_graph(net.graph(), net.images(1), hot_code=False, verify_images=0)


def waiting(firmware: Firmware) -> int:
    return firmware.simulate(flash_wait_states=BOARD.flash_wait_states).cycles


def test_what_waits_most_runs_from_ram(cold: Firmware, tmp_path: Path) -> None:
    net = network()
    hot = deploy_graph(net.graph(), net.images(1), out_dir=tmp_path / "fw")  # verified with its code in RAM
    assert cold.project.hot == ()
    assert GEMM in hot.project.hot
    assert waiting(hot) < 0.9 * waiting(cold)
    assert 0 < hot.sram_bytes - cold.sram_bytes < 16 << 10
    assert hot.simulate().hot_code == hot.project.hot
    assert f"in RAM: {GEMM}" in str(hot.simulate())
    assert f"* `{GEMM}`" in (tmp_path / "fw" / "README.md").read_text()
    assert f".text.{GEMM}" in (tmp_path / "fw" / "board" / "board.ld").read_text()
    assert (tmp_path / "fw" / "board" / "map_sram1.c").is_file()
    assert json.loads((tmp_path / "fw" / "ostinato.json").read_text())["hot"] == list(hot.project.hot)
    loaded = Firmware.load(tmp_path / "fw")
    assert loaded.project.hot == hot.project.hot
    assert waiting(loaded) == waiting(hot)
    image = net.images(1)[0]
    expected = execute(net.graph(), image)[net.graph().output.name]
    np.testing.assert_array_equal(loaded.simulate(image[None]).logits[0], expected)


def test_only_what_is_left_is_taken(cold: Firmware) -> None:
    net = network()
    full = replace(BOARD, sram_bytes=cold.sram_bytes + 500)  # too little for the product
    assert GEMM not in deploy_graph(net.graph(), net.images(1), full, verify_images=0).project.hot
    exact = replace(BOARD, sram_bytes=cold.sram_bytes, flash_bytes=cold.flash_bytes)
    assert deploy_graph(net.graph(), net.images(1), exact, verify_images=0).project.hot == ()
    assert deploy_graph(net.graph(), net.images(1), hot_code=100, verify_images=0).project.hot == ()


def test_itcm_is_beside_the_sram() -> None:
    net = network()
    cold, hot = (
        deploy_graph(net.graph(), net.images(1), "stm32f767zi", hot_code=wanted, verify_images=0)
        for wanted in (False, True)
    )
    assert GEMM in hot.project.hot  # of so small a network, caches are still cold
    assert hot.sram_bytes == cold.sram_bytes


def test_an_impossible_budget_is_refused() -> None:
    net = network()
    for wrong in (-1, 1 << 20):
        with pytest.raises(UnsupportedError, match="hot_code"):
            deploy_graph(net.graph(), net.images(1), hot_code=wrong, verify_images=0)
