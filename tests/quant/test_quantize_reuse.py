"""Reuse layers as integers, in both scopes: ids, tables, proofs, and the output beside the float reuse layer's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from quant_helpers import decibels, images, reused
from torch import Tensor, nn

from ostinato.errors import QuantizationError
from ostinato.quant import QTensor, dequantize, outputs, quantize, quantize_input
from ostinato.quant.calibrate import calibrate
from ostinato.quant.evaluate import run
from ostinato.quant.frontend import from_module
from ostinato.quant.graph import FloatReuse
from ostinato.quant.ops import QReuseCompiled, QReuseImage
from ostinato.quant.passes import prepare
from ostinato.quant.quantize import quantize_graph
from ostinato.quant.quantize_hash import quantize_hash
from ostinato.quant.reference import compiled_ids, execute, execute_op, hash_ids
from ostinato.quant.reuse_reference import image_ids
from ostinato.quant.reuse_statistics import row_ids
from ostinato.reuse import Pattern
from ostinato.reuse.functional import cluster_ids, hashed_vectors
from ostinato.reuse.views import im2col as float_im2col

PATTERNS = {
    "image, per slice, ragged": Pattern(13, 4, init="pca"),
    "image, inside channels": Pattern(9, 3, order="c.kh.kw", init="median"),
    "image, shared by block": Pattern(8, 4, sharing="block", init="pca"),
    "image, shared by the layer, ragged": Pattern(10, 4, sharing="layer", init="median"),
    "image, one slice": Pattern(144, 5, init="random"),
    "image, tiled": Pattern(18, 4, order="c:4.kw.kh", init="pca"),
    "image, many hashes": Pattern(16, 14, order="kw.kh.c", init="median"),
    "image, blocks": Pattern(8, 5, block_rows=2, init="pca"),
    "image, ragged blocks of tiled rows": Pattern(13, 4, block_rows=4, row_order="b.oh:2.ow:2", init="pca"),
    "image, blocks that leave rows": Pattern(24, 6, block_rows=5, row_order="b.ow.oh", sharing="layer", init="pca"),
    "compiled, pixel-aligned": Pattern(8, 4, scope="compiled", sharing="block", init="pca"),
    "compiled, one block": Pattern(16, 5, scope="compiled", sharing="block", init="itq"),
    "compiled, per slice, ragged": Pattern(13, 4, scope="compiled", init="pca"),
    "compiled, inside channels": Pattern(9, 3, scope="compiled", order="c.kh.kw", init="median"),
    "compiled, shared by the layer": Pattern(12, 4, scope="compiled", sharing="layer", init="median"),
    "compiled, kernel rows": Pattern(48, 5, scope="compiled", sharing="layer", init="median"),
    "compiled, tiles of channels": Pattern(8, 4, scope="compiled", order="c:8.kh.kw", sharing="layer", init="median"),
    "compiled, tiles of all, ragged": Pattern(7, 3, scope="compiled", order="kh:2.c:5.kw", init="median"),
}


def graphs(pattern: Pattern, model: nn.Module | None = None):
    """The float graph and its integers, of a network with layer '3' under `pattern`."""
    made = reused(pattern) if model is None else model
    graph = prepare(from_module(made, images(1)))
    integers = quantize_graph(graph, calibrate(graph, images(48, seed=3)), input_parameters=(1 / 128, 0))
    return graph, integers


def layer_under(pattern: Pattern) -> FloatReuse:
    """Layer '3' of the float graph of a network where it has `pattern`."""
    layer = prepare(from_module(reused(pattern), images(1))).op("3")
    assert isinstance(layer, FloatReuse)
    return layer


def input_of(pattern: Pattern) -> QTensor:
    """What that layer reads in the integer network."""
    return quantize(reused(pattern), images(4)).op("3").input


def layer_input(integers, x: Tensor) -> tuple[np.ndarray, Tensor]:
    """What layer '3' reads in the integer network: its int8 values, and the same as reals (N, C, H, W)."""
    source = integers.op("3").input
    q = np.stack([execute(integers, image)[source.name] for image in quantize_input(x, integers.input)])
    return q, torch.from_numpy(dequantize(q, source)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", PATTERNS)
def test_ids_agree_except_near_thresholds(name: str) -> None:
    graph, integers = graphs(PATTERNS[name])
    op, layer = integers.op("3"), graph.op("3")
    assert isinstance(layer, FloatReuse)
    q, real = layer_input(integers, images(2, seed=21))
    expected = row_ids(layer, real).numpy()
    if isinstance(op, QReuseCompiled):
        made = np.stack([compiled_ids(op, image) for image in q])
    else:
        made = np.stack([image_ids(op, image) for image in q])
    assert made.shape == expected.shape
    differ = made ^ expected
    # Only a bit whose projection is within the rounding of its int8 hash vector may differ: |Δv·x| ≤ scale/2 · Σ|x|.
    assert (differ != 0).mean() < 0.06
    assert_near_thresholds(layer, real, differ)


def assert_near_thresholds(layer: FloatReuse, real: Tensor, differ: np.ndarray) -> None:
    size, hashes = layer.pattern.block_size, layer.pattern.hashes
    vectors = hashed_vectors(real, layer.geometry, layer.pattern)
    if layer.pattern.pixelwise:
        columns = float_im2col(real, layer.geometry, layer.pattern.order)
        vectors = columns.reshape(*columns.shape[:2], -1)
    vectors = vectors.reshape(*vectors.shape[:2], -1, size)
    groups = torch.arange(vectors.shape[2]) % len(layer.hash_vectors)
    v, theta = layer.hash_vectors[groups], layer.thresholds[groups]
    margin = (torch.einsum("bpsl,slh->bpsh", vectors, v) - theta).abs().numpy()
    step = (v.abs().amax(dim=1) / 127).numpy()
    rounding = 0.5 * step * vectors.abs().sum(dim=3, keepdim=True).numpy()
    for h in range(hashes):
        flipped = (differ >> (hashes - 1 - h)) & 1 == 1
        assert (margin[..., h][flipped] <= rounding[..., h][flipped] + 1e-9).all()


@pytest.mark.parametrize("name", PATTERNS)
def test_integer_networks_are_close_to_the_float_reuse_network(name: str) -> None:
    graph, integers = graphs(PATTERNS[name])
    x = images(6, seed=22)
    real = run(graph, x)[graph.output].double().numpy()
    assert decibels(real, dequantize(outputs(integers, x), integers.output)) > 22


@pytest.mark.parametrize("name", PATTERNS)
def test_the_layer_alone_is_close_given_the_same_ids(name: str) -> None:
    """With the integer hash as the float layer's, what is left is rounding of weights, table and output."""
    graph, integers = graphs(PATTERNS[name])
    op, layer = integers.op("3"), graph.op("3")
    assert isinstance(op, QReuseCompiled | QReuseImage)
    if isinstance(op, QReuseImage):
        op = replace(op, slots=1 << 16)  # the float layer has no limit
    q, real = layer_input(integers, images(4, seed=23))
    same = with_integer_hash(layer, op)
    expected = run(prepare_single(same, graph), real)["3"].permute(0, 2, 3, 1).numpy()
    high = op.output.scale * (127 - op.output.zero_point)
    made = np.stack([dequantize(execute_op(op, image), op.output) for image in q])
    assert decibels(np.minimum(expected, high), made) > 30


