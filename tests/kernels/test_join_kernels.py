"""Sums and concatenations: the reference's bits on the host, and on the simulated core in plain C and DSP code."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
from conventional_samples import random_add, random_concat, random_inputs, random_joins, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import UnsupportedError
from ostinato.kernels.abi import image
from ostinato.kernels.joins import bind_add, bind_concat
from ostinato.quant.reference import execute_op

SOURCES = ("conventional/ost_add_s8.c", "conventional/ost_concat_s8.c")
OK, BAD_ARGUMENT = 0, -1


@pytest.fixture(scope="module")
def host(host_kernels):
    return host_kernels(SOURCES)


@pytest.fixture(scope="module")
def dsp(simulated_kernels):
    return simulated_kernels(SOURCES)


@pytest.fixture(scope="module")
def plain(simulated_kernels):
    return simulated_kernels(SOURCES, plain=True)


def check(kernels, op, binding, inputs):
    call = kernels.run(binding, inputs, op.output.size)
    assert (call.status, call.scratch_bytes) == (OK, binding.scratch_bytes)
    np.testing.assert_array_equal(call.output, execute_op(op, *inputs).ravel())
    return call


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_on_the_host(host, seed):
    rng = np.random.default_rng(seed)
    for op, binding in random_joins(rng):
        check(host, op, binding, random_inputs(rng, op))


@pytest.mark.parametrize("seed", range(60))
def test_on_the_simulated_core(dsp, plain, seed):
    rng = np.random.default_rng(seed)
    for op, binding in random_joins(rng):
        inputs = random_inputs(rng, op)
        check(plain, op, binding, inputs)
        call = check(dsp, op, binding, inputs)
        assert set(call.profile.by_function) <= {*binding.phases, f"ost_{binding.kernel}"}


@pytest.mark.parametrize("multipliers", [(32767, 32767), (32767, 0), (1, 16384), (0, 0)])
def test_every_pair_of_values_of_the_fast_path(host, dsp, multipliers):
    """All 65,536 pairs, at both ends of the zero points."""
    a, b = (grid.astype(np.int8).reshape(1, 256, 256) for grid in np.meshgrid(*[np.arange(-128, 128)] * 2))
    for zero_points in ((-128, -128, 127), (127, 127, -128), (-128, 127, 0)):
        offset = (zero_points[2] << 14) + (1 << 13) - sum(m * z for m, z in zip(multipliers, zero_points, strict=False))
        op = replace(
            random_add(np.random.default_rng(0)), output=tensor("y", a.shape, 0),
            terms=(tensor("a", a.shape, 0), tensor("b", b.shape, 0)), multipliers=multipliers, offset=offset,
            fraction_bits=14, activation_min=-128, activation_max=127,
        )  # fmt: skip
        for kernels in (host, dsp):
            check(kernels, op, bind_add(op), [a, b])


@given(seed=st.integers(0, 2**32 - 1), term=st.integers(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_sum_may_be_written_over_a_term(host, seed, term):
    rng = np.random.default_rng(seed)
    op = random_add(rng)
    inputs = random_inputs(rng, op)
    expected = execute_op(op, *inputs)
    binding = bind_add(op)
    params = ctypes.create_string_buffer(image(binding, 0, 8).data)
    addresses = (ctypes.c_void_p * 2)(*(x.ctypes.data for x in inputs))
    target = ctypes.c_void_p(inputs[term].ctypes.data)
    assert host.function("ost_add_s8")(params, None, addresses, target) == OK
    np.testing.assert_array_equal(inputs[term].ravel(), expected.ravel())


def test_adding_a_tensor_to_itself(host):
    op = random_add(np.random.default_rng(3))
    op = replace(op, terms=(op.terms[0], op.terms[0]))
    x = random_inputs(np.random.default_rng(3), op)[0]
    check(host, op, bind_add(op), [x, x])


def test_nonsense_is_refused_before_anything_is_written(host):
    rng = np.random.default_rng(1)
    add, concat = random_add(rng), random_concat(np.random.default_rng(4))
    for op, binding, wrong in [
        (add, bind_add(add), {"count": 0}),
        (add, bind_add(add), {"fraction_bits": 15}),
        (add, bind_add(add), {"first_multiplier": 32768}),
        (add, bind_add(add), {"second_multiplier": -1}),
        (add, bind_add(add), {"activation_min": 5, "activation_max": 4}),
        (concat, bind_concat(concat), {"pixels": 0}),
        (concat, bind_concat(concat), {"parts": 1}),
    ]:
        broken = replace(binding, params={**binding.params, **wrong})
        assert host.run(broken, random_inputs(rng, op), op.output.size).status == BAD_ARGUMENT, wrong
    for name in ("add_s8", "concat_s8"):
        assert host.function(f"ost_{name}")(None, None, None, None) == BAD_ARGUMENT


def test_what_does_not_fit_together_is_refused_by_name():
    add, concat = random_add(np.random.default_rng(1)), random_concat(np.random.default_rng(4))
    shape = (*add.output.shape[:2], add.output.shape[2] + 1)
    with pytest.raises(UnsupportedError, match=r"Layer features\.add: a sum of \d+ elements cannot have terms of"):
        bind_add(replace(add, terms=(add.terms[0], replace(add.terms[1], shape=shape))))
    with pytest.raises(UnsupportedError, match=r"Layer features\.cat: parts of shapes .* do not add up to"):
        bind_concat(replace(concat, parts=concat.parts[1:]))
    with pytest.raises(UnsupportedError, match=r"Layer features\.cat: a concatenation has at least two parts; found 1"):
        bind_concat(replace(concat, parts=concat.parts[:1]))
    other = (*concat.parts[:-1], replace(concat.parts[-1], zero_point=4))
    with pytest.raises(UnsupportedError, match=r"its part p\d has scale 0\.05 and zero point 4, the output 0"):
        bind_concat(replace(concat, parts=other))
