"""Which channels should share a slice: those that go together (DESIGN §5.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.errors import PatternError


def channel_grouping(pixels: Tensor, weight: Tensor, length: int) -> Tensor:
    """A permutation (C,) int64 of the channels after which correlated ones lie in one block of `length`.

    Greedy: the channel that matters most opens a block; the one with the largest mean correlation to the block's
    channels, times its own importance, joins it until it is full. A channel's importance is its deviation times the
    norm of the weights that it meets: what it does to the outputs.

    Args:
        pixels: (n, C) samples of the map.
        weight: (M, C, KH, KW) of the layer that reads it.
        length: L, a divisor of C.

    Raises:
        PatternError: if L does not divide C.
    """
    channels = pixels.shape[1]
    if channels % length:
        raise PatternError(f"{channels} channels cannot be grouped into blocks of {length}")
    z = (pixels - pixels.mean(0)).double()
    importance = z.std(0, unbiased=False) * torch.linalg.vector_norm(weight.double(), dim=(0, 2, 3))
    unit = z / torch.linalg.vector_norm(z, dim=0).clamp_min(torch.finfo(z.dtype).tiny)
    affinity = (unit.t() @ unit).abs() * importance
    free = torch.ones(channels, dtype=torch.bool, device=pixels.device)
    order: list[int] = []
    while len(order) < channels:
        block = [int(importance.masked_fill(~free, -1.0).argmax())]
        free[block[0]] = False
        while len(block) < length:
            block.append(int(affinity[block].mean(0).masked_fill(~free, -1.0).argmax()))
            free[block[-1]] = False
        order += block
    return torch.tensor(order, device=pixels.device)
