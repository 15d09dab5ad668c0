"""Max-pools in the layer before them: the same bits, less SRAM, no more cycles, told to the user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ostinato as ost
from ostinato.firmware import Firmware, deploy
from ostinato.firmware.choosing import Chooser
from ostinato.firmware.deploy import deploy_graph
from ostinato.firmware.pooling import fuse_pools, pairs, pool_note, with_pools
from ostinato.quant import quantize, quantize_input
from ostinato.quant.ops import QGraph, QMaxPool2d, QReuseCompiled
from ostinato.quant.pooled_op import QPooled, apart
from ostinato.quant.reference import execute
from ostinato.quant.stem_ops import QStem
from ostinato.targets.boards import get_board

LAYERS = ("0", "3", "6")


def network(pool: nn.Module | None = None) -> nn.Module:
    """Three convolutions, each with ReLU and a pooling; the last pooling is `pool`."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 20, 3, padding=1), nn.ReLU(), pool or nn.MaxPool2d(3),
        nn.Flatten(), nn.LazyLinear(4),
    )  # fmt: skip


def images(count: int = 16) -> Tensor:
    coarse = torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(coarse, 24, mode="bilinear").clamp(-1, 127 / 128)


def compiled(model: nn.Module) -> nn.Module:
    model(images(1))
    pattern = {"scope": "compiled", "sharing": "block", "init": "median"}
    sizes = {"0": (3, 4), "3": (8, 4), "6": (16, 5)}
    patterns = {name: ost.Pattern(*size, **pattern) for name, size in sizes.items()}
    return ost.calibrate(ost.convert(model, patterns), images()).eval()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return compiled(network())


@pytest.fixture(scope="module")
def graph(model: nn.Module) -> QGraph:
    return quantize(model, images(), input_scale=1 / 128)


@pytest.fixture(scope="module")
def firmware(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    folder = tmp_path_factory.mktemp("pooled") / "project"
    return deploy(model, images(), "stm32f469i", input_scale=1 / 128, out_dir=folder, verify_images=2)


def test_all_executions_agree(firmware: Firmware) -> None:
    assert sum(isinstance(op, QPooled) for op in firmware.graph.ops) == 3
    assert firmware.verification is not None
    assert len(firmware.verification.executions) == 4
    noise = {layer.name: layer.own_snr_db for layer in firmware.verification.layers}
    assert all(noise[name] is not None and noise[name] > 10 for name in LAYERS)


def test_bits_are_those_of_both_layers(firmware: Firmware, graph: QGraph) -> None:
    report = firmware.simulate(firmware.samples[:2])
    for image, logits in zip(firmware.samples, report.logits, strict=False):
        assert np.array_equal(logits, execute(graph, image)[graph.output.name])


def test_cycles_chose_and_are_told(firmware: Firmware) -> None:
    readme = (firmware.project_dir / "README.md").read_text()
    report = {layer.name: layer for layer in firmware.simulate().layers}
    for name in LAYERS:
        note = pool_note(firmware.graph, name)
        assert note.startswith("with ")
        assert note in report[name].choice
        assert note in readme


def test_a_saved_project_is_the_same(firmware: Firmware, tmp_path) -> None:
    firmware.save(tmp_path / "copy")
    loaded = Firmware.load(tmp_path / "copy")
    assert [type(op) for op in loaded.graph.ops] == [type(op) for op in firmware.graph.ops]
    assert np.array_equal(loaded.predict_int8(firmware.samples), firmware.predict_int8(firmware.samples))


def test_less_sram(model: nn.Module, firmware: Firmware, graph: QGraph) -> None:
    largest = max(op.output.size for op in graph.ops)
    assert firmware.plan.arena_bytes < largest
    assert ost.plan(model, images(), input_scale=1 / 128).arena_bytes <= firmware.plan.arena_bytes


def test_apart_undoes_it(graph: QGraph) -> None:
    fused = with_pools(graph)
    assert [op.name for op in apart(fused).ops] == [op.name for op in graph.ops]
    assert len(fused.ops) == len(graph.ops) - 3
    assert [op.name for op in with_pools(graph, layers=["3"]).ops if isinstance(op, QPooled)] == ["3"]


def test_a_stem_and_the_pooling_behind_it(model: nn.Module) -> None:
    """Windows that overlap, too; the map between them is in no memory."""
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(32, 8, 3), nn.Flatten(), nn.Linear(648, 4),
    )  # fmt: skip
    stem = ost.calibrate(ost.convert(plain, {"0": ost.StemPattern(groups=4, hashes=6)}), images()).eval()
    firmware = deploy(stem, images(), "stm32f469i", input_scale=1 / 128, verify_images=2)
    first = firmware.graph.ops[0]
    assert isinstance(first, QPooled)
    assert isinstance(first.layer, QStem)
    report = firmware.simulate(firmware.samples[:2])
    assert report.layers[0].kernel.startswith("stem_pooled_s8_")
    assert report.layers[0].conventional_cycles
    assert firmware.plan.arena_bytes < first.layer.output.size
    for image, logits in zip(firmware.samples, report.logits, strict=False):
        assert np.array_equal(logits, execute(firmware.graph, image)[firmware.graph.output.name])