def with_integer_hash(layer: FloatReuse, op: QReuseCompiled | QReuseImage) -> FloatReuse:
    """The float layer whose bits are exactly the integer layer's: v·q + offset > 0 with q = x / scale + zp."""
    groups = len(layer.hash_vectors)
    vectors = op.hash.vectors[:groups].astype(np.float64)
    offset = op.hash.offset[:groups] + op.input.zero_point * vectors.sum(axis=2)
    return replace(
        layer,
        hash_vectors=torch.from_numpy(np.swapaxes(vectors, 1, 2)),
        thresholds=torch.from_numpy(-(offset - 0.5) * op.input.scale),
    )


def prepare_single(layer: FloatReuse, graph):
    return type(graph)(graph.value_shape(layer.input), (replace(layer, input="input"),), layer.name)


@pytest.mark.parametrize("name", [name for name in PATTERNS if name.startswith("image")])
def test_image_scope_is_safe(name: str) -> None:
    _, integers = graphs(PATTERNS[name])
    op = integers.op("3")
    assert isinstance(op, QReuseImage)
    sums = [np.abs(op.weight[:, s * op.length : (s + 1) * op.length].astype(int)).sum(axis=1) for s in range(op.slices)]
    assert 32640 * np.max(sums) < 2**31
    assert np.abs(op.offset).max() < 2**15
    assert 1 <= op.fraction_bits <= 7
    assert op.hash.vectors.shape == (op.slices, PATTERNS[name].hashes, op.length * op.block_rows)
    assert op.hash.vectors.dtype == op.weight.dtype == np.int8
    assert op.columns.shape == (op.dims.columns, 3)


