"""Pixels of images slice by slice, (S, B, P, L): every product over them is one batch of matrices, without copies."""

from __future__ import annotations

import torch
from torch import Tensor

Size = tuple[int, int]


def stacked(images: Tensor, length: int, padding: Size, dtype: torch.dtype) -> Tensor:
    """(S, B, P, L) of `images` (B, S·L, H, W) with zeros around each: one copy pads, permutes and converts."""
    batch, channels, height, width = images.shape
    (ph, pw), slices = padding, channels // length
    make = torch.zeros if ph or pw else torch.empty
    room = make(slices, batch, height + 2 * ph, width + 2 * pw, length, dtype=dtype, device=images.device)
    inside = room[:, :, ph : ph + height, pw : pw + width]
    inside.copy_(images.view(batch, slices, length, height, width).permute(1, 0, 3, 4, 2))
    return room.flatten(2, 3)


def unstacked(rows: Tensor, size: Size, padding: Size, dtype: torch.dtype, form: torch.memory_format) -> Tensor:
    """Images (B, S·L, H, W) of `rows` (S, B, P, L), inverse of `stacked`.

    Args:
        rows: of padded images.
        size: (height, width) of the padded images.
        padding: is left out.
        dtype: of the images.
        form: in which they are to lie in memory.
    """
    slices, batch, _, length = rows.shape
    (ph, pw), (height, width) = padding, (size[0] - 2 * padding[0], size[1] - 2 * padding[1])
    shape = batch, slices * length, height, width
    room = torch.empty(shape, dtype=dtype, device=rows.device, memory_format=form)
    inside = rows.view(slices, batch, *size, length)[:, :, ph : ph + height, pw : pw + width]
    room.view(batch, slices, length, height, width).copy_(inside.permute(1, 0, 4, 2, 3))
    return room


def form_of(x: Tensor) -> torch.memory_format:
    """Channels last if `x` are images that are so and not contiguous, too."""
    pixels_last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if pixels_last else torch.contiguous_format
