"""Horizontal reuse: the reference's bits on the host, and on the simulated core in DSP and plain C."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from horizontal_samples import horizontal_corners, make_horizontal, random_horizontal
from reuse_samples import random_input

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.reuse_horizontal import SOURCES, PanelForm, bind_reuse_horizontal, whole_panels
from ostinato.quant.horizontal_reference import horizontal_overflows
from ostinato.quant.ops import ConvDims, QConv2d
from ostinato.quant.reference import execute_op

CONV = ConvDims((7, 7, 8), (5, 5, 20), (3, 3))


@pytest.fixture(scope="module")
def host(host_kernels):
    return host_kernels(SOURCES)


def check(runner, op, x, form=None):
    binding = bind_reuse_horizontal(op, form or whole_panels(op))
    call = runner.run(binding, x, op.output.size)
    assert (call.status, call.scratch_bytes) == (0, binding.scratch_bytes)
    np.testing.assert_array_equal(call.output, execute_op(op, x).ravel())
    return call


def small_forms(rng, op):
    """A few rows and units at a time, with the padding copied and filled in."""
    rows, units = (int(rng.integers(1, most + 1)) for most in (op.panel_rows, 16))
    return [PanelForm(rows, units, compact) for compact in (False, True)]


def test_random_layers_on_the_host(host):
    for seed in range(200):
        rng = np.random.default_rng(seed)
        op = random_horizontal(rng)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        for form in (whole_panels(op), *small_forms(rng, op)):
            assert check(host, op, x, form).reported == horizontal_overflows(op, x)


def test_corner_cases_on_the_host(host):
    rng = np.random.default_rng(0)
    for op in horizontal_corners():
        x = random_input(rng, op.input.shape, op.input.zero_point)
        for form in (whole_panels(op), PanelForm(1, 1, compact=True), *small_forms(rng, op)):
            check(host, op, x, form)


@pytest.mark.parametrize("plain", [False, True], ids=["dsp", "plain"])
def test_random_layers_and_corner_cases_on_the_simulated_core(simulated_kernels, plain):
    core = simulated_kernels(SOURCES, plain=plain)
    ops = [random_horizontal(np.random.default_rng(seed)) for seed in range(1000, 1030)]
    for op in (*ops, *horizontal_corners()):
        rng = np.random.default_rng(op.output.size)
        x = random_input(rng, op.input.shape, op.input.zero_point)
        for form in (whole_panels(op), *small_forms(rng, op)):
            call = check(core, op, x, form)
            unknown = set(call.profile.by_function) - set(bind_reuse_horizontal(op).phases)
            assert {name for name in unknown if name.startswith("ost_")} <= {"ost_reuse_horizontal_s8"}


def test_units_that_are_alone_make_the_conventional_convolution(host):
    """One slot with one unit in it in each panel, no centroid bits: TensorFlow Lite's convolution, bit for bit."""
    rng = np.random.default_rng(1)
    op = make_horizontal(rng, CONV, 5, 8, 16, tree=False, slots=1, bits=0)
    x = rng.integers(-128, 128, CONV.input).astype(np.int8)
    call = check(host, op, x)
    assert call.reported == op.panels * (op.units - 1)
    conventional = QConv2d(
        name="conv", input=op.input, output=op.output, dims=CONV, weight=op.weight.reshape(20, 3, 3, 8), bias=op.bias,
        multiplier=op.multiplier, shift=op.shift,
    )  # fmt: skip
    np.testing.assert_array_equal(call.output, execute_op(conventional, x).ravel())


def test_nonsense_is_refused(host):
    rng = np.random.default_rng(0)
    op = make_horizontal(rng, CONV, 5, 8, 4, tree=False)
    binding = bind_reuse_horizontal(op, whole_panels(op))
    x = random_input(rng, op.input.shape, 0)
    window = binding.params["window"]
    for change in (
        {"window": {**window, "stride": {"height": 0, "width": 1}}},
        {"hash": {**binding.params["hash"], "hashes": 0}},
        {"hash": {**binding.params["hash"], "hashes": 17}},
        {"panel_rows": 0}, {"panel_rows": 4}, {"length": 0}, {"length": 80}, {"slots": 0}, {"slots": 17},
        {"centroid_bits": 8}, {"centroid_bits": -1}, {"rows_together": 0}, {"rows_together": 6},
        {"units_together": 0}, {"units_together": 17},
    ):  # fmt: skip
        broken = replace(binding, params={**binding.params, **change})
        assert host.run(broken, x, op.output.size, scratch_bytes=1 << 20).status == -1, change
    assert host.run(binding, x, op.output.size, scratch_bytes=binding.scratch_bytes - 1).status == -2


def test_what_the_kernel_cannot_compute_is_refused_at_export():
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match=r"features\.conv: 17 hashes"):
        bind_reuse_horizontal(make_horizontal(rng, CONV, 2, 8, 17, tree=False))
    with pytest.raises(UnsupportedError, match=r"300 clusters a panel"):
        bind_reuse_horizontal(make_horizontal(rng, ConvDims((1, 1, 400), (1, 1, 2), (1, 1)), 1, 1, 16, slots=300))
    op = make_horizontal(rng, CONV, 2, 8, 4)
    with pytest.raises(QuantizationError, match="beyond int32"):
        bind_reuse_horizontal(replace(op, bias=np.full(20, (1 << 31) - 1, np.int32)))
    with pytest.raises(UnsupportedError, match="padded input of 7"):
        bind_reuse_horizontal(replace(op, dims=replace(CONV, output=(6, 5, 20))))
