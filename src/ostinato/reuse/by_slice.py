"""Products of a few vectors with the matrices of their slices, in one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BySlice:
    """Vectors of some slices, put into bins of equally many places, some of them empty; a bin is of one slice.

    A slice has as many bins as its vectors need, so that a slice with many does not make all others wide.

    Attributes:
        places: (A,) where each vector stands among bins·width.
        vectors: (bins·width,) which vector stands in each place; 0 in empty ones.
        slices: (bins,) the slice of each bin, ascending.
        width: places of a bin, at least 1.
    """

    places: Tensor
    vectors: Tensor
    slices: Tensor
    width: int

    @classmethod
    def of(cls, slice_numbers: Tensor, slices: int) -> BySlice:
        """For vectors of `slice_numbers` (A,), ascending."""
        counts = torch.bincount(slice_numbers, minlength=slices)
        width = max(1, -(-len(slice_numbers) // slices))
        bins = (counts + (width - 1)) // width
        first = (torch.cumsum(bins, 0) - bins) * width - (torch.cumsum(counts, 0) - counts)
        numbers = torch.arange(slices, device=counts.device).repeat_interleave(bins)
        order = torch.arange(len(slice_numbers), device=counts.device)
        places = order + first.index_select(0, slice_numbers)
        return cls(places, order.new_zeros(len(numbers) * width).index_copy_(0, places, order), numbers, width)

    @classmethod
    def even(cls, slice_numbers: Tensor, slices: int) -> BySlice:
        """The same where each slice has equally many vectors, which then are a bin."""
        order = torch.arange(len(slice_numbers), device=slice_numbers.device)
        return cls(order, order, order[:slices], len(order) // slices)

    @property
    def full(self) -> bool:
        """Whether no place is empty: vectors then stand where they are."""
        return len(self.places) == len(self.vectors)

    def put(self, values: Tensor) -> Tensor:
        """(A, D) to (bins, width, D), zeros in empty places."""
        if self.full:
            return values.view(len(self.slices), self.width, -1)
        placed = values.new_zeros(len(self.vectors), values.shape[1]).index_copy_(0, self.places, values)
        return placed.view(len(self.slices), self.width, -1)

    def repeat(self, values: Tensor) -> Tensor:
        """(A, D) to (bins, width, D), any of the values in empty places; A must not be 0."""
        if self.full:
            return values.view(len(self.slices), self.width, -1)
        return values.index_select(0, self.vectors).view(len(self.slices), self.width, -1)

    def take(self, placed: Tensor) -> Tensor:
        """Inverse of `put`."""
        if self.full:
            return placed.reshape(len(self.vectors), -1)
        return placed.reshape(len(self.vectors), -1).index_select(0, self.places)
