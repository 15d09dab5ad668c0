"""Conventional kernels in plain C on the host: the reference's bits, on any configuration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conventional_samples import (
    SOURCES,
    make_conv,
    make_linear,
    make_pool,
    narrow_conv,
    random_conv,
    random_grouped,
    random_input,
    random_linear,
    random_pool,
    random_softmax,
    tensor,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.kernels.conventional import bind_conv, bind_linear, bind_softmax
from ostinato.kernels.pools import bind_avg_pool, bind_max_pool
from ostinato.quant.ops import ConvDims, QAvgPool2d, QMaxPool2d
from ostinato.quant.reference import execute_op

SEEDS = st.integers(0, 2**32 - 1)
OK, BAD_ARGUMENT, NO_SCRATCH = 0, -1, -2


@pytest.fixture(scope="module")
def host(host_kernels):
    return host_kernels(SOURCES)


def check(host, op, binding, x):
    call = host.run(binding, x, op.output.size)
    assert call.status == OK
    assert call.scratch_bytes == binding.scratch_bytes
    np.testing.assert_array_equal(call.output.reshape(op.output.shape), execute_op(op, x))


@pytest.mark.parametrize("kernel", ["cmsis", "dense"])
@given(seed=SEEDS)
@settings(max_examples=120, deadline=None)
def test_convolution(host, kernel, seed):
    rng = np.random.default_rng(seed)
    op = random_conv(rng)
    check(host, op, bind_conv(op, kernel), random_input(rng, op.input.shape))


@given(seed=SEEDS)
@settings(max_examples=120, deadline=None)
def test_convolution_in_groups(host, seed):
    rng = np.random.default_rng(seed)
    op = random_grouped(rng)
    check(host, op, bind_conv(op, "dense"), random_input(rng, op.input.shape))


def test_which_kernel_runs_groups():
    rng = np.random.default_rng(0)
    depthwise = make_conv(rng, ConvDims((5, 5, 12), (5, 5, 12), (3, 3), padding=(1, 1)), groups=12)
    assert bind_conv(depthwise, "dense").kernel == bind_conv(depthwise, "cmsis").kernel == "conv_s8_depthwise"
    doubled = make_conv(rng, ConvDims((5, 5, 12), (5, 5, 24), (3, 3), padding=(1, 1)), groups=12)
    assert bind_conv(doubled, "dense").kernel == "conv_s8_grouped"


@given(seed=SEEDS)
@settings(max_examples=120, deadline=None)
def test_fully_connected(host, seed):
    rng = np.random.default_rng(seed)
    op = random_linear(rng)
    check(host, op, bind_linear(op), random_input(rng, op.input.shape))


@pytest.mark.parametrize("weight", [-127, 127])
def test_fully_connected_sums_beyond_24_bits(host, weight):
    """The largest sums that there are, which odd outputs have to be cut into parts for."""
    op = make_linear(np.random.default_rng(0), 1210, 6)
    op = replace(op, weight=np.full_like(op.weight, weight))
    binding = bind_linear(op)
    assert binding.params["part_blocks"] * 16 * 127 * 128 < 1 << 23 < 1210 * 127 * 127
    for value in (-128, 127):
        check(host, op, binding, np.full(op.input.shape, value, np.int8))


@given(seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_softmax(host, seed):
    """The reference's bits, which are the real softmax's to one step of the output."""
    rng = np.random.default_rng(seed)
    op = random_softmax(rng)
    x = random_input(rng, op.input.shape)
    check(host, op, bind_softmax(op), x)
    powers = np.exp(op.input.scale * (x.astype(float) - x.max()))
    exact = np.minimum(256 * powers / powers.sum(), 255) - 128
    assert np.abs(execute_op(op, x) - exact).max() <= 0.51 + len(x) / 256


@given(seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_max_pool(host, seed):
    rng = np.random.default_rng(seed)
    op = random_pool(rng, QMaxPool2d)
    check(host, op, bind_max_pool(op), random_input(rng, op.input.shape))


@given(seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_average_pool(host, seed):
    rng = np.random.default_rng(seed)
    op = random_pool(rng, QAvgPool2d)
    check(host, op, bind_avg_pool(op), random_input(rng, op.input.shape))


def test_average_of_more_positions_than_int16_sums_hold(host):
    op = make_pool(QAvgPool2d, ConvDims((20, 20, 5), (1, 1, 5), (20, 20)))
    for value in (-128, 127):
        check(host, op, bind_avg_pool(op), np.full(op.input.shape, value, np.int8))


def test_max_pool_of_a_window_that_is_padding_only(host):
    op = make_pool(QMaxPool2d, ConvDims((1, 1, 3), (3, 3, 3), (1, 1), padding=(1, 1)))
    check(host, op, bind_max_pool(op), np.full(op.input.shape, 5, np.int8))


@pytest.mark.parametrize("kernel", ["cmsis", "dense"])
@pytest.mark.parametrize("columns", range(1, 35))
def test_every_rest_of_columns(host, kernel, columns):
    """K from 1 to 34: every front padding of the dense kernel's blocks, every tail of the other."""
    rng = np.random.default_rng(columns)
    op = make_conv(rng, ConvDims((3, 3, columns), (3, 3, 5), (1, 1)))
    check(host, op, bind_conv(op, kernel), random_input(rng, op.input.shape))


