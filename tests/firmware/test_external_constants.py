"""Weights and tables in external flash: placed only where they have to be, where that costs least; the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_networks import NetworkBuilder

from ostinato.errors import DoesNotFitError, UnsupportedError
from ostinato.firmware import Firmware, deploy_graph
from ostinato.firmware.choosing import Chooser
from ostinato.firmware.preview import preview
from ostinato.quant.ops import QGraph
from ostinato.quant.reference import execute
from ostinato.targets.boards import Board, get_board

BOARDS = ("stm32f469i", "stm32f769i")


def network() -> tuple[NetworkBuilder, QGraph]:
    """Constants of 7 KB that are read for every second pixel, 55 KB of tables, and 17 KB that are read once."""
    net = NetworkBuilder((8, 8, 16), seed=3).conv("conv", 48).reuse_compiled("tables", 64, length=8, hashes=4)
    net.pool("pool").linear("fc", 64).linear("head", 10)
    return net, net.graph()


@pytest.fixture(scope="module", params=BOARDS)
def inside(request: pytest.FixtureRequest) -> Firmware:
    """All in internal flash, though it might be elsewhere."""
    net, graph = network()
    return deploy_graph(graph, net.images(2), request.param, external_flash="auto", hot_code=False, verify_images=0)


def short_of(firmware: Firmware, flash_bytes: int) -> Board:
    """The board with so much less flash than the firmware takes."""
    return replace(firmware.board, flash_bytes=firmware.flash_bytes - flash_bytes)


def outside(firmware: Firmware) -> dict[str, int]:
    """Layers with constants in external flash."""
    return {layer.op.name: layer.external_bytes for layer in firmware.project.layers if layer.external_bytes}


def test_auto_leaves_inside_what_fits(inside: Firmware) -> None:
    assert inside.external_bytes == 0
    assert outside(inside) == {}
    text = (inside.project_dir / "weights.c").read_text()
    assert "EXTERNAL" not in text
    assert "#define MODEL_EXTERNAL_BYTES 0" in (inside.project_dir / "model.h").read_text()
    assert not (inside.project_dir / "board" / "map_external.c").exists()
    assert "zero wait states" in inside.simulate().cycle_model


def test_what_costs_least_goes_out_and_the_logits_stay(inside: Firmware, tmp_path: Path) -> None:
    _, graph = network()
    board = short_of(inside, 12_000)  # as much as fc alone, or the tables alone, can give
    firmware = deploy_graph(
        graph, inside.samples, board, external_flash="auto", hot_code=False, out_dir=tmp_path / "fw", verify_images=1
    )
    assert firmware.verification is not None
    assert firmware.verification.agrees
    assert outside(firmware) == {"fc": 16_384}
    assert firmware.flash_bytes <= board.flash_bytes
    assert firmware.external_bytes == 16_384
    report, before = firmware.simulate(), inside.simulate()
    expected = execute(graph, inside.samples[0])[graph.output.name]
    np.testing.assert_array_equal(report.logits[0], expected)
    assert report.instructions == before.instructions
    waits = {layer.name: layer.cycles - old.cycles for layer, old in zip(report.layers, before.layers, strict=True)}
    flash = board.external_flash
    assert flash is not None
    alone = next(layer.cycles for layer in before.layers if layer.name == "fc")
    assert waits["fc"] >= 16_384 * flash.byte_cycles - alone
    assert [name for name, cycles in waits.items() if cycles] == ["fc"]
    assert {layer.name: layer.external_wait_cycles for layer in report.layers} == waits
    assert report.external_wait_cycles == waits["fc"]
    assert f"16,384 B in external flash, {waits['fc']:,} cycles waiting for it" in str(report)
    assert before.external_wait_cycles == 0
    # Priced alone as it runs in the network, but for the call itself.
    choice = next(choice for choice in firmware.project.choices if choice.layer == "fc")
    own = next(option.cycles for option in choice.options if option.external)
    assert own is not None
    assert abs(waits["fc"] + alone - own) < 120


def test_it_is_told_everywhere(inside: Firmware, tmp_path: Path) -> None:
    _, graph = network()
    names = {"external_flash": ["tables"], "hot_code": False, "verify_images": 0}
    firmware = deploy_graph(graph, inside.samples, inside.board, out_dir=tmp_path / "fw", **names)
    assert outside(firmware) == {"tables": 55_296}
    part = inside.board.external_flash
    assert part is not None
    readme = (tmp_path / "fw" / "README.md").read_text()
    for words in ("| tables | table | 55,296 |", part.part, part.loader, "-R .external", "0x90000000"):
        assert words in readme
    assert "EXTERNAL const int8_t tables_table[55296]" in (tmp_path / "fw" / "weights.c").read_text()
    assert "#define MODEL_EXTERNAL_BYTES 55296" in (tmp_path / "fw" / "model.h").read_text()
    report = firmware.simulate(flash_wait_states=inside.board.flash_wait_states)
    assert report.external_bytes == 55_296
    assert {layer.name: layer.external_bytes for layer in report.layers if layer.external_bytes} == {"tables": 55_296}
    assert f"{part.part} on QUADSPI" in report.cycle_model
    assert "55,296 B in external flash" in str(report)
    loaded = Firmware.load(tmp_path / "fw")
    assert loaded.external_bytes == 55_296
    assert loaded.project.choices == list(firmware.project.choices)
    assert loaded.simulate().cycles == firmware.simulate().cycles
    assert loaded.to_dict()["external_bytes"] == 55_296


def test_a_network_beyond_all_internal_flash_runs(tmp_path: Path) -> None:
    """2.3 MB of weights on 2 MiB of flash; the original board, nothing shrunk."""
    net = NetworkBuilder((16, 16, 32), seed=1).linear("wide", 280).linear("head", 10)
    graph, images = net.graph(), net.images(1)
    with pytest.raises(DoesNotFitError, match=r"Layer wide.*external_flash='auto'.*N25Q128A"):
        deploy_graph(graph, images, "stm32f469i", verify_images=0)
    firmware = deploy_graph(graph, images, "stm32f469i", external_flash="auto", verify_images=0, hot_code=False)
    assert outside(firmware) == {"wide": 8192 * 280}
    logits = firmware.simulate().logits[0]
    np.testing.assert_array_equal(logits, execute(graph, images[0])[graph.output.name])
    np.testing.assert_array_equal(logits, firmware.predict_int8(images)[0])


def test_plans_say_it_without_compiling() -> None:
    _, graph = network()
    board = replace(get_board("stm32f469i"), flash_bytes=70_000)
    planned = preview(Chooser.by_sizes(graph, "auto", board, "auto").project())
    assert planned.fits
    assert [layer.external_bytes for layer in planned.layers] == [0, 0, 0, 16_384, 0]  # read once only
    assert planned.external_bytes == 16_384
    assert planned.const_bytes + 16_384 == preview(Chooser.by_sizes(graph, "auto", board).project()).const_bytes
    assert "external, B" in str(planned)
    assert not preview(Chooser.by_sizes(graph, "auto", board).project()).fits


def test_what_cannot_go_out_is_refused() -> None:
    net, graph = network()

    def deploy(board: str | Board, wanted: str | list[str]) -> None:
        deploy_graph(graph, net.images(1), board, external_flash=wanted, verify_images=0)

    with pytest.raises(UnsupportedError, match=r"stm32f767zi has none.*stm32f469i, stm32f769i"):
        deploy("stm32f767zi", "auto")
    with pytest.raises(UnsupportedError, match=r"no layer 'fc7'.*conv, tables, pool, fc, head"):
        deploy("stm32f469i", "fc,fc7")
    with pytest.raises(UnsupportedError, match=r"Layer head has no constants of 4,096 bytes or more"):
        deploy("stm32f469i", ["head"])
    board = get_board("stm32f469i")
    assert board.external_flash is not None
    tiny = replace(board, flash_bytes=20_000, external_flash=replace(board.external_flash, size_bytes=16_384))
    with pytest.raises(DoesNotFitError, match="flash of stm32f469i"):
        deploy(tiny, "auto")
    with pytest.raises(DoesNotFitError, match=r"external flash of stm32f469i.*16,384: 38,912 too many"):
        deploy(replace(tiny, flash_bytes=board.flash_bytes), "tables")
    large = NetworkBuilder((16, 16, 32), seed=1).linear("wide", 280)
    with pytest.raises(DoesNotFitError, match="stm32f469i with its external flash"):
        deploy_graph(large.graph(), large.images(1), "stm32f767zi", verify_images=0)
