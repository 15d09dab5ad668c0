"""Slots of image scope: how many there are, and what becomes of vectors that find none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from quant_helpers import decibels, images, reused

from ostinato.quant import dequantize, quantize_input
from ostinato.quant.calibrate import calibrate
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import FloatReuse
from ostinato.quant.ops import ConvDims, QReuseImage
from ostinato.quant.passes import prepare
from ostinato.quant.quantize import quantize_graph
from ostinato.quant.reference import execute, execute_op
from ostinato.quant.reuse_reference import image_overflows
from ostinato.quant.reuse_slots import choose_slots, sram_bytes
from ostinato.reuse import Pattern


def test_vectors_that_find_no_slot_make_a_layer_more_exact() -> None:
    """With one slot only, what is left of the conventional layer's error is rounding."""
    pattern = Pattern(16, 14, init="median")
    graph = prepare(from_module(reused(pattern), images(1)))
    integers = quantize_graph(graph, calibrate(graph, images(48, seed=3)), input_parameters=(1 / 128, 0))
    op, layer = integers.op("3"), graph.op("3")
    assert isinstance(op, QReuseImage)
    assert isinstance(layer, FloatReuse)
    source = op.input
    q = [execute(integers, image)[source.name] for image in quantize_input(images(2, seed=23), integers.input)]
    real = torch.from_numpy(dequantize(np.stack(q), source)).permute(0, 3, 1, 2)
    exact = torch.nn.functional.conv2d(real, layer.weight, layer.bias, padding=1).clamp(0).permute(0, 2, 3, 1).numpy()
    exact = np.minimum(exact, op.output.scale * (127 - op.output.zero_point))
    noise = {}
    for slots in (1, 16, 1 << 16):
        made = np.stack([dequantize(execute_op(replace(op, slots=slots), image), op.output) for image in q])
        noise[slots] = decibels(exact, made)
    assert noise[1] > 30
    assert noise[1] > noise[16] > noise[1 << 16]
    assert image_overflows(replace(op, slots=1), q[0]) > image_overflows(replace(op, slots=16), q[0]) > 0


@pytest.mark.parametrize("hashes", [2, 4, 6, 8, 11, 16])
@pytest.mark.parametrize(
    "dims",
    [ConvDims((32, 32, 3), (28, 28, 64), (5, 5)), ConvDims((14, 14, 64), (10, 10, 64), (5, 5))],
    ids=["conv1", "conv2"],
)
def test_slots_hold_what_calibration_saw_where_sram_permits(dims: ConvDims, hashes: int) -> None:
    pattern = Pattern(15, hashes)
    conventional = np.prod(dims.input) + np.prod(dims.output) + 4 * dims.columns
    for peak in (1, 20, 60, 100):
        peak = min(peak, pattern.ids, dims.positions)
        slots = choose_slots(pattern, dims, peak)
        assert min(pattern.ids, 16) <= slots <= max(16, min(pattern.ids, dims.positions, 256))
        assert sram_bytes(pattern, dims, slots) <= 1.3 * conventional
        assert slots >= min(peak, 255) or sram_bytes(pattern, dims, slots + 1) > 1.3 * conventional
