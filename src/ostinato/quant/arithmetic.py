"""Fixed-point arithmetic that every integer operator is defined by.

Rounding follows TensorFlow Lite's reference (and CMSIS-NN's default): a saturating-free doubling high multiply that
rounds half up, then a division by a power of two that rounds half away from zero. The C kernels must give the same
bits; the tests compare them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[Any]
Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

INT8_MIN, INT8_MAX = -128, 127
INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Split a positive real multiplier into (multiplier, shift) with real ≈ multiplier · 2^(shift − 31).

    The multiplier is in [2^30, 2^31) so that no precision is lost; shift > 0 is a left shift.

    Raises:
        ValueError: `real` is not finite and positive.
    """
    if not (math.isfinite(real) and real > 0):
        raise ValueError(f"a requantisation multiplier must be finite and positive, got {real}")
    mantissa, exponent = math.frexp(real)
    multiplier = round(mantissa * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        exponent += 1
    if exponent < -31:  # the product would always round to zero
        return 0, 0
    return multiplier, exponent


def doubling_high_multiply(value: IntArray, multiplier: IntArray) -> Int64Array:
    """(2 · value · multiplier) >> 32, rounded half up: (value · multiplier + 2^30) >> 31."""
    product = value.astype(np.int64) * multiplier.astype(np.int64)
    return (product + (1 << 30)) >> 31


def divide_by_power_of_two(value: IntArray, exponent: IntArray) -> Int64Array:
    """value / 2^exponent, rounded half away from zero (exponent ≥ 0)."""
    wide, power = value.astype(np.int64), exponent.astype(np.int64)
    mask = (np.int64(1) << power) - 1
    threshold = (mask >> 1) + (wide < 0)
    return (wide >> power) + ((wide & mask) > threshold)


def requantize(accumulator: IntArray, multiplier: IntArray, shift: IntArray) -> Int64Array:
    """Scale int32 accumulators by multiplier · 2^(shift − 31), as TensorFlow Lite does.

    `multiplier` and `shift` broadcast against the last axis (one per output channel).
    """
    left = np.maximum(shift, 0).astype(np.int64)
    right = np.maximum(-shift.astype(np.int64), 0)
    shifted = accumulator.astype(np.int64) * (np.int64(1) << left)
    return divide_by_power_of_two(doubling_high_multiply(shifted, multiplier), right)


def rounding_high_multiply(value: IntArray, multiplier: IntArray) -> Int64Array:
    """(value · multiplier + 2^31) >> 32: what the Cortex-M4's SMMULR computes."""
    return (value.astype(np.int64) * multiplier.astype(np.int64) + (1 << 31)) >> 32


def truncating_divide(numerator: IntArray, denominator: IntArray) -> Int64Array:
    """Integer division toward zero, as C divides (NumPy's // floors)."""
    wide, by = numerator.astype(np.int64), denominator.astype(np.int64)
    return np.sign(wide) * (np.abs(wide) // by)


def saturate(value: IntArray, low: int, high: int) -> Int64Array:
    """Clamp to [low, high]."""
    return np.clip(value.astype(np.int64), low, high)