@pytest.fixture(scope="module")
def conventional() -> Firmware:
    """Windows that overlap behind the last layer, with padding."""
    model = network(nn.MaxPool2d(3, 2, padding=1)).eval()
    model(images(1))
    return deploy(model, images(), "stm32f469i", input_scale=1 / 128, verify_images=2)


def test_convolutions_and_the_poolings_behind_them(conventional: Firmware) -> None:
    """No map between them is in any memory; all four executions have the bits of one after the other."""
    found = [op for op in conventional.graph.ops if isinstance(op, QPooled)]
    assert [op.name for op in found] == list(LAYERS)
    assert conventional.verification is not None
    assert len(conventional.verification.executions) == 4
    assert conventional.plan.arena_bytes < found[0].layer.output.size
    report = conventional.simulate(conventional.samples[:2])
    assert [layer.kernel for layer in report.layers[:3]] == ["conv_s8_dense_pooled"] * 3
    assert all("max_pool" not in layer.kernel for layer in report.layers)
    assert all(layer.conventional_cycles is None for layer in report.layers)  # it is conventional itself
    for image, logits in zip(conventional.samples, report.logits, strict=False):
        assert np.array_equal(logits, execute(apart(conventional.graph), image)[conventional.graph.output.name])


def test_the_baseline_stays_what_it_is(conventional: Firmware) -> None:
    """With `kernel="cmsis"` convolutions and poolings are one after the other, in the plan as well as deployed."""
    graph, samples = apart(conventional.graph), conventional.samples
    style = deploy_graph(graph, samples, kernel="cmsis", verify_images=0, hot_code=False)
    assert style.graph.ops == graph.ops
    assert {b.kernel for b in style.bindings} == {"conv_s8_cmsis", "max_pool_s8", "fully_connected_s8"}
    assert style.plan.arena_bytes > graph.ops[0].output.size > conventional.plan.arena_bytes


def test_a_small_flash_takes_the_smaller_kernel_with_its_pooling(conventional: Firmware) -> None:
    """Where padded weights do not fit, the other kernel of `auto`; the map between is in no memory even so."""
    graph = conventional.graph
    both = Chooser.by_sizes(graph, "auto", conventional.board).project()
    assert {b.kernel for b in both.bindings[:3]} == {"conv_s8_dense_pooled"}
    half = sum(b.flash_bytes for b in both.bindings) - 1000
    small = Chooser.by_sizes(graph, "auto", replace(conventional.board, flash_bytes=half)).project()
    assert "conv_s8_cmsis_pooled" in {b.kernel for b in small.bindings}
    assert small.plan.arena_bytes == pytest.approx(both.plan.arena_bytes, rel=0.1)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2), nn.MaxPool2d(2, padding=1), nn.AvgPool2d(2)], ids=str)
def test_other_poolings_stay_as_they_are(pool: nn.Module) -> None:
    graph = quantize(compiled(network(pool)), images(), input_scale=1 / 128)
    assert [pair.name for pair in pairs(graph)] == ["0", "3"]


def test_outputs_that_are_read_elsewhere_stay(graph: QGraph) -> None:
    pool = next(op for op in graph.ops if isinstance(op, QMaxPool2d))
    again = replace(pool, name="again", output=replace(pool.output, name="again"))
    assert "0" not in {pair.name for pair in pairs(replace(graph, ops=(*graph.ops, again)))}
    layer = next(op for op in graph.ops if isinstance(op, QReuseCompiled))
    assert not pairs(replace(graph, ops=(layer, pool), output=layer.output))


def test_what_does_not_save_cycles_is_left_apart(graph: QGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the cycles: with a joint kernel that is dearer than by 2 %, layers stay two, and the note says so."""
    (image,) = quantize_input(images(1), graph.input)
    dear = {pair.output.name for pair in pairs(graph)}

    class Dear:
        def __init__(self, bindings, core, toolchain):
            del bindings, core, toolchain

        def run(self, binding, x, outputs):
            del x, outputs
            cycles = 300 if binding.params.get("pool", {"height": 1})["height"] > 1 else 100
            return None, type("Profile", (), {"total": type("Counts", (), {"cycles": cycles})})

    monkeypatch.setattr("ostinato.firmware.pooling.KernelRunner", Dear)
    found = fuse_pools(graph, image, get_board("stm32f469i"), "zig")
    assert dear
    assert found.ops == graph.ops
    assert pool_note(found, "0") == f"one after the other: 200 cycles (with {pairs(graph)[0].pool.name}: 300 cycles)"
