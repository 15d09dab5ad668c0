"""Cutting X into neuron blocks, and putting it together again (GR §3.3, §3.4).

Blocks are handed on as a tensor (panels, units, S·b·L), as if they were the slices of ordinary rows. A vertical block
is b rows of a slice: units are the block rows, and vectors of one slice are compared. A horizontal block is L columns
of a panel of l rows: units are its blocks of columns, S is 1, and vectors of one panel are compared.

What fills no block is not reused: the last N mod b rows (vertical), the last K mod L columns (horizontal). A slice with
fewer columns, or a panel with fewer rows, has fewer in all its blocks and is filled up with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.order import ROW_AXES, parse_order, permutation
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.views import whole_slices


@dataclass(frozen=True)
class Rows:
    """The order of X's rows under a pattern.

    Attributes:
        shape: (B, OH·OW).
        index: (rows of a group,) where each row of the new order stands; None if it stays.
        grouped: (images, OH·OW) where blocks end with the image, else (1, B·OH·OW).
    """

    shape: tuple[int, int]
    grouped: tuple[int, int]
    index: Tensor | None

    @classmethod
    def of(cls, pattern: Pattern, batch: int, output: tuple[int, int], device: torch.device) -> Rows:
        """For outputs of `batch` images of `output` (OH, OW) pixels."""
        shape = batch, output[0] * output[1]
        images = 1 if pattern.rows_per_image else batch
        grouped = (batch // images, images * shape[1])
        axes = parse_order(pattern.row_order, ROW_AXES)
        if axes == parse_order("b.oh.ow", ROW_AXES) or not pattern.blocked:
            return cls(shape, grouped, None)
        index = permutation(axes, ROW_AXES, (images, *output))
        return cls(shape, grouped, torch.tensor(index, device=device))

    def arrange(self, rows: Tensor) -> Tensor:
        """(B, OH·OW, D) to (groups, rows of a group, D) in the pattern's order."""
        rows = rows.reshape(*self.grouped, rows.shape[2])
        return rows if self.index is None else rows.index_select(1, self.index)

    def restore(self, rows: Tensor) -> Tensor:
        """Inverse of `arrange`."""
        if self.index is not None:
            rows = rows.index_select(1, torch.argsort(self.index))
        return rows.reshape(*self.shape, rows.shape[2])


def to_blocks(rows: Tensor, pattern: Pattern) -> Tensor:
    """(groups, P, K) arranged rows to neuron blocks (panels, units, S·b·L)."""
    groups, positions, columns = rows.shape
    b, length = pattern.block_rows, pattern.length
    if pattern.direction == "horizontal":
        panels, units = -(-positions // b), columns // length
        whole = F.pad(rows[..., : units * length], (0, 0, 0, panels * b - positions))
        whole = whole.reshape(groups * panels, b, units, length)
        return whole.transpose(1, 2).reshape(groups * panels, units, b * length)
    sliced = whole_slices(rows, length, 2)
    if b == 1:
        return sliced
    units = positions // b
    blocks = sliced[:, : units * b].reshape(groups, units, b, -1, length)
    return blocks.transpose(2, 3).reshape(groups, units, -1)


def from_blocks(blocks: Tensor, rows: Tensor, pattern: Pattern) -> Tensor:
    """Inverse of `to_blocks`: (groups, P, K), where what fills no block is taken from `rows`."""
    groups, positions, columns = rows.shape
    b, length = pattern.block_rows, pattern.length
    if pattern.direction == "horizontal":
        units = columns // length
        whole = blocks.reshape(-1, units, b, length).transpose(1, 2).reshape(groups, -1, units * length)
        return torch.cat([whole[:, :positions], rows[..., units * length :]], 2)
    units = positions // b
    sliced = blocks.reshape(groups, units, -1, b, length).transpose(2, 3).reshape(groups, units * b, -1)
    return torch.cat([sliced[..., :columns], rows[:, units * b :]], 1)
