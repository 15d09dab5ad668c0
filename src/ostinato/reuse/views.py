"""Views of a convolution as a matrix product: X (im2col), its adjoint (col2im), W, and column numbering."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.order import COLUMN_AXES, Axis, parse_order, permutation, tiled

_PLAIN = parse_order("kh.kw.c", COLUMN_AXES)


def column_indices(geometry: ConvGeometry, order: str) -> npt.NDArray[np.int64]:
    """What each column of X is: an array (K, 3) of (c, kh, kw)."""
    sizes = (geometry.in_channels, *geometry.kernel_size)
    canonical = np.indices(sizes).reshape(3, -1).T
    return canonical[permutation(parse_order(order, COLUMN_AXES), COLUMN_AXES, sizes)].astype(np.int64)


def _from_plain(axes: tuple[Axis, ...], geometry: ConvGeometry, device: torch.device) -> Tensor:
    """(K,) where each column of the order `axes` stands in order `kh.kw.c`."""
    sizes = (*geometry.kernel_size, geometry.in_channels)
    return torch.tensor(permutation(axes, ("kh", "kw", "c"), sizes), device=device)


def pad_input(x: Tensor, geometry: ConvGeometry) -> Tensor:
    """`x` (B, C, H, W) with the convolution's zero padding around it."""
    vertical, horizontal = geometry.padding
    return F.pad(x, (horizontal, horizontal, vertical, vertical)) if vertical or horizontal else x


def pad_pixels(x: Tensor, geometry: ConvGeometry) -> Tensor:
    """`pad_input` with channels last, (B, height, width, C): one copy both pads and permutes."""
    pixels, (vertical, horizontal) = x.permute(0, 2, 3, 1), geometry.padding
    return F.pad(pixels, (0, 0, horizontal, horizontal, vertical, vertical)) if vertical or horizontal else pixels


def unfold(x: Tensor, geometry: ConvGeometry, order: str) -> Tensor:
    """im2col of `x` (B, C, H, W), (B, OH·OW, K), without its gradient."""
    axes = parse_order(order, COLUMN_AXES)
    if tiled(axes):
        return unfold(x, geometry, "kh.kw.c").index_select(2, _from_plain(axes, geometry, x.device))
    if axes[-1][0] == "c":  # from channels-last memory, so that a pixel's channels are copied in one run
        x = x.contiguous(memory_format=torch.channels_last)
    u = pad_input(x, geometry)
    for axis in range(2):
        extent = geometry.dilation[axis] * (geometry.kernel_size[axis] - 1) + 1
        u = u.unfold(2 + axis, extent, geometry.stride[axis])
    u = u[..., :: geometry.dilation[0], :: geometry.dilation[1]]  # (B, C, OH, OW, KH, KW)
    dims = {"c": 1, "kh": 4, "kw": 5}
    u = u.permute(0, 2, 3, *(dims[name] for name, _ in axes))
    return u.reshape(u.shape[0], u.shape[1] * u.shape[2], geometry.K)


def col2im(columns: Tensor, geometry: ConvGeometry, order: str, size: tuple[int, int]) -> Tensor:
    """Adjoint of `im2col`: adds every column entry (B, OH·OW, K) back onto its input pixel: (B, C, H, W)."""
    height, width = size
    if order == "c.kh.kw":
        return F.fold(
            columns.transpose(1, 2), size, geometry.kernel_size, geometry.dilation, geometry.padding, geometry.stride
        )
    axes = parse_order(order, COLUMN_AXES)
    if axes != _PLAIN:
        columns = columns.index_select(2, torch.argsort(_from_plain(axes, geometry, columns.device)))
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel_size, geometry.stride, geometry.dilation
    (ph, pw), (oh, ow) = geometry.padding, geometry.output_size(height, width)
    batch, channels = columns.shape[0], geometry.in_channels
    if accelerated(columns):  # a copy and one step
        taps = columns.view(batch, oh * ow, kh, kw, channels).permute(0, 4, 2, 3, 1).reshape(batch, -1, oh * ow)
        return F.fold(taps, size, (kh, kw), (dh, dw), (ph, pw), (sh, sw))
    taps = columns.view(batch, oh, ow, kh, kw, channels)
    image = columns.new_zeros(batch, height + 2 * ph, width + 2 * pw, channels)
    for i in range(kh):  # KH·KW strided additions; faster than a scatter of N·K numbers
        for j in range(kw):
            rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
            cols = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
            image[:, rows, cols] += taps[:, :, :, i, j]
    return image[:, ph : ph + height, pw : pw + width].permute(0, 3, 1, 2)


class _Im2col(torch.autograd.Function):
    """im2col with its adjoint as gradient; autograd's own, through `unfold`, is several times slower."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: ConvGeometry, order: str) -> Tensor:
        ctx.geometry, ctx.order, ctx.size = geometry, order, (x.shape[2], x.shape[3])
        return unfold(x, geometry, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return col2im(gradients[0].contiguous(), ctx.geometry, ctx.order, ctx.size), None, None


def im2col(x: Tensor, geometry: ConvGeometry, order: str) -> Tensor:
    """X of `x` (B, C, H, W): (B, OH·OW, K), its columns in `order`; differentiable."""
    columns: Tensor = _Im2col.apply(x, geometry, order)  # type: ignore[no-untyped-call]
    return columns


def weight_matrix(weight: Tensor, order: str) -> Tensor:
    """W (K, M) of `weight` (M, C, KH, KW), its rows in `order`."""
    axes = parse_order(order, COLUMN_AXES)
    if tiled(axes):
        index = torch.tensor(permutation(axes, COLUMN_AXES, tuple(weight.shape[1:])), device=weight.device)
        return weight.flatten(1).t().index_select(0, index)
    return weight.permute(0, *(1 + COLUMN_AXES.index(name) for name, _ in axes)).flatten(1).t()


def weight_from_matrix(matrix: Tensor, geometry: ConvGeometry, order: str) -> Tensor:
    """Inverse of `weight_matrix`: (K, M) to (M, C, KH, KW), contiguous."""
    sizes = (geometry.in_channels, *geometry.kernel_size)
    index = torch.tensor(permutation(parse_order(order, COLUMN_AXES), COLUMN_AXES, sizes), device=matrix.device)
    return matrix.index_select(0, torch.argsort(index)).t().reshape(-1, *sizes).contiguous()


def whole_slices(matrix: Tensor, length: int, dim: int) -> Tensor:
    """`matrix` with zeros appended along `dim` until `length` divides it.

    A ragged last slice then is like the others: the zeros meet zero rows of W and of the hash.
    """
    missing = -matrix.shape[dim] % length
    if not missing:
        return matrix
    shape = list(matrix.shape)
    shape[dim] = missing
    return torch.cat([matrix, matrix.new_zeros(shape)], dim)
