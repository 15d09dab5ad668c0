"""Convolutions that do the max-pool behind them: the bits of one after the other, on a window's rows, at their cost."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from conventional_samples import SOURCES, make_conv, random_input, random_pooled
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_samples import pool_behind

from ostinato.errors import UnsupportedError
from ostinato.kernels.conventional import bind_conv
from ostinato.kernels.pooled import bind_conv_pooled, read_part
from ostinato.kernels.pools import bind_max_pool
from ostinato.quant.ops import ConvDims
from ostinato.quant.pooled_op import QPooled
from ostinato.quant.reference import execute_op

OK, BAD_ARGUMENT, NO_SCRATCH = 0, -1, -2
KERNELS = ("dense", "cmsis")


@pytest.fixture(scope="module")
def host(host_kernels):
    return host_kernels(SOURCES)


@pytest.fixture(scope="module", params=["plain", "dsp"])
def simulated(request, simulated_kernels):
    return simulated_kernels(SOURCES, plain=request.param == "plain")


@pytest.fixture(scope="module")
def dsp(simulated_kernels):
    return simulated_kernels(SOURCES)


def bind(op: QPooled, kernel):
    return bind_conv_pooled(op.layer, kernel, op.pool.dims)


def check(kernels, op, kernel, x):
    """The bits of the integer reference, one operator after the other, and as much scratch as was told."""
    binding = bind(op, kernel)
    call = kernels.run(binding, x, op.output.size)
    assert (call.status, call.scratch_bytes) == (OK, binding.scratch_bytes)
    np.testing.assert_array_equal(call.output, execute_op(op, x).ravel())
    return call


@pytest.mark.parametrize("kernel", KERNELS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_random_layers_on_the_host(host, kernel, seed):
    rng = np.random.default_rng(seed)
    op = random_pooled(rng)
    check(host, op, kernel, random_input(rng, op.input.shape))


WINDOWS = {"2x2 by 2": ((2, 2), (2, 2)), "3x3 by 2": ((3, 3), (2, 2)), "3x3": ((3, 3), (3, 3)),
           "2x2 by 2x1": ((2, 2), (2, 1)), "2x3 by 3": ((2, 3), (3, 3)), "1x1 by 2": ((1, 1), (2, 2))}  # fmt: skip


def usual(channels):
    """Every usual pooling, padded or not, of maps of even and odd sizes."""
    for (kernel, stride), height, width, pad in product(WINDOWS.values(), (7, 8), (6, 9), (0, 1)):
        dims = ConvDims((height, width, 5), (height, width, channels), (3, 3), padding=(1, 1))
        op = make_conv(np.random.default_rng(height), dims)
        found = pool_behind(op, kernel, stride, tuple(min(pad, k - 1) for k in kernel))
        if found is not None:
            yield found


@pytest.mark.parametrize("channels", [8, 11])
def test_usual_poolings_on_the_simulated_core(simulated, channels):
    found = list(usual(channels))
    assert len(found) >= 40
    for op in found:
        for kernel in KERNELS:
            check(simulated, op, kernel, random_input(np.random.default_rng(1), op.input.shape))


def test_sums_that_are_cut_into_parts(host, dsp):
    rng = np.random.default_rng(0)
    op = make_conv(rng, ConvDims((9, 9, 64), (7, 7, 6), (3, 3)))
    op = replace(op, weight=np.full_like(op.weight, 127))
    found = pool_behind(op, (3, 3), (2, 2))
    assert bind(found, "dense").params["layer"]["part_blocks"] < 9 * 64 // 16
    for kernels in (host, dsp):
        check(kernels, found, "dense", random_input(rng, op.input.shape))


def test_outputs_that_no_window_reads_are_not_computed():
    """SqueezeNet's pooling of 32 x 32: the last row and column."""
    dims = ConvDims((32, 32, 96), (15, 15, 96), (3, 3), (2, 2))
    assert read_part(dims) == (31, 31)
    assert read_part(replace(dims, output=(16, 16, 96), padding=(1, 1))) == (32, 32)
    op = make_conv(np.random.default_rng(0), ConvDims((32, 32, 3), (32, 32, 96), (3, 3), padding=(1, 1)))
    assert bind(pool_behind(op, (3, 3), (2, 2)), "dense").params["layer"]["window"]["output"]["width"] == 31


