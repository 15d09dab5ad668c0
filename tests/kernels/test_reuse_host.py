"""Reuse kernels in plain C on the host: the reference's bits, on any configuration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reuse_samples import (
    SOURCES,
    bind,
    compact_forms,
    corner_cases,
    every_form,
    make_compiled,
    make_image,
    one_cluster,
    random_compiled,
    random_image,
    random_input,
    random_pooled,
    safe_table,
    table_forms,
)

from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.quant import reuse_reference
from ostinato.quant.ops import ConvDims, QHash
from ostinato.quant.pooled_op import QPooled
from ostinato.quant.reference import execute_op
from ostinato.quant.reuse_reference import image_overflows

OK, BAD_ARGUMENT, NO_SCRATCH = 0, -1, -2
MAKERS = pytest.mark.parametrize("make", [random_image, random_compiled], ids=["image", "compiled"])
CONV = ConvDims((7, 7, 8), (5, 5, 20), (3, 3))


@pytest.fixture(scope="module")
def host(host_kernels):
    return host_kernels(SOURCES)


def check(host, op, x, only_first=False):
    """On every kernel for it; the first one's call."""
    calls, expected = [], execute_op(op, x).ravel()
    for binding in every_form(op)[: 1 if only_first else None]:
        call = host.run(binding, x, op.output.size)
        assert call.status == OK
        assert call.scratch_bytes == binding.scratch_bytes
        np.testing.assert_array_equal(call.output, expected)
        calls.append(call)
    return calls[0]


@MAKERS
@pytest.mark.parametrize("block", range(4))
def test_random_layers(host, make, block):
    for seed in range(100 * block, 100 * block + 100):
        rng = np.random.default_rng(seed)
        op = make(rng)
        check(host, op, random_input(rng, op.input.shape, op.input.zero_point))


def test_corner_cases(host):
    rng = np.random.default_rng(0)
    for op in corner_cases():
        check(host, op, random_input(rng, op.input.shape, op.input.zero_point))


def test_centroids_of_clusters_of_every_size(host):
    """Division by multiplication, where the kernel does it, has no error: both signs, exact quotients and others."""
    rng = np.random.default_rng(0)
    for members in range(1, 420):
        for zero_point in (-128, -3, 127):
            for low, high in (
                (-128, 128),
                (zero_point, min(zero_point + 2, 128)),
                (max(zero_point - 1, -128), zero_point + 1),
            ):
                x = rng.integers(low, high, (1, members, 4)).astype(np.int8)
                op = one_cluster(x, zero_point)
                assert not np.any(execute_op(op, x))
                check(host, op, x, only_first=members % 50 > 8)


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("zero_point", [-128, 127])
def test_one_cluster_of_the_largest_sums(host, value, zero_point):
    """More than 256 equal vectors of the largest value: sums at the end of int16, flushed."""
    dims = ConvDims((25, 25, 6), (24, 24, 9), (2, 2))
    op = make_image(np.random.default_rng(1), dims, 6, 3, "kh.kw.c", tree=False)
    op = replace(op, input=replace(op.input, zero_point=zero_point))
    check(host, op, np.full(dims.input, value, np.int8))


def test_int16_saturation_of_tables_and_sums(host, monkeypatch):
    """Tables, offsets and sums far beyond int16; without saturation there the outputs would be others."""
    clip = reuse_reference.saturate
    differs = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        op = make_image(rng, CONV, 8, 3, "kh.kw.c", gain=300.0, tree=False)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        check(host, op, x)
        saturated = execute_op(op, x)
        with monkeypatch.context() as patch:
            patch.setattr(reuse_reference, "saturate", lambda v, low, high: v if low < -128 else clip(v, low, high))
            differs += bool(np.any(execute_op(op, x) != saturated))
    assert differs > 10  # with few fraction bits, int8 hides it now and then


@pytest.mark.parametrize("high", [False, True])
def test_sums_at_the_ends_of_int16(host, high):
    """The proof of safety is exact: sums that just reach an end of int16 are taken, and right."""
    op = make_compiled(np.random.default_rng(3), CONV, 4, 1, "kh.kw.c", pixel_aligned=True, bits=7, tree=False)
    entry, end = (127, 32767) if high else (-128, -32768)
    table = np.zeros_like(op.table)
    table[:, int(high)] = entry
    vectors, offset = np.zeros_like(op.hash.vectors), np.full_like(op.hash.offset, int(high))
    op = replace(
        op,
        table=table,
        hash=QHash(vectors=vectors, offset=offset),
        offset=np.full(20, end - entry * op.rows, np.int32),
    )
    check(host, op, np.zeros(CONV.input, np.int8))


def test_zero_projection_is_not_a_one(host):
    """A bit is v·x + offset > 0, strictly: zero vectors and offsets give id 0, an offset of one gives all ones."""
    op = make_image(np.random.default_rng(4), CONV, 8, 4, "kh.kw.c", tree=False)
    for offset in (0, 1):
        vectors = np.zeros_like(op.hash.vectors)
        hashing = QHash(vectors=vectors, offset=np.full_like(op.hash.offset, offset))
        check(host, replace(op, hash=hashing), np.full(CONV.input, 17, np.int8))


