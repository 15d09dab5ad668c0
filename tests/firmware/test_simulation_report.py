"""The printed report: whole names and numbers, however wide the terminal is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ostinato.firmware import LayerReport, SimulationReport

LAYERS = (
    LayerReport("conv1", "conv_s8_dense", 5_032_397, 4_232_630, {"transformation": 379_456, "gemm": 4_652_941}),
    LayerReport("max_pool2d_1", "max_pool_s8", 18_711, 15_225, {"other": 18_711}),
    LayerReport("conv2", "reuse_compiled_s8", 1_576_864, 1_371_616, {"clustering": 187_647, "recovering": 1_389_217}),
)
REPORT = SimulationReport(
    network="cifarnet",
    board="stm32f469i",
    kernel="dense",
    code="DSP",
    cycle_model="Cortex-M4",
    images=1,
    instructions=sum(layer.instructions for layer in LAYERS),
    cycles=sum(layer.cycles for layer in LAYERS),
    ms=36.8,
    sram_bytes=63_172,
    stack_bytes=340,
    flash_bytes=1_561_112,
    layers=LAYERS,
)


@pytest.mark.parametrize("width", [80, 100, 120, 140])
def test_names_and_numbers_are_whole(width: int) -> None:
    stream = io.StringIO()
    Console(file=stream, width=width).print(REPORT)
    text = stream.getvalue()
    for layer in LAYERS:
        assert layer.name in text
        assert f"{layer.cycles:,}" in text
        assert (layer.kernel in text) == (width >= 120)
    assert f"{REPORT.cycles:,}" in text
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
