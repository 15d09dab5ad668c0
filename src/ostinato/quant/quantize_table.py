"""Tables of compiled scope as int8, with the proof that int16 sums are enough wherever they can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import INT8_MAX, INT16_MAX, INT32_MAX, IntArray
from ostinato.quant.quantize_dense import FloatArray

MAX_FRACTION_BITS = 7


@dataclass(frozen=True)
class IntegerTable:
    """A table in units of scale_out / 2^bits."""

    table: IntArray  # (R, 2^H, M) int8
    offset: IntArray  # (M,): bias, zero point and rounding, and what the rows were centred by
    bits: int
    reach: int  # the largest |offset| + Σ_r max |table| of any channel
    error: float  # mean squared error of the outputs on calibration ids, in output steps


def quantize_table(
    name: str, real: FloatArray, bias: FloatArray, zero_point: int, ids: IntArray, remedy: str, *, fewest_bits: int = 1
) -> IntegerTable:
    """Rows are centred (the middle of each row's entries per channel moves into the offset), then rounded.

    Of all fraction bits whose int16 sums are proven safe, those with the least error on the calibration images' ids are
    taken: more round finer, but clip entries beyond ±127. If there are none, of those that int32 holds: firmware then
    takes a slower kernel.

    Args:
        name: of the layer.
        real: (R, 2^H, M) in output steps.
        bias: (M,) in output steps.
        zero_point: of the output.
        ids: (positions, R) as calibration images have them.
        remedy: what helps then.
        fewest_bits: that the kernel can have, 1 or 0.

    Raises:
        QuantizationError: int32 does not hold any sum.
    """
    centre = (real.max(axis=1) + real.min(axis=1)) / 2.0  # (R, M)
    centred, constant = real - centre[:, None], bias + centre.sum(axis=0)
    exact = _sums(centred, ids) + constant + zero_point
    candidates = [_candidate(bits, centred, ids, exact) for bits in range(fewest_bits, MAX_FRACTION_BITS + 1)]
    for limit in (INT16_MAX, INT32_MAX):
        safe = [candidate for candidate in candidates if candidate.reach <= limit]
        if safe:
            return min(safe, key=lambda candidate: candidate.error)
    raise QuantizationError(
        f"layer '{name}': the sum of {len(real)} table rows can reach {candidates[0].reach} at {fewest_bits} fraction "
        f"bit, beyond {INT32_MAX}; {remedy}"
    )


def _candidate(bits: int, centred: FloatArray, ids: IntArray, exact: FloatArray) -> IntegerTable:
    unit = 2.0**bits  # a table of whole steps has nothing to round
    table = np.clip(np.rint(centred * unit), -INT8_MAX, INT8_MAX)
    sums = _sums(table, ids)
    # The mean error of rounding and clipping, as it occurs, is corrected for free.
    offset = np.rint((exact * unit - sums).mean(axis=0)) + unit // 2
    reach = np.abs(offset) + np.abs(table).max(axis=1).sum(axis=0)
    made = np.clip(np.floor((sums + offset) / unit), -128, 127)
    error = float(np.square(made - np.clip(exact, -128, 127)).mean())
    held = np.clip(offset, -INT32_MAX, INT32_MAX).astype(np.int32)  # a reach beyond it is never taken
    return IntegerTable(table.astype(np.int8), held, bits, int(reach.max()), error)


def _sums(table: FloatArray, ids: IntArray) -> FloatArray:
    """Σ_r table[r, ids[:, r]]: (positions, M)."""
    total = np.zeros((len(ids), table.shape[2]))
    for r, rows in enumerate(table):
        total += rows[ids[:, r]]
    return total
