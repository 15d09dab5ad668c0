"""Sums and concatenations as integers, with the proof that int32 is enough."""

from __future__ import annotations

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import INT16_MAX
from ostinato.quant.graph import FloatAdd, FloatConcat
from ostinato.quant.ops import QAdd, QConcat, QTensor
from ostinato.quant.quantize_dense import activation_limits

MAX_FRACTION_BITS = 14
"""Enough (see `quantize_add`), and |acc| ≤ 2 · 255 · 32767 + 128 · 2^14 + 2^13 < 2^31: int32 holds every sum."""


def quantize_add(op: FloatAdd, first: QTensor, second: QTensor, target: QTensor) -> QAdd:
    """`QAdd` of a sum: the most fraction bits for which both multipliers fit int16, up to 14.

    A rounded multiplier moves an output by at most 255 · 2^−(F+1) steps: 1/128 of a step a term for F = 14, which terms
    have whose scales are below twice the sum's, as is usual.

    Raises:
        QuantizationError: a term whose scale is thousands of times the output's.
    """
    ratios = [term.scale / target.scale for term in (first, second)]
    for bits in range(MAX_FRACTION_BITS, 0, -1):
        multipliers = (round(ratios[0] * 2.0**bits), round(ratios[1] * 2.0**bits))
        if max(multipliers) <= INT16_MAX:
            break
    else:
        raise QuantizationError(
            f"layer '{op.name}': a term's scale is {max(ratios):.4g} times the sum's, more than int16 multipliers hold "
            f"({INT16_MAX // 2}); the sum's range is too small beside its terms: check the calibration images"
        )
    folded = sum(term.zero_point * m for term, m in zip((first, second), multipliers, strict=True))
    low, high = activation_limits(op.clamp, target)
    return QAdd(
        name=op.name, output=target, terms=(first, second), multipliers=multipliers,
        offset=(target.zero_point << bits) + (1 << (bits - 1)) - folded, fraction_bits=bits,
        activation_min=low, activation_max=high,
    )  # fmt: skip


def quantize_concat(op: FloatConcat, parts: tuple[QTensor, ...], target: QTensor) -> QConcat:
    """`QConcat` of parts that calibration has given the output's scale and zero point."""
    for part in parts:
        if (part.scale, part.zero_point) != (target.scale, target.zero_point):
            raise ValueError(f"'{part.name}' is concatenated in '{op.name}' with another scale")
    return QConcat(name=op.name, output=target, parts=parts)
