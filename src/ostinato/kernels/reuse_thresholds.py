"""Trees whose planes have one entry: a node compares one coordinate with a threshold, and nothing is multiplied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, IntArray
from ostinato.quant.ops import QHash, QReuseCompiled

_LONGEST = 128
"""A node's coordinate is a byte, and a slice may have some lanes in front of it."""


def compares_coordinates(op: QReuseCompiled) -> bool:
    """Whether the layer is hashed by a tree of which every plane has one entry at most."""
    most = np.count_nonzero(op.hash.vectors, axis=2).max()
    return bool(op.hash.tree and most <= 1 and op.length <= _LONGEST)


def hash_form(op: QReuseCompiled) -> int:
    """`ost_reuse_hash.tree`."""
    return 2 if compares_coordinates(op) else int(op.hash.tree)


def with_thresholds(op: QReuseCompiled) -> QReuseCompiled:
    """The same layer with planes v = unit vectors and offsets −t, t from −128 to 127: a bit is [ x_j > t ].

    v·x + o > 0 is x > ⌊−o/v⌋ for a positive v. For a negative one it is the contrary of x > ⌈o/|v|⌉ − 1, and the
    node's two children change places, with the table rows of all ids below them. So do those of a node that always
    answers 1; one that never does compares with 127.

    Args:
        op: a layer for which `compares_coordinates` holds.
    """
    vectors, offset = op.hash.vectors.astype(np.int64), op.hash.offset.astype(np.int64)
    if not op.pixel_aligned and op.dims.columns % op.length:
        vectors[-1, :, op.dims.columns % op.length :] = 0  # beyond a ragged last slice
    coordinate = np.abs(vectors).argmax(axis=2)  # (G, P)
    v = np.take_along_axis(vectors, coordinate[..., None], axis=2)[..., 0]
    size = np.maximum(np.abs(v), 1)
    threshold = np.where(v > 0, -offset // size, -(-offset // size) - 1)
    contrary = v < 0
    constant, answer = v == 0, offset > 0
    below, above = threshold < INT8_MIN, threshold >= INT8_MAX  # x > t always, never
    threshold = np.where(constant | below | above, INT8_MAX, threshold)
    contrary = np.where(constant, answer, contrary ^ (below & ~constant))
    nodes, leaves = _order(contrary)
    coordinate, threshold = np.take_along_axis(coordinate, nodes, 1), np.take_along_axis(threshold, nodes, 1)
    planes = (np.arange(vectors.shape[2]) == coordinate[..., None]).astype(np.int8)
    group = np.arange(op.rows) % len(leaves)  # of a row: its block, or its slice
    table = np.take_along_axis(op.table, leaves[group][..., None], axis=1)
    hashing = QHash(vectors=planes, offset=(-threshold).astype(np.int32), tree=True)
    return replace(op, hash=hashing, table=table)


def _order(contrary: IntArray) -> tuple[IntArray, IntArray]:
    """Which node, and which id, of the old tree is where in the new one: (G, P) and (G, P + 1)."""
    groups, planes = contrary.shape
    here: IntArray = np.zeros((groups, 1), np.int64)  # of one level, from the root down, in heap order
    levels: list[IntArray] = []
    while here.min() < planes:
        levels.append(here)
        first = np.take_along_axis(contrary, here, 1).astype(np.int64)  # which child comes first
        here = np.stack([2 * here + 1 + first, 2 * here + 2 - first], axis=2).reshape(groups, -1)
    return np.concatenate(levels, axis=1), here - planes


def pack_nodes(hashing: QHash, leading: tuple[int, ...]) -> dict[str, IntArray]:
    """`hash_vectors` as ost_reuse_thresholds.h lays them out, of a hash by `with_thresholds`.

    Args:
        hashing: G groups.
        leading: bytes in front of each group's vectors.
    """
    coordinate = hashing.vectors.argmax(axis=2) + np.array(leading)[:, None]
    nodes = (-hashing.offset.astype(np.int64) << 8) + coordinate
    return {"hash_offsets": np.zeros(1, np.int32), "hash_vectors": nodes.astype(np.int16)}
