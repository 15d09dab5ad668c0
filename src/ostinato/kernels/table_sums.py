"""How far sums of table rows reach: whether int16 holds them, whatever the ids."""

from __future__ import annotations

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.kernels.reuse_layout import TILE
from ostinato.quant.arithmetic import INT16_MAX, INT32_MAX, IntArray
from ostinato.quant.ops import QReuseCompiled
from ostinato.quant.stem_ops import QStem


def reach_of(op: QReuseCompiled | QStem) -> int:
    """The largest |offset + Σ rows|, over all ids, all channels and all subsets of the rows: every partial sum's bound.

    Raises:
        QuantizationError: int32 would not hold it either.
    """
    table, offset = op.table.astype(np.int64), op.offset.astype(np.int64)
    high = offset + np.maximum(table.max(axis=1), 0).sum(axis=0)
    low = offset + np.minimum(table.min(axis=1), 0).sum(axis=0)
    reach = int(max(high.max(), -1 - low.min()))
    if reach > INT32_MAX:
        raise QuantizationError(
            f"Layer {op.name}: a sum of {op.rows} table rows could reach {reach}, beyond int32; calibrate it again."
        )
    return reach


def is_wide(op: QReuseCompiled | QStem) -> bool:
    """Whether sums need int32, for which there is a slower kernel."""
    return reach_of(op) > INT16_MAX


def wide_note(op: QReuseCompiled | QStem) -> str:
    """For `Binding.note`."""
    return f"int32 sums, several times slower: a sum of {op.rows} table rows could reach {reach_of(op):,}, beyond int16"


def wide_offset(op: QReuseCompiled | QStem) -> IntArray:
    """(tiles · 16,) int32, empty (a null pointer) where int16 sums are proven."""
    if not is_wide(op):
        return np.zeros(0, np.int32)
    return np.pad(op.offset.astype(np.int32), (0, -len(op.offset) % TILE))
