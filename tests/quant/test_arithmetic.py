"""The fixed-point arithmetic against a literal transcription of TensorFlow Lite's and Arm's C, in Python integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fixed_point_c import (
    c_divide,
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from hypothesis import given
from hypothesis import strategies as st

from ostinato.quant import arithmetic

int32 = st.integers(-(2**31), 2**31 - 1)
multipliers = st.integers(2**30, 2**31 - 1)


@given(int32, multipliers)
def test_doubling_high_multiply_is_tflites(value: int, multiplier: int) -> None:
    made = arithmetic.doubling_high_multiply(np.array([value]), np.array([multiplier]))
    assert made[0] == saturating_rounding_doubling_high_mul(value, multiplier)


@given(int32, st.integers(0, 31))
def test_division_by_a_power_of_two_is_tflites(value: int, exponent: int) -> None:
    assert arithmetic.divide_by_power_of_two(np.array([value]), np.array([exponent]))[0] == rounding_divide_by_pot(
        value, exponent
    )


@given(st.integers(0, 8).flatmap(lambda s: st.tuples(st.integers(-(2 ** (31 - s)), 2 ** (31 - s) - 1), st.just(s))),
       multipliers)  # fmt: skip
def test_requantisation_with_a_left_shift(value_and_shift: tuple[int, int], multiplier: int) -> None:
    value, shift = value_and_shift
    made = arithmetic.requantize(np.array([value]), np.array([multiplier]), np.array([shift]))
    assert made[0] == multiply_by_quantized_multiplier(value, multiplier, shift)


@given(st.lists(st.tuples(int32, multipliers, st.integers(-31, 0)), min_size=1, max_size=8))
def test_requantisation_is_per_channel(channels: list[tuple[int, int, int]]) -> None:
    values, factors, shifts = (np.array(column) for column in zip(*channels, strict=True))
    expected = [multiply_by_quantized_multiplier(*channel) for channel in channels]
    assert arithmetic.requantize(values, factors, shifts).tolist() == expected
    assert arithmetic.requantize(np.stack([values, values]), factors, shifts).tolist() == [expected, expected]


@given(int32, int32)
def test_rounding_high_multiply_is_smmulr(value: int, multiplier: int) -> None:
    """Arm ARM: result = SInt(R[n]) * SInt(R[m]) + 0x80000000; R[d] = result<63:32>."""
    word = (value * multiplier + 0x80000000) % (1 << 64) >> 32
    expected = word - (1 << 32) if word >> 31 else word
    assert arithmetic.rounding_high_multiply(np.array([value]), np.array([multiplier]))[0] == expected


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**20))
def test_truncating_divide_is_cs(numerator: int, denominator: int) -> None:
    made = arithmetic.truncating_divide(np.array([numerator]), np.array([denominator]))
    assert made[0] == c_divide(numerator, denominator)


@given(st.floats(2.0**-30, 2.0**20))
def test_multiplier_keeps_31_bits(real: float) -> None:
    multiplier, shift = arithmetic.quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert math.ldexp(multiplier, shift - 31) == pytest.approx(real, rel=2.0**-30)


@given(int32, st.floats(1e-6, 0.9))
def test_requantisation_approximates_the_real_product(value: int, real: float) -> None:
    multiplier, shift = arithmetic.quantize_multiplier(real)
    made = int(arithmetic.requantize(np.array([value]), np.array([multiplier]), np.array([shift]))[0])
    assert abs(made - value * real) <= 1.0 + abs(value * real) * 2.0**-30


def test_a_multiplier_that_rounds_up_to_one_stays_in_range() -> None:
    assert arithmetic.quantize_multiplier(1.0 - 2.0**-40) == (1 << 30, 1)


def test_a_negligible_multiplier_is_zero() -> None:
    assert arithmetic.quantize_multiplier(2.0**-40) == (0, 0)


@pytest.mark.parametrize("real", [0.0, -1.0, math.nan, math.inf])
def test_nonsense_multipliers_are_refused(real: float) -> None:
    with pytest.raises(ValueError, match="finite and positive"):
        arithmetic.quantize_multiplier(real)
