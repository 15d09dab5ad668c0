"""Rows of a compiled table in pairs: two int8 added in int8, wherever that is proven to be safe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, IntArray


@dataclass(frozen=True)
class RowOrder:
    """In which order generated code adds the rows of a table."""

    pairs: tuple[tuple[int, int], ...]
    """Added in int8 first: the sum of two entries never leaves it, whatever their ids and channel."""
    single: tuple[int, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """All rows."""
        return (*(row for pair in self.pairs for row in pair), *self.single)


def row_order(table: IntArray) -> RowOrder:
    """As many pairs as a greedy search finds in a table (R, 2^H, M); neighbours, where they all are safe.

    Rows differ in how large their entries are: a large one takes a small partner. Nothing is lost by the order, since
    no sum can wrap.
    """
    high, low = table.max(axis=1).astype(np.int64), table.min(axis=1).astype(np.int64)  # (R, M)
    safe = np.stack(
        [((h + high <= INT8_MAX) & (g + low >= INT8_MIN)).all(axis=1) for h, g in zip(high, low, strict=True)]
    )
    rows = len(table)
    neighbours = tuple(zip(range(0, rows - 1, 2), range(1, rows, 2), strict=True))
    if all(safe[pair] for pair in neighbours):
        return RowOrder(neighbours, (rows - 1,) if rows % 2 else ())
    np.fill_diagonal(safe, False)
    pairs, single = [], []
    free = np.ones(rows, bool)
    while free.any():
        choices = np.where(free, (safe & free).sum(axis=1), rows + 1)
        row = int(np.argmin(choices))  # whoever has the fewest partners chooses first
        free[row] = False
        partners = np.flatnonzero(safe[row] & free)
        if len(partners):
            partner = int(partners[np.argmin(choices[partners])])
            free[partner] = False
            pairs.append((row, partner))
        else:
            single.append(row)
    return RowOrder(tuple(sorted(pairs)), tuple(sorted(single)))


def row_lines(order: RowOrder) -> list[str]:
    """The rows as macros of ost_reuse_add_rows_asm.h, behind a `load_next r1` of the first one."""
    following = [*order.rows[1:], -1]
    lines = [f"    two_rows {even}, {odd}, {following[2 * n + 1]}" for n, (even, odd) in enumerate(order.pairs)]
    for n, row in enumerate(order.single):
        registers = "r1, r2" if n % 2 == 0 else "r2, r1"
        lines.append(f"    one_row {row}, {registers}, {following[2 * len(order.pairs) + n]}")
    return lines
