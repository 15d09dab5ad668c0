"""The layout of vectors that are channel blocks of one input pixel: ids and gradients without im2col."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.layout import Added, Layout, Part, add_rows, filled_places, image_parts, small_ints
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.views import pad_pixels


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
        return parameter.reshape(-1, self.blocks, *parameter.shape[1:]).transpose(0, 1)

    def parts(self, table: Tensor, hashes: int, limit: int, look: bool) -> Iterator[Part]:
        """As in `Layout`; under hashes of kernel positions, those in a row of the kernel at a time."""
        if self.shared:
            yield from super().parts(table, hashes, limit, look)
            return
        image = table.view(self.panels, *self.size, self.blocks, table.shape[1])
        # Only the rows that the windows reach, which then must be neighbours: if they are few, that is worth a copy.
        image = image.permute(3, 4, 1, 0, 2).contiguous() if self._narrow else image.permute(3, 4, 0, 1, 2)
        filled = filled_places(image) if look else None
        height, width = self.geometry.kernel_size
        for tap in range(height):
            top = tap * self.geometry.dilation[0]
            rows = slice(top, top + self._reach) if self._narrow else slice(None)
            values = image[:, :, rows].flatten(2)
            different = slice(tap * width, (tap + 1) * width) if self.rows_first else slice(tap, None, height)
            step = max(1, limit // (hashes * width * values.shape[2]))
            for first in range(0, self.blocks, step):
                blocks = slice(first, first + step)
                there = None if filled is None else filled[blocks, rows].flatten(1)
                yield Part(values[blocks], blocks, different, there)

    @property
    def _reach(self) -> int:
        """Rows from the first that a kernel position meets to the last."""
        return (self._outputs[1] - 1) * self.geometry.stride[0] + 1

    @property
    def _narrow(self) -> bool:
        return 5 * self._reach <= 4 * self.size[0]

    def place(self, vectors: Tensor, part: Part, values: Tensor) -> None:
        """As in `Layout`."""
        if self.shared:
            windows = self._windows(values.view(*values.shape[:2], self.panels, *self.size))
            vectors.view(*windows.shape[:2], self.blocks, *self._outputs)[:, :, part.blocks] = windows
            return
        first = 0
        if self._narrow:
            block, tap, row, each, col = values.view(*values.shape[:2], self._reach, self.panels, self.size[1]).stride()
        else:
            block, tap, each, row, col = values.view(*values.shape[:2], self.panels, *self.size).stride()
            start: int = part.different.start
            first = (
                (start // self.geometry.kernel_size[1] if self.rows_first else start) * self.geometry.dilation[0] * row
            )
        (sh, sw), step = self.geometry.stride, self.geometry.dilation[1] * col
        shape, strides = (values.shape[1], len(values), *self._outputs), (tap + step, block, each, sh * row, sw * col)
        windows = values.as_strided(shape, strides, values.storage_offset() + first)
        vectors.view(-1, self.blocks, *self._outputs)[part.different, part.blocks] = windows

    def table(self, x: Tensor) -> Tensor:
        """(T, D) of images (B, C, H, W): their pixels, padded."""
        return pad_pixels(x, self.geometry).reshape(self.rows, -1)

    def input_gradient(self, room: Tensor, values: Tensor, index: Tensor, added: Added | None) -> Tensor:
        """As in `Layout`: a bag of KH·KW rows per table row, where a window that is not there gives the zero row."""
        (ph, pw), (height, width), taps = self.geometry.padding, self.size, self._kernel[0] * self._kernel[1]
        vectors = index.view(*self._kernel, self.blocks, *self._outputs)
        rows = height * width * self.blocks  # of an image
        limit = index.numel() * values.shape[1] // (2 if accelerated(values) else 8)
        for part in image_parts(self.panels, rows * (taps + values.shape[1]), limit):
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


def pixel_aligned(geometry: ConvGeometry, pattern: Pattern) -> bool:
    """Whether slices are channel blocks of one pixel, and hashes such that `PixelLayout` can find ids by pixel."""
    return (
        pattern.direction == "vertical"
        and pattern.block_rows == 1
        and pattern.order in ("kh.kw.c", "kw.kh.c")
        and geometry.in_channels % pattern.length == 0
        and (pattern.clustering == "lsh" or (pattern.clustering == "tree" and pattern.sharing != "slice"))
    )