@pytest.mark.parametrize("name", [name for name in PATTERNS if name.startswith("compiled")])
def test_compiled_scope_is_safe(name: str) -> None:
    _, integers = graphs(PATTERNS[name])
    op = integers.op("3")
    assert isinstance(op, QReuseCompiled)
    reach = np.abs(op.offset) + np.abs(op.table.astype(int)).max(axis=1).sum(axis=0)
    assert reach.max() <= 32767
    assert op.pixel_aligned == (PATTERNS[name].sharing == "block")
    assert op.table.shape == (PATTERNS[name].slices(prepared_geometry()), PATTERNS[name].ids, 24)
    assert op.table.dtype == np.int8
    assert op.offset.dtype == np.int32
    assert len(op.hash.vectors) == (16 // op.length if op.pixel_aligned else len(op.table))


def prepared_geometry():
    return layer_under(Pattern(8, 2)).geometry


def test_pixels_know_no_order_of_kernel_positions() -> None:
    """Hashes by channel block: kw.kh.c has the same x̂ as kh.kw.c, and the same integers."""
    made = []
    for order in ("kh.kw.c", "kw.kh.c"):
        _, integers = graphs(Pattern(8, 4, scope="compiled", sharing="block", init="pca", order=order))
        made.append(integers.op("3"))
    np.testing.assert_array_equal(made[0].table, made[1].table)
    np.testing.assert_array_equal(made[0].columns, made[1].columns)


@pytest.mark.parametrize("scope", ["image", "compiled"])
def test_relu6_and_no_activation_after_reuse(scope: str) -> None:
    torch.manual_seed(0)
    for activation in (nn.ReLU6(), nn.Identity()):
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), activation
        )
        with torch.no_grad():
            model[3].weight.mul_(40)
        layer = reused(Pattern(8, 4, scope=scope, init="pca"), model=model)
        graph, integers = graphs(Pattern(8, 4), layer)
        real = run(graph, images(4, seed=5))[graph.output].permute(0, 2, 3, 1).numpy()
        made = dequantize(outputs(integers, images(4, seed=5)), integers.output)
        assert decibels(real, made) > 18
        if isinstance(activation, nn.ReLU6):
            assert made.min() == 0.0
            assert made.max() <= 6.0 + 1e-6


def test_all_sharing_forms_expand_to_the_same_hash() -> None:
    """A hash shared by the layer is the per-slice hash with equal matrices, but for a ragged end, which is zero."""
    layer = layer_under(Pattern(10, 4, sharing="layer", init="median"))
    source = input_of(Pattern(10, 4))
    hashing = quantize_hash(layer, source, 15)
    assert (hashing.vectors[:-1] == hashing.vectors[0]).all()
    assert (hashing.vectors[-1, :, 4:] == 0).all()
    assert np.abs(hashing.vectors[-1, :, :4]).max() == 127


@pytest.mark.parametrize(("threshold", "first"), [(10.25, 11), (10.75, 11), (-3.25, -3), (-3.75, -3), (0.5, 1)])
def test_offsets_are_exact_for_the_integer_vectors(threshold: float, first: int) -> None:
    """v·x − θ > 0 for the smallest integer input above the threshold, and for no smaller one."""
    layer = layer_under(Pattern(1, 1, init="median"))
    source = QTensor("x", (12, 12, 16), 0.037, -11)
    ones = torch.ones_like(layer.hash_vectors)
    theta = torch.full_like(layer.thresholds, source.scale * (threshold - source.zero_point))
    hashing = quantize_hash(replace(layer, hash_vectors=ones, thresholds=theta), source, len(ones))
    for q in range(-128, 128):
        assert hash_ids(np.array([[q]]), hashing, 0)[0] == (q >= first)


