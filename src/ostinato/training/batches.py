"""One epoch's order and augmentation, drawn in advance: batches are then pure indexing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ostinato.data import Augmentation, Split, to_input


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """Order (N,) int64, mirroring (N,) bool, and shifts dy, dx (N,) int64 of one epoch's images.

    A function of (seed, epoch) alone, whatever the device: to resume in the middle of an epoch it is drawn again,
    nothing is stored.
    """

    order: Tensor
    flip: Tensor
    dy: Tensor
    dx: Tensor

    @staticmethod
    def draw(
        n: int, augmentation: Augmentation, seed: int, epoch: int, device: torch.device | str = "cpu"
    ) -> EpochPlan:
        """The plan of `epoch` (from 1) for `n` images, which are on `device`."""
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(n)
        flip = rng.random(n) < (0.5 if augmentation.flip else 0.0)
        shifts = rng.integers(-augmentation.shift, augmentation.shift + 1, size=(2, n))
        drawn = (torch.from_numpy(array).to(device) for array in (order, flip, *shifts))
        return EpochPlan(*drawn)

    def batch(self, split: Split, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Model inputs (B, 3, H, W) float32, channels last in memory, and labels of places start ... stop - 1."""
        index = self.order[start:stop]
        images = transform(split.images, index, self.flip[start:stop], self.dy[start:stop], self.dx[start:stop])
        return to_input(images), split.labels[index]


def transform(images: Tensor, index: Tensor, flip: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    """Gather images[index] (B, 3, H, W), moved by (dy, dx) with reflected borders, then mirrored where `flip`.

    One gather does all of it. Its result is contiguous as (B, H, W, 3), which convolutions on a CPU prefer.
    """
    height, width = images.shape[2:]
    rows = _reflect(torch.arange(height, device=images.device) + dy[:, None], height)
    columns = torch.arange(width, device=images.device).expand(len(index), -1)
    columns = torch.where(flip[:, None], width - 1 - columns, columns)
    columns = _reflect(columns + dx[:, None], width)
    gathered = images[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return gathered.permute(0, 3, 1, 2)


def _reflect(position: Tensor, size: int) -> Tensor:
    """Positions beyond the border mirrored back into 0 ... size - 1, the border pixel not repeated."""
    position = position.abs()
    return torch.where(position >= size, 2 * (size - 1) - position, position)
