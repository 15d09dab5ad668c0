"""Where ids of compiled scope are shared by kernel positions, and so are found once: the map (ost_reuse.h)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ostinato.kernels.conventional import window_params
from ostinato.kernels.reuse_layout import padded_size
from ostinato.quant.ops import QHash, QReuseCompiled


@dataclass(frozen=True)
class IdMap:
    """A layer by the pixels of its map."""

    op: QReuseCompiled
    """The same sums over the map: pixel-aligned, as its dimensions are the map's and its hashes those of one pixel."""
    pixel_step: int
    """Elements of the layer's input between neighbouring pixels of the map."""
    row_step: int
    padded_bytes: int
    """Of the copy with padding that pixels are read from; 0: they are read from the input."""

    def params(self) -> dict[str, Any]:
        """The fields of `ost_reuse_map`."""
        return {
            "window": window_params(self.op.dims),
            "pixel_step": self.pixel_step,
            "row_step": self.row_step,
            "padded": int(self.padded_bytes > 0),
        }


def map_of(op: QReuseCompiled) -> IdMap | None:
    """The map of a layer whose kernel positions share hashes; None: every output has ids of its own.

    In order kh.kw.c, slices are channel blocks of an input pixel if L divides C, and otherwise parts of a kernel row if
    L divides KW·C: then the map's pixels are the kernel rows that windows of one input row have, KW·C channels each,
    and its kernel is KH×1. A layer may repeat its hashes by that many slices (sharing by block or layer).
    """
    (height, width, channels), (kh, kw) = op.dims.input, op.dims.kernel
    if op.pixel_aligned:
        return IdMap(op, channels, width * channels, 0)
    if not np.array_equal(op.columns, _channels_innermost(op)):
        return None
    if channels % op.length == 0 and _repeats(op.hash, channels // op.length):
        blocks = replace(op, pixel_aligned=True, hash=_first(op.hash, channels // op.length))
        return IdMap(blocks, channels, width * channels, 0)
    row = kw * channels
    if kh == 1 or op.dims.dilation[1] != 1 or row % op.length or not _repeats(op.hash, row // op.length):
        return None
    tall, wide, _ = padded_size(op.dims)
    dims = replace(
        op.dims, input=(tall, op.dims.output[1], row), kernel=(kh, 1), stride=(op.dims.stride[0], 1),
        padding=(0, 0), dilation=(op.dims.dilation[0], 1),
    )  # fmt: skip
    rows = replace(op, pixel_aligned=True, dims=dims, hash=_first(op.hash, row // op.length))
    copied = tall * wide * channels if (tall, wide) != (height, width) else 0
    return IdMap(rows, op.dims.stride[1] * channels, wide * channels, copied)


def existing_map(op: QReuseCompiled) -> IdMap:
    """`map_of` a layer that has one."""
    ids = map_of(op)
    assert ids is not None
    return ids


def _channels_innermost(op: QReuseCompiled) -> np.ndarray[Any, Any]:
    kh, kw, c = np.indices((*op.dims.kernel, op.dims.input[2])).reshape(3, -1)
    return np.stack([c, kh, kw], axis=1)


def _repeats(hashing: QHash, groups: int) -> bool:
    """Whether group g hashes as group g mod `groups` does."""
    index = np.arange(len(hashing.vectors)) % groups
    same = np.array_equal(hashing.vectors, hashing.vectors[index])
    return bool(same and np.array_equal(hashing.offset, hashing.offset[index]))


def _first(hashing: QHash, groups: int) -> QHash:
    return replace(hashing, vectors=hashing.vectors[:groups], offset=hashing.offset[:groups])
