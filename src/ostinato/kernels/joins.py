"""Operators with several inputs bound to their kernels: sums and concatenations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ostinato.errors import UnsupportedError
from ostinato.kernels.binding import ArrayRef, Binding
from ostinato.quant.ops import QAdd, QConcat

_DIR = "conventional"


def bind_add(op: QAdd) -> Binding:
    """An elementwise sum.

    Raises:
        UnsupportedError: terms of other sizes than the sum's.
    """
    if any(term.size != op.output.size for term in op.terms):
        sizes = " and ".join(str(term.size) for term in op.terms)
        raise UnsupportedError(f"Layer {op.name}: a sum of {op.output.size} elements cannot have terms of {sizes}.")
    return Binding(
        kernel="add_s8",
        params_type="ost_add_s8_params",
        params={
            "count": op.output.size,
            "first_multiplier": int(op.multipliers[0]),
            "second_multiplier": int(op.multipliers[1]),
            "offset": int(op.offset),
            "fraction_bits": int(op.fraction_bits),
            "activation_min": int(op.activation_min),
            "activation_max": int(op.activation_max),
        },
        arrays={},
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_add_s8.c",),
        phases={"ost_add_s8_elements": "other"},
        inputs=2,
    )


def bind_concat(op: QConcat, there: Sequence[bool] = ()) -> Binding:
    """A concatenation along the channels.

    Args:
        op: the layer.
        there: which parts are in the output already; where all are, the binding has no kernel.

    Raises:
        UnsupportedError: fewer than two parts, parts that do not add up to the output or have another scale.
    """
    out = op.output
    if len(op.parts) < 2:
        raise UnsupportedError(f"Layer {op.name}: a concatenation has at least two parts; found {len(op.parts)}.")
    pixels = out.size // out.shape[-1]
    channels = [part.size // pixels for part in op.parts]
    if sum(channels) != out.shape[-1] or any(part.size % pixels for part in op.parts):
        shapes = ", ".join(str(part.shape) for part in op.parts)
        raise UnsupportedError(f"Layer {op.name}: parts of shapes {shapes} do not add up to {out.shape}.")
    for part in op.parts:
        if (part.scale, part.zero_point) != (out.scale, out.zero_point):
            raise UnsupportedError(
                f"Layer {op.name}: its part {part.name} has scale {part.scale:.6g} and zero point {part.zero_point}, "
                f"the output {out.scale:.6g} and {out.zero_point}; a concatenation moves bytes and needs them equal."
            )
    if there and all(there):
        return Binding(
            kernel="",
            params_type="",
            params={},
            arrays={},
            scratch_bytes=0,
            sources=(),
            inputs=len(channels),
            note="its parts were written side by side",
            there=tuple(there),
        )
    return Binding(
        kernel="concat_s8",
        params_type="ost_concat_s8_params",
        params={"pixels": pixels, "parts": len(channels), "channels": ArrayRef("channels")},
        arrays={"channels": np.array(channels, np.int32)},
        scratch_bytes=0,
        sources=(f"{_DIR}/ost_concat_s8.c",),
        phases={"ost_concat_s8_part": "other"},
        inputs=len(channels),
        there=tuple(there),
    )