def test_a_threshold_beyond_reach_decides_the_bit_alone() -> None:
    layer = layer_under(Pattern(8, 2))
    source = input_of(Pattern(8, 2))
    thresholds = torch.full_like(layer.thresholds, 1e12)
    thresholds[:, 1] = -1e12
    hashing = quantize_hash(replace(layer, thresholds=thresholds), source, 18)
    assert hashing.offset[0].tolist() == [-(1 << 30), 1 << 30]
    extremes = np.stack([np.full(8, -128), np.full(8, 127)])
    assert hash_ids(extremes, hashing, 0).tolist() == [1, 1]


def test_int32_is_proven_for_each_slice() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 64, 1), nn.ReLU(), nn.Identity(), nn.Conv2d(64, 2, 3))
    with torch.no_grad():
        model[3].weight.copy_(model[3].weight.sign() * 0.05)
    made = reused(Pattern(576, 3), model=model)
    with torch.no_grad():
        made[3].weight.copy_(model[3].weight)
    message = r"layer '3': the product of a centroid with columns 0 to 575 can reach \d+, beyond int32 .* than L=576"
    with pytest.raises(QuantizationError, match=message):
        quantize(made, images(4))


def test_hashes_of_long_slices_are_proven() -> None:
    layer = layer_under(Pattern(8, 2))
    source = input_of(Pattern(8, 2))
    huge = replace(layer, pattern=Pattern(100_000, 2))
    with pytest.raises(QuantizationError, match=r"layer '3': hashing blocks of 100000 values can overflow int32"):
        quantize_hash(huge, source, 1)


def test_image_sums_that_int16_cannot_hold_are_refused() -> None:
    """A huge negative bias, under ReLU: the output is nearly always zero, the sums are far outside its range."""
    model = reused(Pattern(8, 3, init="pca"))
    with torch.no_grad():
        model[3].bias -= 1.0
        model[4].running_mean.fill_(0.0)
        model[3].bias[0] = -1e5
    with pytest.raises(QuantizationError, match=r"layer '3': sums before the activation reach ±.* output steps of"):
        quantize(model, images(8))


def test_table_sums_that_int16_cannot_hold_are_int32() -> None:
    """A huge negative bias under ReLU: that channel is zero, the others are what they were."""
    model = reused(Pattern(8, 3, scope="compiled", init="pca"))
    with torch.no_grad():
        model[3].bias[0] = -1e5
    integers = quantize(model, images(8))
    op = integers.op("3")
    assert isinstance(op, QReuseCompiled)
    assert np.abs(op.offset).max() > 32767
    q, _ = layer_input(integers, images(2, seed=5))
    made = execute_op(op, q[0])
    assert (made[..., 0] == op.output.zero_point).all()
    assert len(np.unique(made[..., 1:])) > 20
    with torch.no_grad():
        model[3].bias[0] = -1e15
    with pytest.raises(QuantizationError, match=r"layer '3': the sum of 18 table rows can reach \d+ at 1 fraction"):
        quantize(model, images(8))


def test_cluster_ids_per_pixel_are_gathered_per_window() -> None:
    layer = prepare(from_module(reused(Pattern(8, 3, scope="compiled", sharing="block", init="pca")), images(1))).op(
        "3"
    )
    strided = replace(layer, geometry=replace(layer.geometry, stride=(2, 1), dilation=(1, 2)))
    x = images(2, channels=16, seed=4).double().relu()
    per_pixel = cluster_ids(x, layer.hash_vectors, layer.thresholds, strided.geometry, strided.pattern).view(
        2, 14, 14, 2
    )
    rows = row_ids(strided, x).view(2, 6, 10, 3, 3, 2)
    for i, j, kh, kw in [(0, 0, 0, 0), (2, 3, 1, 2), (5, 9, 2, 2)]:
        assert torch.equal(rows[:, i, j, kh, kw], per_pixel[:, 2 * i + kh, j + 2 * kw])