def test_which_poolings_a_convolution_does():
    layer = make_conv(np.random.default_rng(0), ConvDims((12, 12, 3), (12, 12, 4), (1, 1)))
    assert pool_behind(layer, (2, 2), (2, 2))
    assert pool_behind(layer, (3, 3), (2, 2), (1, 1))
    assert not pool_behind(layer, (2, 2), (1, 1))  # 11 rows of 11 and two of 12 are more than 12 of 12
    assert not pool_behind(layer, (12, 12), (1, 1))  # all rows would be held
    depthwise = replace(layer, dims=replace(layer.dims, input=(12, 12, 4)), groups=4)
    assert not pool_behind(depthwise, (2, 2), (2, 2))


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_the_kernel_refuses(host, kernel):
    rng = np.random.default_rng(0)
    op = make_conv(rng, ConvDims((7, 7, 3), (6, 6, 8), (2, 2)))
    found = pool_behind(op, (2, 2), (2, 2))
    binding, x, size = bind(found, kernel), random_input(rng, op.input.shape), found.output.size
    assert host.run(binding, x, size).status == OK
    assert host.run(binding, x, size, scratch_bytes=binding.scratch_bytes - 1).status == NO_SCRATCH
    pool, layer, one = binding.params["pool"], binding.params["layer"], {"height": 1, "width": 1}
    broken = [{"pool": {**pool, **change}} for change in (
        {"dilation": {"height": 2, "width": 1}},
        {"padding": {"height": 2, "width": 0}},
        {"input": {**pool["input"], "width": 5}},
        {"output": {**pool["output"], "channels": 7}},
        {"kernel": one, "stride": {"height": 6, "width": 1}, "padding": {"height": 1, "width": 0}},
    )]  # fmt: skip
    broken.append({"layer": {**layer, "window": {**layer["window"], "stride": {"height": 0, "width": 1}}}})
    if kernel == "dense":
        broken.append({"layer": {**layer, "out_stride": 9}})
    for change in broken:
        call = host.run(replace(binding, params={**binding.params, **change}), x, size, scratch_bytes=1 << 16)
        assert call.status == BAD_ARGUMENT, change
    assert host.function(f"ost_{binding.kernel}")(None, None, None, None) == BAD_ARGUMENT


def test_groups_are_refused():
    op = make_conv(np.random.default_rng(0), ConvDims((4, 4, 4), (4, 4, 4), (1, 1)), groups=4)
    with pytest.raises(UnsupportedError, match=r"features\.conv: no kernel runs a convolution in 4 groups"):
        bind_conv_pooled(op, "dense", ConvDims((4, 4, 4), (2, 2, 4), (2, 2), (2, 2)))


COSTS = {
    "CifarNet conv1": (ConvDims((32, 32, 3), (28, 28, 64), (5, 5)), (2, 2), (2, 2), 1.01),
    "SqueezeNet conv1": (ConvDims((32, 32, 3), (32, 32, 96), (3, 3), padding=(1, 1)), (3, 3), (2, 2), 0.95),
}


@pytest.mark.parametrize("name", COSTS)
def test_it_costs_what_both_cost(dsp, name):
    """In cycles; in SRAM it is input, pooled outputs and a window's rows."""
    dims, kernel, stride, most = COSTS[name]
    op = make_conv(np.random.default_rng(0), dims)
    found = pool_behind(op, kernel, stride)
    x = random_input(np.random.default_rng(1), op.input.shape)
    layer = dsp.run(bind_conv(op, "dense"), x, op.output.size)
    pool = dsp.run(bind_max_pool(found.pool), execute_op(op, x), found.output.size)
    together = check(dsp, found, "dense", x)
    before = layer.profile.total.cycles + pool.profile.total.cycles
    assert together.profile.total.cycles <= most * before
    held = kernel[0] * read_part(found.pool.dims)[1] * dims.output[2]
    assert bind(found, "dense").scratch_bytes <= bind_conv(op, "dense").scratch_bytes + held + 8
