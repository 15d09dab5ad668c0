"""How many clusters a slice may have in image scope: what calibration images need, within a limit of SRAM."""

from __future__ import annotations

import math

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
    needed = min(most, max(FEW, peak))
    wanted = min(most, max(FEW, math.ceil(HEADROOM * peak)))
    conventional = _conventional_bytes(dims)
    for limit, least, slots in ((SRAM_LIMIT, needed, wanted), (SRAM_MOST, FEW, needed)):
        slots = min(slots, MOST_SLOTS + (slots == pattern.ids))
        while slots > least and sram_bytes(pattern, dims, slots) > limit * conventional:
            slots -= 1
        if sram_bytes(pattern, dims, slots) <= limit * conventional:
            break
    return slots


def _conventional_bytes(dims: ConvDims) -> int:
    """Input, output, and two windows of int16."""
    return _tensors(dims) + 4 * dims.columns


def _tensors(dims: ConvDims) -> int:
    return math.prod(dims.input) + math.prod(dims.output)


def sram_bytes(pattern: Pattern, dims: ConvDims, slots: int) -> int:
    """About what the layer needs with so many slots: tensors, a padded copy, ids, sums, tables, accumulators."""
    b, channels = pattern.block_rows, dims.output[2]
    blocks, slices, row = dims.positions // b, -(-dims.columns // pattern.length), 2 * (-(-channels // 16) * 16)
    (height, width, depth), (ph, pw) = dims.input, dims.padding
    padded = (height + 2 * ph) * (width + 2 * pw) * depth if ph or pw else 0
    lanes = b * 4 * -(-pattern.length // 4)
    sums = slots * (lanes * (2 if blocks <= 256 else 6) + 9)
    each = slots * b * row + blocks
    accumulators = (dims.positions - dims.positions * channels // row) * row
    return _tensors(dims) + padded + sums + min(slices * each, each + accumulators)
