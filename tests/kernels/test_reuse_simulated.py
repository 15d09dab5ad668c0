"""Reuse kernels on the simulated Cortex-M4: DSP and plain C give the reference's bits, at a fraction of the cost."""

from __future__ import annotations

import numpy as np
import pytest
from conventional_samples import SOURCES as CONVENTIONAL
from conventional_samples import make_conv
from reuse_samples import (
    SOURCES,
    compact_forms,
    corner_cases,
    every_form,
    make_compiled,
    make_image,
    one_cluster,
    random_compiled,
    random_image,
    random_input,
    smooth_input,
    table_forms,
)

from ostinato.kernels.conventional import bind_conv
from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.quant.ops import ConvDims
from ostinato.quant.reference import execute_op

CONV1 = ConvDims((32, 32, 3), (28, 28, 64), (5, 5))
CONV2 = ConvDims((14, 14, 64), (10, 10, 64), (5, 5))


@pytest.fixture(scope="module")
def dsp(simulated_kernels):
    return simulated_kernels((*SOURCES, *CONVENTIONAL))


@pytest.fixture(scope="module")
def plain(simulated_kernels):
    return simulated_kernels(SOURCES, plain=True)


def check(core, op, x):
    """On every kernel for it; the first one's call."""
    calls, expected = [], execute_op(op, x).ravel()
    for binding in every_form(op):
        call = core.run(binding, x, op.output.size)
        assert (call.status, call.scratch_bytes) == (0, binding.scratch_bytes)
        np.testing.assert_array_equal(call.output, expected)
        calls.append(call)
    return calls[0]


@pytest.mark.parametrize("make", [random_image, random_compiled], ids=["image", "compiled"])
@pytest.mark.parametrize("block", range(5))
def test_random_layers(dsp, plain, make, block):
    for seed in range(1000 + 10 * block, 1010 + 10 * block):
        rng = np.random.default_rng(seed)
        op = make(rng)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        check(dsp, op, x)
        check(plain, op, x)


def test_rows_of_the_map_or_of_the_padded_input_at_a_time(dsp, plain):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        op = random_compiled(rng)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        binding = bind_reuse_compiled(op, "offsets", band=True)
        for core in (dsp, plain):
            call = core.run(binding, x, op.output.size)
            assert (call.status, call.scratch_bytes) == (0, binding.scratch_bytes)
            np.testing.assert_array_equal(call.output, execute_op(op, x).ravel())


def test_outputs_in_parts_and_few_clusters_at_a_time(dsp, plain):
    for seed in range(9):
        rng = np.random.default_rng(seed)
        op = random_image(rng)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        for binding in (*table_forms(op, 4), *compact_forms(op, 3)):
            for core in (dsp, plain):
                call = core.run(binding, x, op.output.size)
                assert (call.status, call.scratch_bytes) == (0, binding.scratch_bytes)
                np.testing.assert_array_equal(call.output, execute_op(op, x).ravel())


def test_corner_cases(dsp):
    rng = np.random.default_rng(0)
    for op in corner_cases():
        check(dsp, op, random_input(rng, op.input.shape, op.input.zero_point))


def test_centroids_of_clusters_of_every_size(dsp):
    """Division by multiplication, where the kernel does it, has no error: both signs, exact quotients and others."""
    rng = np.random.default_rng(0)
    for members in (*range(1, 20), 31, 64, 127, 128, 255, 256, 257, 361, 362, 363, 400):
        for zero_point in (-128, -3, 127):
            for low, high in (
                (-128, 128),
                (zero_point, min(zero_point + 2, 128)),
                (max(zero_point - 1, -128), zero_point + 1),
            ):
                x = rng.integers(low, high, (1, members, 4)).astype(np.int8)
                op = one_cluster(x, zero_point)
                assert not np.any(execute_op(op, x))
                check(dsp, op, x)


@pytest.mark.parametrize("bits", range(1, 8))
def test_saturation_at_every_number_of_fraction_bits(dsp, bits):
    """Sums beyond int8 at both ends, through both ways to the output (registers and accumulators in memory)."""
    rng = np.random.default_rng(bits)
    dims = ConvDims((6, 6, 32), (4, 4, 36), (3, 3))
    for length, hashes in ((96, 2), (8, 4)):
        op = make_image(rng, dims, length, hashes, "kh.kw.c", gain=8.0, tree=False)
        call = check(dsp, op, random_input(rng, dims.input, op.input.zero_point))
        assert {-128, 127} <= set(call.output.tolist())
    compiled = make_compiled(rng, dims, 8, 4, "kh.kw.c", pixel_aligned=True, bits=bits, tree=False)
    check(dsp, compiled, random_input(rng, dims.input, compiled.input.zero_point))


def cycles(call):
    return call.profile.total.cycles


@pytest.mark.parametrize(
    ("dims", "make", "least"),
    [
        (CONV1, lambda rng: make_image(rng, CONV1, 15, 4, "kh.kw.c", tree=False), 5),
        (CONV2, lambda rng: make_image(rng, CONV2, 32, 3, "kh.kw.c", tree=False), 7),
        (CONV2, lambda rng: make_compiled(rng, CONV2, 8, 4, "kh.kw.c", pixel_aligned=True, tree=False), 14),
        (CONV2, lambda rng: make_compiled(rng, CONV2, 16, 4, "kh.kw.c", pixel_aligned=True, tree=False), 25),
    ],
    ids=["image conv1", "image conv2", "compiled conv2, L=8", "compiled conv2, L=16"],
)
def test_times_cheaper_than_the_cmsis_style_convolution(dsp, dims, make, least):
    rng = np.random.default_rng(0)
    conv, op = make_conv(rng, dims), make(rng)
    x = smooth_input(rng, dims.input, op.input.zero_point)
    conventional = dsp.run(bind_conv(conv, "cmsis"), x, conv.output.size)
    assert cycles(conventional) >= least * cycles(check(dsp, op, x))


def test_every_function_has_a_phase(dsp):
    """Nothing of a reuse layer but its entry (and the runtime's helpers) is `other` in the report."""
    rng = np.random.default_rng(0)
    for make in (random_image, random_compiled):
        for seed in range(10):
            op = make(np.random.default_rng(seed))
            for binding in every_form(op):
                x = random_input(rng, op.input.shape, op.input.zero_point)
                call = dsp.run(binding, x, op.output.size)
                unknown = set(call.profile.by_function) - set(binding.phases) - {f"ost_{binding.kernel}"}
                assert not {name for name in unknown if name.startswith("ost_")}
