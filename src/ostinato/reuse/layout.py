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
from torch.nn import functional as F

from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.views import pad_pixels

_HELD = 1 << 15  # numbers of the table's gradient held at a time, or a quarter of all if that is more

Added = tuple[Tensor, Tensor]
"""Rows (A,) of a table, and what is added to their gradients (A, D)."""


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
        """Hash vectors (G, D, P) or thresholds (G, P) by block: (blocks, E, D, P) or (blocks, E, P).

        E is how many different ones the vectors meet that are the same block of the table; slice s uses s mod G.
        """
        groups = len(parameter)
        return parameter.repeat(self.slices // groups, *(1 for _ in parameter.shape[1:])).unsqueeze(1)

    def spread(self, values: Tensor) -> Tensor:
        """(blocks, E, places) of the table to (S, N) of the vectors."""
        return values.reshape(self.slices, -1)

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


@dataclass(frozen=True)
class PixelLayout(Layout):
    """Vectors of pixel-aligned slices: places are the pixels of the padded input, blocks are channel blocks.

    Attributes:
        geometry: of the convolution.
        size: (height, width) of the padded input.
        channel_blocks: C/L.
        rows_first: whether kernel positions run as kh.kw rather than kw.kh.
        shared: whether all kernel positions have the same hash.
    """

    geometry: ConvGeometry
    size: tuple[int, int]
    channel_blocks: int
    rows_first: bool
    shared: bool

    @classmethod
    def of(cls, geometry: ConvGeometry, pattern: Pattern, batch: int, size: tuple[int, int]) -> PixelLayout:
        """For `batch` input images of `size` before padding; `pattern` must be `pixel_aligned`."""
        rows, cols = geometry.output_size(*size)
        padded = (size[0] + 2 * geometry.padding[0], size[1] + 2 * geometry.padding[1])
        return cls(
            batch, rows * cols, pattern.slices(geometry), geometry, padded, geometry.in_channels // pattern.length,
            pattern.order == "kh.kw.c", pattern.sharing != "slice",
        )  # fmt: skip

    @property
    def blocks(self) -> int:
        """C/L."""
        return self.channel_blocks

    @property
    def rows(self) -> int:
        """T."""
        return self.panels * self.size[0] * self.size[1] * self.channel_blocks

    @property
    def _kernel(self) -> tuple[int, int]:
        """Kernel positions along the outer and the inner axis of the order."""
        kh, kw = self.geometry.kernel_size
        return (kh, kw) if self.rows_first else (kw, kh)

    def _steps(self, row: int, col: int) -> tuple[int, int]:
        """What a step of the outer and of the inner kernel axis is in storage, given the steps of pixels."""
        vertical, horizontal = self.geometry.dilation[0] * row, self.geometry.dilation[1] * col
        return (vertical, horizontal) if self.rows_first else (horizontal, vertical)

    def _windows(self, image: Tensor) -> Tensor:
        """A view (outer, inner, blocks, B, OH, OW) of `image` (blocks, E, B, height, width): what each vector sees."""
        block, position, batch, row, col = image.stride()
        outer, inner = self._steps(row, col)
        if image.shape[1] > 1:
            outer, inner = outer + self._kernel[1] * position, inner + position
        sh, sw = self.geometry.stride
        shape = *self._kernel, len(image), image.shape[2], *self._outputs[1:]
        return image.as_strided(shape, (outer, inner, block, batch, sh * row, sw * col))

    @property
    def _outputs(self) -> tuple[int, int, int]:
        (ph, pw), (height, width) = self.geometry.padding, self.size
        return self.panels, *self.geometry.output_size(height - 2 * ph, width - 2 * pw)

    def _base(self, device: torch.device) -> Tensor:
        (height, width), (sh, sw), (batch, oh, ow) = self.size, self.geometry.stride, self._outputs
        step = [self.blocks * v for v in (height * width, sh * width, sw)]
        dtype = small_ints(self.rows)
        first, second, third = (
            torch.arange(0, n * s, s, dtype=dtype, device=device) for n, s in zip((batch, oh, ow), step, strict=True)
        )
        return (first[:, None, None] + second[:, None] + third).reshape(-1)

    def _offset(self, device: torch.device) -> Tensor:
        outer, inner = self._steps(self.size[1] * self.blocks, self.blocks)
        dtype = small_ints(self.rows)
        first, second = (
            torch.arange(n, dtype=dtype, device=device) * step
            for n, step in zip(self._kernel, (outer, inner), strict=True)
        )
        block = torch.arange(self.blocks, dtype=dtype, device=device)
        return (first[:, None, None] + second[:, None] + block).reshape(-1)

    def hash_matrices(self, parameter: Tensor) -> Tensor:
        """As in `Layout`; E is the number of kernel positions, or 1 if they share their hash."""
        if self.shared:
            return parameter.expand(self.blocks, *parameter.shape[1:]).unsqueeze(1)
        return parameter.view(-1, self.blocks, *parameter.shape[1:]).transpose(0, 1)

    def spread(self, values: Tensor) -> Tensor:
        """(blocks, E, places) of the table to (S, N) of the vectors."""
        image = values.view(*values.shape[:2], self.panels, *self.size)
        return self._windows(image).reshape(self.slices, -1)

    def table(self, x: Tensor) -> Tensor:
        """(T, D) of images (B, C, H, W): their pixels, padded."""
        return pad_pixels(x, self.geometry).reshape(self.rows, -1)

    def input_gradient(self, room: Tensor, values: Tensor, index: Tensor, added: Added | None) -> Tensor:
        """As in `Layout`: a bag of KH·KW rows per table row, where a window that is not there gives the zero row."""
        (ph, pw), (height, width), taps = self.geometry.padding, self.size, self._kernel[0] * self._kernel[1]
        vectors = index.view(*self._kernel, self.blocks, *self._outputs)
        rows = height * width * self.blocks  # of an image
        for part in image_parts(self.panels, rows * (taps + values.shape[1])):
            # Kernel positions innermost, as bags want them; the view of windows has them in second place.
            shape = part.stop - part.start, height, width, self.blocks, taps
            bags = torch.full(shape, len(values) - 1, dtype=index.dtype, device=index.device)
            self._windows(bags.permute(3, 4, 0, 1, 2)).copy_(vectors[:, :, :, part])
            table = F.embedding_bag(bags.view(-1, taps), values, mode="sum")
            del bags
            add_rows(table, part.start * rows, added)
            pixels = table.view(*shape[:3], -1)[:, ph : height - ph, pw : width - pw]
            room[part] = pixels.permute(0, 3, 1, 2)
            del table, pixels
        return room


def image_parts(images: int, each: int) -> Iterator[slice]:
    """As many images at a time as may be held, if one has `each` numbers."""
    step = max(1, max(_HELD, images * each // 4) // each)
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


def pixel_aligned(geometry: ConvGeometry, pattern: Pattern) -> bool:
    """Whether slices are channel blocks of one pixel, and hashes such that `PixelLayout` can find ids by pixel."""
    return (
        pattern.direction == "vertical"
        and pattern.block_rows == 1
        and pattern.order in ("kh.kw.c", "kw.kh.c")
        and geometry.in_channels % pattern.length == 0
        and (pattern.clustering == "lsh" or (pattern.clustering == "tree" and pattern.sharing != "slice"))
    )
