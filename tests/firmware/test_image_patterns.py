"""Image-scope patterns of every kind from a float model to firmware: equal bits everywhere, overflows counted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ostinato.nn as onn
from ostinato.firmware import Firmware, deploy_graph
from ostinato.kernels.reuse_layout import times_conventional
from ostinato.quant import quantize
from ostinato.quant.accuracy import quantize_input
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.horizontal_reference import horizontal_overflows
from ostinato.quant.ops import QReuseImage
from ostinato.quant.reference import execute
from ostinato.quant.reuse_reference import image_overflows
from ostinato.reuse import Pattern
from ostinato.targets.compilers import find_host_compiler

PATTERNS = {
    "0": Pattern(9, 12, order="c.kw.kh", init="median"),  # few slots: the scratch of a first layer is small
    "2": Pattern(12, 4, order="c:4.kh.kw", block_rows=2, row_order="b.oh:2.ow:2", init="pca"),
    "4": Pattern(8, 7, order="kw.kh.c", sharing="block", init="pca"),
    "6": Pattern(4, 9, order="kh.kw.c", direction="horizontal", sharing="layer", block_rows=6, row_order="b.ow.oh"),
}


def images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, (14, 14), mode="bilinear", align_corners=True)
    return (0.5 * smooth + 0.1 * torch.randn(count, 3, 14, 14, generator=generator)).clamp(-1, 127 / 128)


@pytest.fixture(scope="module")
def firmware() -> Firmware:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 16, 3), nn.ReLU(), nn.Conv2d(16, 20, 3, padding=1),
        nn.ReLU(), nn.Conv2d(20, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(300, 5),
    ).eval()  # fmt: skip
    reuse = onn.calibrate(onn.convert(model, PATTERNS), images(32, 1)).eval()
    graph = quantize(reuse, images(8, 2), input_scale=1 / 128)
    return deploy_graph(graph, quantize_input(images(3, 3), graph.input), verify_images=0)


def overflows(firmware: Firmware) -> dict[str, float]:
    """Of every layer that may have some, mean of the samples."""
    found: dict[str, float] = {}
    for image in firmware.samples:
        tensors = execute(firmware.graph, image)
        for op in firmware.graph.ops:
            x = tensors[op.inputs[0].name]
            if isinstance(op, QReuseImage):
                found[op.name] = found.get(op.name, 0) + image_overflows(op, x)
            elif isinstance(op, QReuseHorizontal):
                found[op.name] = found.get(op.name, 0) + horizontal_overflows(op, x)
    counting = {op.name for op, binding in zip(firmware.graph.ops, firmware.bindings, strict=True) if binding.counts}
    assert all(name in counting for name, count in found.items() if count)
    return {name: count / len(firmware.samples) for name, count in found.items() if name in counting}


def test_all_executions_agree_in_every_layer(firmware: Firmware) -> None:
    result = firmware.verify()
    assert result.agrees
    assert len(result.executions) == 4


def test_the_network_has_a_layer_of_every_kernel_within_the_sram_limit(firmware: Firmware) -> None:
    kernels = {binding.kernel for binding in firmware.bindings}
    assert {"reuse_image_s8", "reuse_image_compact_s8", "reuse_horizontal_s8"} <= kernels
    for op, binding in zip(firmware.graph.ops, firmware.bindings, strict=True):
        if isinstance(op, QReuseImage | QReuseHorizontal):
            assert times_conventional(op.dims, binding.scratch_bytes) <= 1.3, binding.note


def test_overflows_are_counted_in_simulation_and_on_the_host(firmware: Firmware) -> None:
    expected = overflows(firmware)
    assert expected["0"] > 0  # a layer that never overflows would prove nothing
    assert firmware.layer_counts(firmware.samples) == pytest.approx(expected)
    report = firmware.simulate(firmware.samples)
    assert {layer.name: layer.counted for layer in report.layers if layer.counts} == pytest.approx(expected)
    assert f"0: {expected['0']:,.1f} blocks that found no slot" in str(report)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_host_program_says_them_too(firmware: Firmware, tmp_path: Path) -> None:
    project = firmware.save(tmp_path / "project")
    compiler = " ".join(find_host_compiler().command)
    subprocess.run(["make", "-s", "host", f"HOST_CC={compiler}"], cwd=project, check=True, capture_output=True)
    program = project / "build" / "host"
    run = subprocess.run([str(program)], input=firmware.samples.tobytes(), capture_output=True, check=True)
    logits = np.array([line.split() for line in run.stdout.decode().splitlines()], np.int8)
    assert np.array_equal(logits, firmware.predict_int8(firmware.samples))
    total = round(overflows(firmware)["0"] * len(firmware.samples))
    assert f"0: {total} neuron blocks found no slot" in run.stderr.decode()
