"""How many clusters a slice may have in image scope: what calibration images need, within a limit of SRAM."""

from __future__ import annotations

import math
from collections.abc import Callable

from ostinato.quant.ops import ConvDims
from ostinato.reuse.pattern import Pattern

MOST_SLOTS = 255
"""A slot is a byte, and one value means none."""
FEW = 16
"""So many slots are always there."""
HEADROOM = 1.25
"""Images may have this many times more clusters in a slice than calibration's had."""
SRAM_LIMIT = 1.3
"""Of the conventional layer's, if calibration's clusters fit into that."""
SRAM_MOST = 2.0
"""Of the conventional layer's; beyond it, vectors that find no slot are computed by themselves."""


def choose_slots(pattern: Pattern, dims: ConvDims, peak: int) -> int:
    """The number of slots of every slice.

    As many as ids or blocks, where these are few; otherwise `HEADROOM` times calibration's `peak`, or less down to it
    to stay within `SRAM_LIMIT`, or less than it to stay within `SRAM_MOST`.
    """
    blocks = dims.positions // pattern.block_rows
    most = min(pattern.ids, max(blocks, FEW))  # an id is its own slot where there are few
    return _within(
        lambda slots: sram_bytes(pattern, dims, slots), dims, pattern.ids,
        min(most, max(FEW, peak)), min(most, max(FEW, math.ceil(HEADROOM * peak))), min(most, FEW),
    )  # fmt: skip


def choose_panel_slots(pattern: Pattern, dims: ConvDims, peak: int) -> int:
    """The number of slots of every panel of a horizontal layer, by the same rule."""
    units = dims.columns // pattern.length
    most = min(pattern.ids, max(units, FEW))
    return _within(
        lambda slots: panel_sram_bytes(pattern, dims, slots), dims, pattern.ids,
        min(most, max(FEW, peak)), min(most, max(FEW, math.ceil(HEADROOM * peak))), min(most, FEW),
    )  # fmt: skip


def _within(
    need: Callable[[int], int], dims: ConvDims, ids: int, needed: int, wanted: int, fewest: int
) -> int:
    """`wanted` slots, or fewer: `needed` at least within `SRAM_LIMIT`, `fewest` at least within `SRAM_MOST`."""
    conventional = _conventional_bytes(dims)
    for limit, least, slots in ((SRAM_LIMIT, needed, wanted), (SRAM_MOST, fewest, needed)):
        slots = min(slots, MOST_SLOTS + (slots == ids))
        while slots > least and need(slots) > limit * conventional:
            slots -= 1
        if need(slots) <= limit * conventional:
            break
    return slots


def panel_sram_bytes(pattern: Pattern, dims: ConvDims, slots: int) -> int:
    """About what a horizontal layer needs: tensors, a padded copy, a panel's units, sums and centroids."""
    rows, units = pattern.block_rows, dims.columns // pattern.length
    values = rows * pattern.length
    sums = slots * (values * (2 if units <= 256 else 6) + 9 + 2 * rows * (pattern.length + pattern.length % 2))
    return _tensors(dims) + _padded(dims) + 3 * units + sums + 16 * values + 20 * rows


def _padded(dims: ConvDims) -> int:
    """The copy of the input with its padding."""
    (height, width, depth), (ph, pw) = dims.input, dims.padding
    return (height + 2 * ph) * (width + 2 * pw) * depth if ph or pw else 0


def _conventional_bytes(dims: ConvDims) -> int:
    """Input, output, and two windows of int16."""
    return _tensors(dims) + 4 * dims.columns


def _tensors(dims: ConvDims) -> int:
    return math.prod(dims.input) + math.prod(dims.output)


def sram_bytes(pattern: Pattern, dims: ConvDims, slots: int) -> int:
    """About what the layer needs with so many slots: tensors, a padded copy, ids, sums, tables, accumulators."""
    b, channels = pattern.block_rows, dims.output[2]
    blocks, slices, row = dims.positions // b, -(-dims.columns // pattern.length), 2 * (-(-channels // 16) * 16)
    lanes = b * 4 * -(-pattern.length // 4)
    sums = slots * (lanes * (2 if blocks <= 256 else 6) + 9)
    each = slots * b * row + blocks
    accumulators = (dims.positions - dims.positions * channels // row) * row
    return _tensors(dims) + _padded(dims) + sums + min(slices * each, each + accumulators)
