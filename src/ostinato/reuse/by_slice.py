"""Products of a few vectors with a matrix for each slice, all slices in one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BySlice:
    """Vectors of some slices, put into equally many places for each slice, some of them empty.

    Attributes:
        places: (A,) where each vector stands among S·width.
        vectors: (S·width,) which vector stands in each place; 0 in empty ones.
        slices: S.
        width: the most vectors of one slice, at least 1.
    """

    places: Tensor
    vectors: Tensor
    slices: int
    width: int

    @classmethod
    def of(cls, slice_numbers: Tensor, slices: int) -> BySlice:
        """For vectors of `slice_numbers` (A,), ascending."""
        counts = torch.bincount(slice_numbers, minlength=slices)
        width = max(1, int(counts.max()))
        first = torch.arange(slices, device=counts.device) * width - (torch.cumsum(counts, 0) - counts)
        order = torch.arange(len(slice_numbers), device=counts.device)
        places = order + first.index_select(0, slice_numbers)
        return cls(places, order.new_zeros(slices * width).index_copy_(0, places, order), slices, width)

    @classmethod
    def even(cls, vectors: int, slices: int, device: torch.device) -> BySlice:
        """For equally many `vectors` of each slice, ascending by slice."""
        order = torch.arange(vectors, device=device)
        return cls(order, order, slices, vectors // slices)

    @property
    def full(self) -> bool:
        """Whether no place is empty: vectors then stand where they are."""
        return len(self.places) == self.slices * self.width

    def put(self, values: Tensor) -> Tensor:
        """(A, D) to (S, width, D), zeros in empty places."""
        if self.full:
            return values.view(self.slices, self.width, -1)
        placed = values.new_zeros(self.slices * self.width, values.shape[1]).index_copy_(0, self.places, values)
        return placed.view(self.slices, self.width, -1)

    def repeat(self, values: Tensor) -> Tensor:
        """(A, D) to (S, width, D), any of the values in empty places; A must not be 0."""
        if self.full:
            return values.view(self.slices, self.width, -1)
        return values.index_select(0, self.vectors).view(self.slices, self.width, -1)

    def take(self, placed: Tensor) -> Tensor:
        """Inverse of `put`."""
        if self.full:
            return placed.reshape(self.slices * self.width, -1)
        return placed.reshape(self.slices * self.width, -1).index_select(0, self.places)
