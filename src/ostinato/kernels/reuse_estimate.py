"""Cycles of a compiled-scope layer on a Cortex-M4 without wait states, estimated from its sizes.

The sums of the instructions in the kernels' loops, by the cycle model of targets/cycles/cortex_m4.py; tests hold them
within 8 % of a simulated run. They choose among kernels, and are recorded in the generated project.
"""

from __future__ import annotations

import numpy as np

from ostinato.kernels.reuse_layout import HASH_PART, TILE, paired_tiles, words
from ostinato.kernels.reuse_rows import RowOrder
from ostinato.kernels.reuse_thresholds import compares_coordinates
from ostinato.quant.ops import QReuseCompiled

_PRODUCTS = {1: 13, 2: 19, 3: 28, 4: 36}
"""Of one word of columns, two vectors and 1 to 4 hyperplanes."""
_TREE_LEVEL = {1: 9, 2: 13, 4: 29}
"""Of one vector, by its words."""


def cycles_by_addresses(op: QReuseCompiled, order: RowOrder) -> int:
    """On generated code, of a layer by its map (`map_of`): hashing, moving the map from tile to tile, adding rows."""
    tiles = op.dims.output[2] // TILE
    hashing = _vectors(op) * _hashing(op, 36 if op.hash.tree else 40)
    moving = (tiles - 1) * _map_entries(op) * 3.75
    adding = tiles * op.dims.positions * (25 * len(order.pairs) + 14 * len(order.single) + 46)
    return round(hashing + moving + adding)


def cycles_by_offsets(op: QReuseCompiled) -> int:
    """On the library's code (pixel-aligned, H from 3 to 8): hashing, copying each window's ids, adding rows."""
    paired = paired_tiles(op)
    id_bytes = 1 if op.hash.hashes <= 4 else 2
    longer = 0 if op.hash.hashes <= 5 else 1  # r1 advances with every pair
    window = 260 + op.dims.kernel[0] * (20 + 15 * -(-op.dims.kernel[1] * _blocks(op) * id_bytes // 16))
    rows = sum((27 if pairs else 30) + longer for pairs in paired) * op.rows / 2
    hashing = _vectors(op) * _hashing(op, 50 if op.hash.tree else 64)
    return round(hashing + op.dims.positions * (window + rows + 77 * len(paired) + 100))


def _hashing(op: QReuseCompiled, overhead: int) -> float:
    """Of one vector."""
    length, hashes = words(op.length), op.hash.hashes
    if compares_coordinates(op):
        return 7 * hashes + overhead / 4
    if op.hash.tree:
        return hashes * _TREE_LEVEL.get(length, 12 + 8 * length) + overhead
    parts = [len(part) for part in np.array_split(np.arange(hashes), -(-hashes // HASH_PART))]
    return sum(length * _PRODUCTS[part] + overhead + 4 * (part - 4) for part in parts) / 2


def _blocks(op: QReuseCompiled) -> int:
    return op.dims.input[2] // op.length


def _vectors(op: QReuseCompiled) -> int:
    return op.dims.input[0] * op.dims.input[1] * _blocks(op)


def _map_entries(op: QReuseCompiled) -> int:
    (height, width, _), (ph, pw) = op.dims.input, op.dims.padding
    return (height + 2 * ph) * (width + 2 * pw) * _blocks(op)
