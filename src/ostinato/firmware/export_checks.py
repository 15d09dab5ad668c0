"""What is refused before any C is written: values that their C type, or their table, does not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import QuantizationError
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import QConv2d, QGraph, QHash, QLinear, QOp, QReuseCompiled, QReuseImage
from ostinato.quant.pooled_op import apart

_WEIGHTED = {"weight": 8, "bias": 32, "multiplier": 32, "shift": 32}
_BITS: dict[type[QOp], dict[str, int]] = {
    QConv2d: _WEIGHTED,
    QLinear: _WEIGHTED,
    QReuseImage: {"weight": 8, "multiplier": 32, "offset": 16},
    QReuseHorizontal: _WEIGHTED,
    QReuseCompiled: {"table": 8, "offset": 16},
}


def check_export(graph: QGraph) -> None:
    """Refuse constants that would be cut off when they are packed for a kernel.

    Raises:
        QuantizationError: names the layer, the constant, its largest value and what its type holds; or the ids that a
            table has no entry for.
    """
    for op in apart(graph).ops:
        for name, bits in _BITS.get(type(op), {}).items():
            _check_type(op, name, getattr(op, name), bits)
        if isinstance(op, QReuseImage | QReuseHorizontal | QReuseCompiled):
            _check_type(op, "hash vectors", op.hash.vectors, 8)
            _check_type(op, "hash offset", op.hash.offset, 32)
            _check_planes(op, op.hash)
        if isinstance(op, QReuseCompiled):
            _check_table(op)


def _check_type(op: QOp, name: str, values: npt.NDArray[Any], bits: int) -> None:
    if not np.issubdtype(values.dtype, np.integer):
        raise QuantizationError(f"Layer {op.name}: its {name} is {values.dtype}; the kernels take integers.")
    limit = 1 << (bits - 1)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < -limit or high >= limit:
        worst = low if -low > high else high
        raise QuantizationError(
            f"Layer {op.name}: its {name} has the value {worst:,}, which int{bits} ({-limit:,} to {limit - 1:,}) does "
            "not hold; quantise the network again."
        )


def _check_planes(op: QOp, hashing: QHash) -> None:
    planes = (1 << hashing.hashes) - 1 if hashing.tree else hashing.hashes
    if hashing.vectors.shape[1] != planes or hashing.offset.shape != hashing.vectors.shape[:2]:
        raise QuantizationError(
            f"Layer {op.name}: its hash has {hashing.vectors.shape[1]} planes and offsets of shape "
            f"{hashing.offset.shape} where ids of {hashing.hashes} bits need {planes} of each per group."
        )


def _check_table(op: QReuseCompiled) -> None:
    entries = int(op.table.shape[1])
    if entries != 1 << op.hash.hashes:
        raise QuantizationError(
            f"Layer {op.name}: ids of {op.hash.hashes} bits go up to {(1 << op.hash.hashes) - 1}, but its table has "
            f"{entries} entries for each row; it needs 2^H of them."
        )
