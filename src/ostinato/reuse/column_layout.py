"""The layout of vectors that lie in im2col's rows, which need not outlive their clustering."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.layout import Added, Layout, add_rows, image_parts
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.views import col2im, unfold, whole_slices


@dataclass(frozen=True)
class ColumnLayout(Layout):
    """Vectors of the slices of im2col, made from images (B, C, H, W) and dropped once centroids are formed.

    Attributes:
        geometry: of the convolution.
        size: (height, width) of the input.
        order: of the columns.
        length: L; a ragged last slice is filled up with zeros.
    """

    geometry: ConvGeometry
    size: tuple[int, int]
    order: str
    length: int

    @classmethod
    def of(cls, geometry: ConvGeometry, pattern: Pattern, batch: int, size: tuple[int, int]) -> ColumnLayout:
        """For `batch` input images of `size` before padding."""
        rows, cols = geometry.output_size(*size)
        return cls(batch, rows * cols, pattern.slices(geometry), geometry, size, pattern.order, pattern.length)

    def table(self, x: Tensor) -> Tensor:
        """(T, L): im2col's rows, slice by slice."""
        columns = whole_slices(unfold(x, self.geometry, self.order), self.length, 2)
        return columns.reshape(self.rows, self.length)

    def input_gradient(self, room: Tensor, values: Tensor, index: Tensor, added: Added | None) -> Tensor:
        """As in `Layout`: im2col's gradient is never there as a whole."""
        vectors = index.view(self.slices, self.panels, self.units)
        rows = self.units * self.slices  # of an image
        limit = index.numel() * self.length // (2 if accelerated(values) else 4)
        for part in image_parts(self.panels, rows * self.length, limit):
            table = values.index_select(0, vectors[:, part].permute(1, 2, 0).reshape(-1))
            add_rows(table, part.start * rows, added)
            columns = table.view(part.stop - part.start, self.units, -1)[:, :, : self.geometry.K]
            room[part] = col2im(columns.contiguous(), self.geometry, self.order, self.size)
            del table, columns
        return room