@pytest.mark.parametrize("kernel", ["cmsis", "dense"])
@pytest.mark.parametrize("channels", range(1, 14))
def test_every_length_of_a_row_of_columns(host, kernel, channels):
    """Short runs to gather, in an input that ends right behind them."""
    rng = np.random.default_rng(channels)
    for kernel_width in (1, 2):
        op = make_conv(rng, ConvDims((4, kernel_width, channels), (2, 1, 4), (3, kernel_width)))
        check(host, op, bind_conv(op, kernel), random_input(rng, op.input.shape))


@pytest.mark.parametrize("kernel", ["cmsis", "dense"])
@pytest.mark.parametrize("extreme", [-128, 127])
def test_extreme_inputs_and_weights(host, kernel, extreme):
    """The largest sums that int8 gives, at both ends of the zero point."""
    rng = np.random.default_rng(0)
    op = make_conv(rng, ConvDims((5, 5, 64), (1, 1, 6), (5, 5)))
    weight = np.where(np.arange(6)[:, None, None, None] % 2 == 0, 127, -127) * np.ones_like(op.weight)
    for zero_point in (-128, 127):
        loaded = replace(op, weight=weight.astype(np.int8), input=tensor("x", op.dims.input, zero_point))
        check(host, loaded, bind_conv(loaded, kernel), np.full(op.dims.input, extreme, np.int8))


@pytest.mark.parametrize("multiplier", [1 << 30, (1 << 30) + 1, 3 << 29, (1 << 31) - 1])
@pytest.mark.parametrize("shift", [-1, -2, -3, -7, -22])
def test_short_requantisation_rounds_like_the_long_one(host, multiplier, shift):
    """Ties and signs: both kernels agree with the reference on every small accumulator."""
    x = np.arange(-128, 128).astype(np.int8).reshape(16, 16, 1)
    for zero_point in (-128, 0, 127):
        op = narrow_conv(8, multiplier, shift, zero_point)
        binding = bind_conv(op, "dense")
        assert binding.arrays["narrow"].size
        check(host, op, binding, x)
        check(host, op, bind_conv(op, "cmsis"), x)


@pytest.mark.parametrize("kernel", ["cmsis", "dense"])
def test_too_little_scratch_is_refused(host, kernel):
    rng = np.random.default_rng(0)
    op = random_conv(rng)
    binding = bind_conv(op, kernel)
    x = random_input(rng, op.input.shape)
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes - 1).status == NO_SCRATCH
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes + 8).status == OK


def test_nonsense_is_refused(host):
    rng = np.random.default_rng(0)
    conv, linear = random_conv(rng), make_linear(rng, 5, 3)
    pool = make_pool(QMaxPool2d, ConvDims((4, 4, 3), (2, 2, 3), (2, 2), (2, 2)))
    average = make_pool(QAvgPool2d, pool.dims)
    window = {"stride": {"height": 0, "width": 1}}
    beyond = {"output": {"height": 99, "width": 1, "channels": conv.dims.output[2]}}
    for op, binding, wrong in [
        (conv, bind_conv(conv, "cmsis"), window),
        (conv, bind_conv(conv, "cmsis"), beyond),
        (conv, bind_conv(conv, "dense"), window),
        (conv, bind_conv(conv, "dense"), beyond),
        (pool, bind_max_pool(pool), {"output": {"height": 2, "width": 2, "channels": 4}}),
        (average, bind_avg_pool(average), {"padding": {"height": 2, "width": 0}}),
    ]:
        params = {**binding.params, "window": {**binding.params["window"], **wrong}}
        call = host.run(replace(binding, params=params), random_input(rng, op.input.shape), op.output.size)
        assert call.status == BAD_ARGUMENT, (binding.kernel, wrong)
    broken = replace(bind_linear(linear), params={**bind_linear(linear).params, "inputs": 0})
    assert host.run(broken, random_input(rng, (5,)), 3).status == BAD_ARGUMENT


@pytest.mark.parametrize("name", ["conv_s8_cmsis", "conv_s8_dense", "fully_connected_s8", "max_pool_s8", "avg_pool_s8"])
def test_null_pointers_are_refused(host, name):
    assert host.function(f"ost_{name}")(None, None, None, None) == BAD_ARGUMENT
