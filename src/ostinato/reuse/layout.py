"""Where a layer's vectors lie: each in a row of X of its own, or in input pixels that many rows of X repeat.

A table (T, D) holds the values. Its rows are (places, blocks): unit n of X has its vector of slice s in table row
base[n] + offset[s]. Where a slice is a channel block of one pixel, the table is the padded input with channels last,
and X, which repeats it KH·KW times, need not exist (TREC §3.1 without im2col). A layout also makes the table of an
input, and brings gradients of vectors back to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

_HELD = 1 << 15  # numbers of the table's gradient held at a time, or a small part of X's if that is more

Added = tuple[Tensor, Tensor]
"""Rows (A,) of a table, and what is added to their gradients (A, D)."""


@dataclass(frozen=True)
class Part:
    """Vectors of a table that are hashed in one step.

    Attributes:
        values: (blocks, D, places) of them.
        blocks: which ones of the table.
        different: which of the hashes that a block's vectors meet.
        filled: (blocks, places) which of them are not zero, if that was asked.
    """

    values: Tensor
    blocks: slice
    different: slice
    filled: Tensor | None = None


def small_ints(limit: int) -> torch.dtype:
    """int32 if it holds all numbers up to `limit`: half the memory traffic of int64."""
    return torch.int32 if limit < 1 << 31 else torch.int64


@dataclass(frozen=True)
class Layout:
    """Vectors of the slices of X, whose table is X itself: place n is unit n, and blocks are slices.

    Attributes:
        panels: tensors of units whose vectors may be kept apart: images, or panels of rows.
        units: units of a panel; N = panels·units.
        slices: S.
    """

    panels: int
    units: int
    slices: int

    @property
    def vectors_per_slice(self) -> int:
        """N."""
        return self.panels * self.units

    @property
    def vectors(self) -> int:
        """R = N·S."""
        return self.vectors_per_slice * self.slices

    @property
    def blocks(self) -> int:
        """Vectors at one place of the table."""
        return self.slices

    @property
    def rows(self) -> int:
        """T."""
        return self.vectors

    def base(self, device: torch.device) -> Tensor:
        """(N,) where units begin in the table; not to be changed."""
        return _positions(self, device)[0]

    def offset(self, device: torch.device) -> Tensor:
        """(S,) where a unit's slices are from there; not to be changed."""
        return _positions(self, device)[1]

    def _base(self, device: torch.device) -> Tensor:
        step = self.slices
        return torch.arange(0, self.vectors, step, dtype=small_ints(self.vectors), device=device)

    def _offset(self, device: torch.device) -> Tensor:
        return torch.arange(self.slices, dtype=small_ints(self.vectors), device=device)

    def hash_matrices(self, parameter: Tensor) -> Tensor:
        """Hash vectors (G, P, D) or thresholds (G, P) by block: (blocks, E, P, D) or (blocks, E, P).

        E is how many different ones the vectors meet that are the same block of the table; slice s uses s mod G.
        """
        groups = len(parameter)
        return parameter.repeat(self.slices // groups, *(1 for _ in parameter.shape[1:])).unsqueeze(1)

    def parts(self, table: Tensor, hashes: int, limit: int, look: bool) -> Iterator[Part]:
        """The vectors of a table in parts.

        Args:
            table: (T, D).
            hashes: H.
            limit: as many vectors at a time as have so many projections.
            look: whether to say which ones are zero.
        """
        values = table.view(-1, self.blocks, table.shape[1]).permute(1, 2, 0)
        filled = filled_places(values) if look else None
        step = max(1, limit // (hashes * values.shape[2]))
        for first in range(0, self.blocks, step):
            blocks = slice(first, first + step)
            yield Part(values[blocks], blocks, slice(0, 1), None if filled is None else filled[blocks])

    def place(self, vectors: Tensor, part: Part, values: Tensor) -> None:
        """Write `values` (blocks, E, places) of a part to where its vectors are in `vectors` (S, N)."""
        vectors[part.blocks] = values.squeeze(1)

    def table(self, x: Tensor) -> Tensor:
        """(T, D) of the input, here (panels, units, S·D)."""
        return x.reshape(self.rows, -1)

    def gather(self, values: Tensor, index: Tensor) -> Tensor:
        """(T, D) where each table row is its vector's row of `values` (C, D), as `index` (S, N) says."""
        return values.index_select(0, index.t().reshape(-1))

    def input_gradient(self, room: Tensor, values: Tensor, index: Tensor, added: Added | None) -> Tensor:
        """The input's gradient, where each table row has the sum of `values[index]` of its vectors.

        Args:
            room: to write to, as the input is.
            values: (C + 1, D), the last row zero.
            index: (S, N) rows of `values`.
            added: to rows of the table.
        """
        table = room.view(self.rows, -1)
        torch.index_select(values, 0, index.t().reshape(-1), out=table)
        if added is not None:
            table.index_add_(0, *added)
        return room


def filled_places(values: Tensor) -> Tensor:
    """(blocks, …) whether the vectors of `values` (blocks, D, …) are not zero, a block at a time."""
    ones, shape = values.new_ones(values.shape[1]), values.shape[2:]
    return torch.stack([(ones @ block.flatten(1).abs() > 0).view(shape) for block in values])


def image_parts(images: int, each: int, limit: int) -> Iterator[slice]:
    """As many images at a time as have `limit` numbers, or few if that is more, if one has `each`."""
    step = max(1, max(_HELD, limit) // each)
    return (slice(start, min(start + step, images)) for start in range(0, images, step))


def add_rows(table: Tensor, first: int, added: Added | None) -> None:
    """To part of a table (n, D), whose rows begin at `first`, what of `added` is its own."""
    if added is not None:
        here = ((added[0] >= first) & (added[0] < first + len(table))).nonzero().squeeze(1)
        table.index_add_(0, added[0].index_select(0, here) - first, added[1].index_select(0, here))


@lru_cache(maxsize=64)  # the same in every step of a training
def _positions(layout: Layout, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # such tensors could not be used in training later
        return layout._base(device), layout._offset(device)
