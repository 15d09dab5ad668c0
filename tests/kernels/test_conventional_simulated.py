"""Conventional kernels on the simulated Cortex-M4: DSP and plain C give the reference's bits, at a baseline's cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conventional_samples import (
    SOURCES,
    make_conv,
    make_linear,
    narrow_conv,
    overlapping_pools,
    random_bindings,
    random_input,
)

from ostinato.kernels.conventional import bind_conv, bind_linear
from ostinato.kernels.pools import bind_max_pool
from ostinato.quant.ops import ConvDims
from ostinato.quant.reference import execute_op

CONFIGURATIONS = 45

CIFARNET = {
    "conv1": ConvDims((32, 32, 3), (28, 28, 64), (5, 5)),
    "conv2": ConvDims((14, 14, 64), (10, 10, 64), (5, 5)),
}


@pytest.fixture(scope="module")
def dsp(simulated_kernels):
    return simulated_kernels(SOURCES)


@pytest.fixture(scope="module")
def plain(simulated_kernels):
    return simulated_kernels(SOURCES, plain=True)


@pytest.mark.parametrize("seed", range(CONFIGURATIONS))
def test_same_bits_as_the_reference(dsp, plain, seed):
    rng = np.random.default_rng(seed)
    for op, binding in random_bindings(rng):
        x = random_input(rng, op.input.shape)
        expected = execute_op(op, x).ravel()
        for core in (dsp, plain):
            call = core.run(binding, x, op.output.size)
            assert (call.status, call.scratch_bytes) == (0, binding.scratch_bytes), binding.kernel
            np.testing.assert_array_equal(call.output, expected, binding.kernel)


@pytest.mark.parametrize("columns", range(1, 35))
def test_every_rest_of_columns(dsp, columns):
    """K from 1 to 34: every entry into the dense kernel's unrolled pass."""
    rng = np.random.default_rng(columns)
    op = make_conv(rng, ConvDims((3, 3, columns), (3, 3, 5), (1, 1)))
    x = random_input(rng, op.input.shape)
    for kernel in ("cmsis", "dense"):
        np.testing.assert_array_equal(
            dsp.run(bind_conv(op, kernel), x, op.output.size).output, execute_op(op, x).ravel()
        )


@pytest.mark.parametrize("multiplier", [1 << 30, (1 << 30) + 1, (1 << 31) - 1])
@pytest.mark.parametrize("channels", [6, 8])
def test_short_requantisation_rounds_like_the_reference(dsp, channels, multiplier):
    """In the dense product (8 channels) and behind it (6)."""
    x = np.arange(-128, 128).astype(np.int8).reshape(16, 16, 1)
    for shift in (-1, -2, -7, -22):
        op = narrow_conv(channels, multiplier, shift, 5)
        binding = bind_conv(op, "dense")
        assert binding.arrays["narrow"].size
        np.testing.assert_array_equal(dsp.run(binding, x, op.output.size).output, execute_op(op, x).ravel())


def test_every_cycle_has_a_phase(dsp):
    """Only the kernel's own frame is outside its phase functions: no helper of the compiler takes part."""
    for op, binding in random_bindings(np.random.default_rng(1)):
        call = dsp.run(binding, random_input(np.random.default_rng(1), op.input.shape), op.output.size)
        assert set(call.profile.by_function) <= {*binding.phases, f"ost_{binding.kernel}"}


@pytest.mark.parametrize("blocks", [1, 2, 3, 70, 75])
def test_fully_connected_by_odd_and_even_blocks(dsp, blocks):
    """Both entries into the loop, in one part and in several (a weight of 127 everywhere)."""
    rng = np.random.default_rng(blocks)
    op = make_linear(rng, 16 * blocks, 7)
    for weight in (op.weight, np.full_like(op.weight, 127)):
        op = replace(op, weight=weight)
        x = random_input(rng, op.input.shape)
        np.testing.assert_array_equal(dsp.run(bind_linear(op), x, 7).output, execute_op(op, x))


def test_cost_of_fully_connected(dsp):
    """CifarNet's first: int8 weights at 1.35 cycles a multiplication; widening each of them took 1.63."""
    op = make_linear(np.random.default_rng(0), 1600, 384)
    call = dsp.run(bind_linear(op), random_input(np.random.default_rng(1), op.input.shape), 384)
    assert call.profile.total.cycles <= 1.36 * op.weight.size
    assert bind_linear(op).arrays["weights"].nbytes == op.weight.size


@pytest.mark.parametrize("layer", CIFARNET)
def test_baselines_are_no_straw_men(dsp, layer):
    """What the project promises of its two conventional kernels, in modelled cycles per multiplication."""
    dims = CIFARNET[layer]
    op = make_conv(np.random.default_rng(0), dims)
    x = random_input(np.random.default_rng(1), op.input.shape)
    multiplications = dims.positions * dims.columns * dims.output[2]
    calls = {kernel: dsp.run(bind_conv(op, kernel), x, op.output.size) for kernel in ("cmsis", "dense")}
    cost = {kernel: call.profile.total.cycles / multiplications for kernel, call in calls.items()}
    assert 1.9 <= cost["cmsis"] <= 3.2
    assert cost["dense"] <= {"conv1": 1.28, "conv2": 1.03}[layer]
    np.testing.assert_array_equal(calls["cmsis"].output, calls["dense"].output)


def test_windows_that_share_columns(dsp):
    """Every border, with rows and columns that are padding, and sizes at which no window ends in the input."""
    rng = np.random.default_rng(0)
    for op in overlapping_pools():
        x = random_input(rng, op.input.shape)
        call = dsp.run(bind_max_pool(op), x, op.output.size)
        np.testing.assert_array_equal(call.output, execute_op(op, x).ravel())