@pytest.mark.parametrize("slots", [1, 3, 10, 24, 25])
@pytest.mark.parametrize("block_rows", [1, 3])
def test_blocks_that_find_no_slot_are_counted_and_computed_by_themselves(host, slots, block_rows):
    rng = np.random.default_rng(slots)
    op = make_image(rng, CONV, 9, 12, "c.kh.kw", tree=False, slots=slots, block_rows=block_rows)
    x = random_input(rng, op.input.shape, op.input.zero_point)
    call = check(host, op, x)
    assert call.reported == image_overflows(op, x)
    assert (call.reported > 0) == (slots < 24 // block_rows)


@pytest.mark.parametrize("block", range(4))
def test_bits_do_not_depend_on_what_is_held(host, block):
    """Slices in a pass, tiles in a group, padding copied or filled in, parts, clusters multiplied together; slots."""
    for seed in range(10 * block, 10 * block + 10):
        rng = np.random.default_rng(seed)
        op = random_image(rng)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        expected, alone = execute_op(op, x).ravel(), image_overflows(op, x)
        for binding in (*table_forms(op, 60), *compact_forms(op, 20)):
            call = host.run(binding, x, op.output.size)
            assert (call.status, call.scratch_bytes) == (OK, binding.scratch_bytes)
            np.testing.assert_array_equal(call.output, expected)
            assert not binding.counts or call.reported == alone


@pytest.mark.parametrize("make", [random_compiled, random_pooled], ids=["compiled", "pooled"])
def test_bits_do_not_depend_on_the_rows_that_are_held(host, make):
    """The whole map, or the whole padded input, and the rows that a row of outputs reads."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        op = make(rng)
        layer, pool = (op.layer, op.pool.dims.kernel) if isinstance(op, QPooled) else (op, (1, 1))
        x = random_input(rng, op.input.shape, op.input.zero_point)
        for band in (False, True):
            binding = bind_reuse_compiled(layer, "offsets", pool, band=band)
            call = host.run(binding, x, op.output.size)
            assert (call.status, call.scratch_bytes) == (OK, binding.scratch_bytes)
            np.testing.assert_array_equal(call.output, execute_op(op, x).ravel())


@MAKERS
def test_too_little_scratch_is_refused(host, make):
    rng = np.random.default_rng(0)
    op = make(rng)
    binding = bind(op)
    x = random_input(rng, op.input.shape, op.input.zero_point)
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes - 1).status == NO_SCRATCH
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes + 8).status == OK


def test_nonsense_is_refused(host):
    rng = np.random.default_rng(0)
    table, offset = safe_table(rng, 18, 16, 20, 50)
    ops = [
        make_image(rng, CONV, 9, 3, "c.kh.kw"),
        make_compiled(rng, CONV, 9, 3, "c.kh.kw", pixel_aligned=False),
        replace(make_compiled(rng, CONV, 4, 4, "kh.kw.c", pixel_aligned=True), table=table, offset=offset),
    ]
    for op in ops:
        binding = bind(op)
        x = random_input(rng, op.input.shape, 0)
        wrong = [
            {"window": {**binding.params["window"], "stride": {"height": 0, "width": 1}}},
            {"window": {**binding.params["window"], "output": {"height": 99, "width": 1, "channels": 20}}},
            {"hash": {**binding.params["hash"], "hashes": 0}},
            {"hash": {**binding.params["hash"], "hashes": 17}},
            {"fraction_bits": 0},
            {"fraction_bits": 8},
        ]
        if binding.kernel == "reuse_compiled_s8":
            wrong += [{"rows": op.rows - 1}, {"out_stride": op.dims.output[2] - 1}]
            wrong += [{"pool": {"height": 0, "width": 1}}, {"pool": {"height": 1, "width": 6}}]
        else:
            wrong += [{"slices_per_pass": 0}, {"tiles_per_group": 0}, {"tiles_per_group": 3}]
            wrong += [{"slots": 0}, {"slots": 9}, {"block_rows": 0}, {"block_rows": 2}]
            wrong += [{"slices_per_pass": 1, "rest": 0}]
        for change in wrong:
            broken = replace(binding, params={**binding.params, **change})
            assert host.run(broken, x, op.output.size, scratch_bytes=1 << 20).status == BAD_ARGUMENT, change


def test_nonsense_is_refused_by_the_compact_kernel(host):
    rng = np.random.default_rng(0)
    op = make_image(rng, CONV, 9, 3, "c.kh.kw")
    binding = bind_reuse_image(op, "compact")
    layer, x = binding.params["layer"], random_input(rng, op.input.shape, 0)
    wrong = [{name: value} for name in ("run", "together") for value in (0, 129)]
    inside = [
        {"window": {**layer["window"], "stride": {"height": 0, "width": 1}}},
        {"hash": {**layer["hash"], "hashes": 0}}, {"fraction_bits": 0}, {"fraction_bits": 8}, {"slots": 0},
        {"slots": 9}, {"block_rows": 0}, {"block_rows": 2}, {"rest": 0}, {"rest": 26},
    ]  # fmt: skip
    for change in (*wrong, *({"layer": {**layer, **change}} for change in inside)):
        broken = replace(binding, params={**binding.params, **change})
        assert host.run(broken, x, op.output.size, scratch_bytes=1 << 20).status == BAD_ARGUMENT, change
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes - 1).status == NO_SCRATCH


@pytest.mark.parametrize("name", ["reuse_image_s8", "reuse_image_compact_s8", "reuse_compiled_s8"])
def test_null_pointers_are_refused(host, name):
    assert host.function(f"ost_{name}")(None, None, None, None) == BAD_ARGUMENT
