"""The whole job, small: what it writes, that it agrees with itself, and that it goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from ostinato.errors import UnsupportedError
from ostinato.pipeline import RunConfig, job, run
from ostinato.pipeline.methods import BEST_DENSE, CMSIS_STYLE, Method, methods_for
from ostinato.report import Report

CONFIG = RunConfig(epochs=1, fine_tune_epochs=1, train_limit=256, calibration_images=64, external_flash="fc1")


def some_methods(model: str) -> tuple[Method, ...]:
    chosen = ("conventional-cmsis", "conventional-dense", "deep-reuse-image", "ostinato")
    return tuple(method for method in methods_for(model) if method.slug in chosen)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A run that Ctrl-C stopped before its last row, and that the same call then finished."""
    out = tmp_path_factory.mktemp("runs") / "small"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def stop(number: int, count: int, what: str) -> None:
        if number == count and what.startswith("simulating"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "methods_for", some_methods)
        with pytest.raises(KeyboardInterrupt):
            run(CONFIG, out, announce=stop, progress=False)
        assert not (out / "report.json").exists()
        assert len(list((out / "rows").iterdir())) == 3
        done: list[str] = []
        report = run(
            CONFIG, out, announce=lambda n, c, what: done.append(f"{n} {what}"), progress=False, command="test"
        )
    torch.set_num_threads(threads)
    assert [step for step in done if step.startswith(("1 ", "2 ", "3 "))] == []  # their rows were there
    return out, report


@pytest.mark.parametrize(
    ("board", "wanted", "told"),
    [
        ("stm32f767zi", "auto", "stm32f767zi has none; boards that have: stm32f469i, stm32f769i"),
        ("stm32f469i", "fc1,fc9", "no layer 'fc9' whose constants could go to external flash"),
    ],
)
def test_external_flash_that_cannot_be_is_refused_first(tmp_path: Path, board: str, wanted: str, told: str) -> None:
    config = dataclasses.replace(CONFIG, board=board, external_flash=wanted)
    with pytest.raises(UnsupportedError, match=told):
        run(config, tmp_path / "run", announce=lambda *_: pytest.fail("something was begun"), progress=False)
    assert not (tmp_path / "run").exists()


def test_files(finished: tuple[Path, Report]) -> None:
    out, report = finished
    for name in ("config.toml", "report.json", "report.md", "report.html", "conventional/metrics.jsonl"):
        assert (out / name).stat().st_size > 0, name
    for picture in ("accuracy_latency", "latency_by_layer", "similar_tiles"):
        assert (out / "plots" / f"{picture}.png").stat().st_size > 1000
    assert Report.read(out / "report.json") == report
    assert (out / "firmware" / "ostinato" / "model.h").exists()
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]


def test_rows_of_an_earlier_call_are_owned_up_to(finished: tuple[Path, Report]) -> None:
    assert "3 rows were measured by an earlier call, at the commit of that time." in finished[1].notes


def test_the_interface_has_what_is_promised(finished: tuple[Path, Report]) -> None:
    found = json.loads((finished[0] / "report.json").read_text())
    assert {"network", "data", "board", "commit", "seed", "rows"} <= found.keys()
    for row in found["rows"]:
        assert {"method", "scope", "kernel", "top1_float", "top1_int8", "redundancy_ratio"} <= row.keys()
        assert {"flops_remaining", "instructions", "cycles", "ms", "sram_bytes", "flash_bytes", "layers"} <= row.keys()
        for layer in row["layers"]:
            assert set(layer["phases"]) == {"transformation", "clustering", "gemm", "recovering", "other"}


def test_rows_agree_with_each_other(finished: tuple[Path, Report]) -> None:
    report = finished[1]
    cmsis, dense, image, compiled = report.rows
    assert (cmsis.kernel, dense.kernel) == (CMSIS_STYLE.kernel, BEST_DENSE.kernel)
    # Two kernels of one network have the same bits, and so the same accuracy.
    assert cmsis.top1_int8 == dense.top1_int8
    assert cmsis.flops_remaining == dense.flops_remaining == 1.0
    assert dense.redundancy_ratio is None
    assert image.scope == "image"
    assert image.redundancy_ratio is not None
    assert 0.5 < image.redundancy_ratio < 1
    assert compiled.redundancy_ratio == 1.0  # nothing is multiplied by weights in it
    for row in (image, compiled):
        assert row.flops_remaining is not None
        assert row.flops_remaining < 1
        assert row.cycles is not None
        assert dense.cycles is not None
        assert row.cycles < dense.cycles
    for row in report.rows:
        assert row.cycles == sum(layer.cycles for layer in row.layers)
        assert row.top1_float is not None
        assert row.top1_int8 is not None
        assert abs(row.top1_float - row.top1_int8) < 0.05


def test_phases_are_where_they_belong(finished: tuple[Path, Report]) -> None:
    cmsis, _, image, compiled = finished[1].rows
    conventional, reused, tables = cmsis.layer("conv2"), image.layer("conv2"), compiled.layer("conv2")
    assert conventional is not None
    assert reused is not None
    assert tables is not None
    assert (conventional.phases.clustering, conventional.phases.recovering) == (0, 0)
    assert min(reused.phases.clustering, reused.phases.gemm, reused.phases.recovering) > 0
    assert tables.phases.gemm == 0
    assert min(tables.phases.clustering, tables.phases.recovering) > 0


def test_external_flash_is_in_every_row(finished: tuple[Path, Report]) -> None:
    """The layer that was named is there whatever the method, with its bytes and what waiting for them costs."""
    for row in finished[1].rows:
        outside = {layer.name: layer.external_bytes for layer in row.layers if layer.external_bytes}
        assert outside == {"fc1": row.external_bytes} == {"fc1": 1600 * 384}
        assert {layer.name for layer in row.layers if layer.external_wait_cycles} == {"fc1"}
        assert row.external_wait_cycles > 2 * row.external_bytes  # 4 cycles a byte, some of them hidden
    html = (finished[0] / "report.html").read_text()
    assert "600.0 KiB in external flash" in html
