"""How many clusters a slice may have in image scope: what calibration images need, within a limit of SRAM."""

from __future__ import annotations

import math
from collections.abc import Callable

from ostinato.quant.ops import ConvDims
from ostinato.reuse.pattern import Pattern

MOST_SLOTS = 255
"""A slot is a byte, and one value means none."""
FEW = 16
"""So many clusters have a slot, also in layers so small that `SRAM_LIMIT` would leave next to nothing for reuse."""
HEADROOM = 1.25
"""Images may have this many times more clusters in a slice than calibration's had."""
SRAM_LIMIT = 1.3
"""Of the conventional layer's; beyond it, vectors that find no slot are computed by themselves."""
_COMPACT_ROWS = 8
"""Of a compact panel, multiplied together at least, where slots are chosen."""
_ALIGNMENT, _COMPACT_ALIGNMENT = 160, 48
"""Of the parts of a scratch."""


def choose_slots(pattern: Pattern, dims: ConvDims, peak: int) -> int:
    """The number of slots of every slice.

    As many as ids or blocks, where these are few, or `HEADROOM` times calibration's `peak`; less to stay within
    `SRAM_LIMIT`, but not less than `FEW`: the compact kernel has room for these, but in the smallest of layers.
    """
    blocks, limit = dims.positions // pattern.block_rows, SRAM_LIMIT * _conventional_bytes(dims)
    slots = _within(lambda slots: sram_bytes(pattern, dims, slots), dims, pattern.ids, blocks, peak, FEW)
    if sram_bytes(pattern, dims, slots) <= limit or compact_sram_bytes(pattern, dims, 1) > limit:
        return slots
    fitting = _within(lambda slots: compact_sram_bytes(pattern, dims, slots), dims, pattern.ids, blocks, 0, 1)
    return min(slots, fitting)


def choose_panel_slots(pattern: Pattern, dims: ConvDims, peak: int) -> int:
    """The number of slots of every panel of a horizontal layer, by the same rule, but one at least.

    Where whole panels leave no room even for that, they are compact: not more than `FEW`, as many as then fit.
    """
    units = dims.columns // pattern.length
    slots = _within(lambda slots: panel_sram_bytes(pattern, dims, slots), dims, pattern.ids, units, peak, 1)
    if panel_sram_bytes(pattern, dims, slots) <= SRAM_LIMIT * _conventional_bytes(dims):
        return slots
    return _within(lambda slots: compact_panel_sram_bytes(pattern, dims, slots), dims, pattern.ids, units, 0, 1)


def _within(need: Callable[[int], int], dims: ConvDims, ids: int, units: int, peak: int, fewest: int) -> int:
    """The most slots that are wanted and whose need is within `SRAM_LIMIT`; `fewest` at least, of those wanted."""
    most = min(ids, max(units, FEW))  # an id is its own slot where there are few
    slots = min(most, max(FEW, math.ceil(HEADROOM * peak)))
    slots = min(slots, MOST_SLOTS + (slots == ids))
    while slots > fewest and need(slots) > SRAM_LIMIT * _conventional_bytes(dims):
        slots -= 1
    return slots


def panel_sram_bytes(pattern: Pattern, dims: ConvDims, slots: int) -> int:
    """What a horizontal layer needs at most: tensors, a panel's rows of the padded input, its units and centroids."""
    rows, units, looked_up = pattern.block_rows, dims.columns // pattern.length, _looked_up(pattern, slots)
    centroids = -(-slots * pattern.length // 2) * 4 * rows
    gathered = 16 * _lanes(rows * pattern.length)
    panel = 3 * units + 2 * slots + centroids + gathered + 24 * rows + looked_up
    return _tensors(dims) + _panel_rows(pattern, dims) + panel + _ALIGNMENT


def compact_panel_sram_bytes(pattern: Pattern, dims: ConvDims, slots: int) -> int:
    """The same of a compact panel, of which a few rows are multiplied at a time, and one unit is gathered."""
    units, rows = dims.columns // pattern.length, min(pattern.block_rows, _COMPACT_ROWS)
    centroids = -(-slots * pattern.length // 2) * 4 * rows
    panel = 3 * units + 2 * slots + centroids + _lanes(pattern.block_rows * pattern.length) + 29 * rows
    return _tensors(dims) + panel + _looked_up(pattern, slots) + _ALIGNMENT


def _panel_rows(pattern: Pattern, dims: ConvDims) -> int:
    """The rows of the padded input that a panel's windows reach: all, if the order of rows is not its own."""
    height, width = dims.output[:2]
    in_order = pattern.row_order == "b.oh.ow"
    rows = min(height, -(-(pattern.block_rows + width - 1) // width)) if in_order else height
    reached = (rows - 1) * dims.stride[0] + (dims.kernel[0] - 1) * dims.dilation[0] + 1
    padded = dims.input[0] + 2 * dims.padding[0]
    return _padded(dims) // padded * reached


def _looked_up(pattern: Pattern, slots: int) -> int:
    """Places at which ids are looked up, if not every one has a slot of its own."""
    return 0 if slots == pattern.ids <= 1 << 8 else 3 * max(2, 1 << (2 * slots - 1).bit_length()) + 32


def _lanes(values: int) -> int:
    """Values in whole words."""
    return 4 * -(-values // 4)


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
    """What the layer needs with so many slots, on the kernel's form that needs least, at most.

    Tensors, gathered vectors (with them no copy of the input with its padding is needed), ids of pixels where kernel
    positions share their hashes, places of ids, sums, rows by themselves, and then: ids, centroids and one tile's
    tables of all slices, or of one slice and accumulators.
    """
    b, slices = pattern.block_rows, -(-dims.columns // pattern.length)
    blocks, row, lanes = dims.positions // b, 2 * (-(-dims.output[2] // 16) * 16), b * _lanes(pattern.length)
    clusters = slots + 1
    run = 16 if b > 1 else min(dims.output[1], 128)
    sums = clusters * ((2 if blocks > 256 else 0) * lanes + 2) + 8 * lanes
    alone = lanes + 20 * 32 + 2 * max(run, 128) + _looked_up(pattern, slots)
    shared = 0 if pattern.sharing == "slice" else 2 * (_padded(dims) or math.prod(dims.input)) // pattern.length
    each = slots * b * 32 + blocks + clusters * (2 * lanes + 1) + 2
    accumulators = (dims.positions - dims.positions * dims.output[2] // row) * row
    least = min(slices * each, each + accumulators)
    return _tensors(dims) + run * lanes + shared + sums + alone + least + _ALIGNMENT


def compact_sram_bytes(pattern: Pattern, dims: ConvDims, slots: int) -> int:
    """The same on the compact kernel, at most: one block, one cluster's sums, one position's accumulators."""
    b, lanes = pattern.block_rows, _lanes(pattern.length)
    row = 2 * _lanes(dims.output[2])
    fixed = max(b * lanes, 5 * lanes) + 32 + 2 * slots + dims.positions // b + row + _looked_up(pattern, slots)
    return _tensors(dims) + fixed + _COMPACT_ALIGNMENT
