"""Horizontal reuse in integers: the executor against loops, the quantiser against the float layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixed_point_c import c_divide, multiply_by_quantized_multiplier
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_helpers import decibels, images, reused
from reference_loops import bits, clamp, columns_of, outputs, row, tensors, windows

from ostinato.quant import dequantize, quantize_input
from ostinato.quant.arithmetic import quantize_multiplier
from ostinato.quant.calibrate import calibrate
from ostinato.quant.evaluate import run
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import FloatGraph, FloatReuse
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.horizontal_reference import horizontal_overflows
from ostinato.quant.ops import ConvDims, QHash
from ostinato.quant.passes import prepare
from ostinato.quant.quantize import quantize_graph
from ostinato.quant.reference import execute, execute_op
from ostinato.quant.reuse_slots import choose_panel_slots, compact_panel_sram_bytes, panel_sram_bytes
from ostinato.reuse import Pattern


@settings(max_examples=60, deadline=None)
@given(
    windows(), st.sampled_from(["kh.kw.c", "c.kh.kw"]), st.integers(1, 5), st.sampled_from([1, 2, 5, 99]),
    st.booleans(), st.integers(0, 7), st.integers(0, 10**6),
)  # fmt: skip
def test_reuse_horizontal(dims: ConvDims, order: str, size: int, slots: int, mixed: bool, f: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target, x = tensors(dims, rng)
    size = min(size, dims.positions)
    length = int(rng.integers(1, max(2, dims.columns // 2 + 1)))
    units, out, zero = dims.columns // length, dims.output[2], source.zero_point
    hashing = QHash(
        vectors=rng.integers(-127, 128, (1, 3, size * length)).astype(np.int8),
        offset=rng.integers(-9000, 9000, (1, 3)).astype(np.int32),
    )
    scales = [quantize_multiplier(float(v)) for v in rng.uniform(1e-5, 1e-3, out)]
    op = QReuseHorizontal(
        name="r", input=source, output=target, dims=dims, length=length, columns=columns_of(dims, order),
        panel_rows=size, rows=rng.permutation(dims.positions).astype(np.int32) if mixed else None, hash=hashing,
        slots=slots, weight=rng.integers(-127, 128, (out, dims.columns)).astype(np.int8),
        bias=rng.integers(-9000, 9000, out).astype(np.int32), multiplier=np.array([m for m, _ in scales], np.int32),
        shift=np.array([s for _, s in scales], np.int32), centroid_bits=f,
    )  # fmt: skip
    places = list(outputs(dims))
    places = places if op.rows is None else [places[n] for n in op.rows]
    rows = [row(x, dims, op.columns, zero, i, j) for i, j in places]
    made, overflows = execute_op(op, x), 0
    for first in range(0, len(rows), size):
        panel = rows[first : first + size] + [[zero] * dims.columns] * max(0, first + size - len(rows))
        members: dict[int, list[int]] = {}
        alone: list[list[int]] = [[k] for k in range(units * length, dims.columns)]  # columns that fill no unit
        for j in range(units):
            own = bits([values[k] for values in panel for k in range(j * length, (j + 1) * length)], hashing, 0)
            if own in members or len(members) < slots:
                members.setdefault(own, []).append(j)
            else:
                alone += [[k] for k in range(j * length, (j + 1) * length)]
                overflows += 1
        groups = [[j * length + i for j in own] for own in members.values() for i in range(length)] + alone
        for (i, j), values in zip(places[first : first + size], panel, strict=False):
            for m in range(out):
                acc = int(op.bias[m])
                for group in groups:
                    centroid = c_divide(sum(values[k] - zero for k in group) * 2**f, len(group))
                    acc += centroid * sum(int(op.weight[m, k]) for k in group)
                scaled = multiply_by_quantized_multiplier(acc, *scales[m])
                assert made[i, j, m] == clamp(scaled + target.zero_point, -128, 127)
    assert horizontal_overflows(op, x) == overflows


PATTERNS = {
    "one column": Pattern(1, 6, direction="horizontal", sharing="layer", block_rows=8, init="median"),
    "ragged, tiled": Pattern(
        5, 9, direction="horizontal", sharing="layer", block_rows=7, row_order="b.oh:2.ow:2", order="c:4.kw.kh"
    ),
    "pixels": Pattern(16, 3, direction="horizontal", sharing="layer", block_rows=12, init="pca"),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_the_layer_alone_is_close_given_the_same_ids(name: str) -> None:
    """With the integer hash as the float layer's, what is left is rounding of weights, centroids and output."""
    graph = prepare(from_module(reused(PATTERNS[name]), images(1)))
    integers = quantize_graph(graph, calibrate(graph, images(48, seed=3)), input_parameters=(1 / 128, 0))
    op, layer = integers.op("3"), graph.op("3")
    assert isinstance(op, QReuseHorizontal)
    assert isinstance(layer, FloatReuse)
    op = replace(op, slots=1 << 16)  # the float layer has no limit
    q = [execute(integers, image)[op.input.name] for image in quantize_input(images(3, seed=23), integers.input)]
    real = torch.from_numpy(dequantize(np.stack(q), op.input)).permute(0, 3, 1, 2)
    vectors = op.hash.vectors.astype(np.float64)
    offset = op.hash.offset + op.input.zero_point * vectors.sum(axis=2)
    same = replace(
        layer, input="input", hash_vectors=torch.from_numpy(np.swapaxes(vectors, 1, 2)),
        thresholds=torch.from_numpy(-(offset - 0.5) * op.input.scale),
    )  # fmt: skip
    alone = FloatGraph(graph.value_shape(layer.input), (same,), layer.name)
    expected = run(alone, real)["3"].permute(0, 2, 3, 1).numpy()
    high = op.output.scale * (127 - op.output.zero_point)
    made = np.stack([dequantize(execute_op(op, image), op.output) for image in q])
    assert decibels(np.minimum(expected, high), made) > 33


@pytest.mark.parametrize("name", PATTERNS)
def test_horizontal_sums_are_safe(name: str) -> None:
    graph = prepare(from_module(reused(PATTERNS[name]), images(1)))
    integers = quantize_graph(graph, calibrate(graph, images(8, seed=3)), input_parameters=(1 / 128, 0))
    op = integers.op("3")
    assert isinstance(op, QReuseHorizontal)
    reach = (255 << op.centroid_bits) * np.abs(op.weight.astype(np.int64)).sum(axis=1) + np.abs(op.bias)
    assert (reach * 2.0 ** np.maximum(op.shift, 0)).max() < 2**31
    slots = choose_panel_slots(PATTERNS[name], op.dims, 20)
    conventional = np.prod(op.dims.input) + np.prod(op.dims.output) + 4 * op.dims.columns
    needs = (need(PATTERNS[name], op.dims, slots) for need in (panel_sram_bytes, compact_panel_sram_bytes))
    assert slots == 1 or min(needs) <= 1.3 * conventional
