from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from random_networks import NetworkBuilder

from ostinato.errors import DoesNotFitError
from ostinato.firmware import builds, deploy_graph
from ostinato.firmware.pooling import with_pools
from ostinato.firmware.sizes import estimate_sizes
from ostinato.firmware.storage import plan_project
from ostinato.targets.boards import get_board

BOARD = get_board("stm32f469i")


def network() -> NetworkBuilder:
    return NetworkBuilder((16, 16, 3), seed=1).conv("first", 8).pool("pool").linear("head", 64)


def refusal(tmp_path: Path, **memory: int) -> str:
    """The sentence for a board with that memory; nothing may be left behind."""
    net = network()
    board = replace(BOARD, **memory)
    with pytest.raises(DoesNotFitError) as caught:
        deploy_graph(net.graph(), net.images(1), board, kernel="dense", out_dir=tmp_path / "out", verify_images=0)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def numbers(sentence: str) -> list[int]:
    return [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", sentence)]


def test_too_little_sram_names_the_peak_layer_and_the_excess(tmp_path: Path) -> None:
    project = plan_project(with_pools(network().graph()), "dense", BOARD)
    sizes = estimate_sizes(project.graph, project.bindings, project.plan)
    sentence = refusal(tmp_path, sram_bytes=sizes.sram_bytes - 100)
    assert f"Layer {project.graph.ops[project.plan.peak].name} does not fit the SRAM of stm32f469i" in sentence
    assert "100 too many" in sentence
    assert {project.plan.lower_bound, sizes.sram_bytes, sizes.sram_bytes - 100} <= set(numbers(sentence))
    assert "What helps" in sentence
    assert "or the board stm32f" in sentence


def test_too_little_flash_names_the_largest_layer_and_the_excess(tmp_path: Path) -> None:
    project = plan_project(with_pools(network().graph()), "dense", BOARD)
    const = sum(b.flash_bytes for b in project.bindings)
    sentence = refusal(tmp_path, flash_bytes=const - 7)
    assert "flash of stm32f469i" in sentence
    assert "Layer head is the largest part" in sentence
    assert "7 too many" in sentence


def test_what_cannot_fit_is_refused_before_anything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "compile_firmware", lambda *_, **__: pytest.fail("compiled"))
    refusal(tmp_path, flash_bytes=1000)
    refusal(tmp_path, sram_bytes=1000)


def test_what_only_the_linker_knows_is_checked_after_linking(tmp_path: Path) -> None:
    net = network()
    fitting = deploy_graph(net.graph(), net.images(1), kernel="dense", hot_code=False, verify_images=0)
    assert fitting.flash_bytes > fitting.sizes.const_bytes
    assert "flash" in refusal(tmp_path, flash_bytes=fitting.flash_bytes - 1)
    assert "SRAM" in refusal(tmp_path, sram_bytes=fitting.sram_bytes - 1)
    exact = replace(BOARD, flash_bytes=fitting.flash_bytes, sram_bytes=fitting.sram_bytes)
    assert deploy_graph(net.graph(), net.images(1), exact, kernel="dense").simulate().sram_bytes <= exact.sram_bytes


def test_remedies_suit_the_layer() -> None:
    compiled = NetworkBuilder((8, 8, 8), seed=0).reuse_compiled("tables", 32, length=4, hashes=6)
    image = NetworkBuilder((16, 16, 8), seed=0).reuse_image("clusters", 64, length=8, hashes=6)
    dense = NetworkBuilder((8, 8, 8), seed=0).conv("wide", 64)
    for net, memory, expected in (
        (compiled, {"flash_bytes": 1000}, "fewer hashes or longer slices"),
        (image, {"sram_bytes": 1000}, "compiled"),
        (dense, {"flash_bytes": 1000}, "fewer channels"),
    ):
        with pytest.raises(DoesNotFitError, match=expected):
            deploy_graph(net.graph(), net.images(1), replace(BOARD, **memory))
