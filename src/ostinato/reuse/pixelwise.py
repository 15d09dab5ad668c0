"""Compiled scope with hashes by channel block: a conventional convolution of the input, vector-quantised by pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.assignment import Reuse, block_ids
from ostinato.reuse.autograd import quantise
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.layout import Layout
from ostinato.reuse.quantised_convolution import QuantisedConvolution
from ostinato.reuse.soft_ids import soft_quantise
from ostinato.reuse.straight_through import StraightThrough
from ostinato.reuse.units import quantise_by_units, takes_units, unit_vectors
from ostinato.reuse.views import pad_pixels


def pixelwise_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
    reuse: Reuse, geometry: ConvGeometry, precision: torch.dtype, table_offsets: Tensor | None,
) -> Tensor:  # fmt: skip
    """Conventional convolution of the input with every pixel's channel blocks replaced by centroids (DESIGN §5.5).

    The padding's zeros are hashed too: in firmware a padded pixel is a pixel like the others, with an id. The product
    is in `precision`, as that of the convolution it takes the place of; sums over clusters need more. Offsets of table
    rows are one more convolution, of the ids as unit vectors, through which hash and input have a gradient only if it
    is `soft`.
    """
    image = pad_pixels(x, geometry)
    batch, height, width, channels = image.shape
    pixels = image.reshape(batch, -1, channels)
    low = None if bias is None else bias.to(precision)
    if table_offsets is None and _lean(pixels, weight, hash_vectors, reuse):
        layout = Layout(batch, height * width, channels // reuse.pattern.length)
        y: Tensor = QuantisedConvolution.apply(  # type: ignore[no-untyped-call]
            image, weight.to(precision), low, hash_vectors, thresholds, reuse, layout, geometry
        )
        return y
    wanted = None if table_offsets is None else precision
    xh, units = _quantised_pixels(pixels, hash_vectors, thresholds, reuse, wanted)
    if reuse.training and reuse.pattern.input_gradient == "straight-through":
        xh = StraightThrough.apply(xh, pixels, reuse.pattern.commitment)  # type: ignore[no-untyped-call]
    xh = xh.view(batch, height, width, channels).permute(0, 3, 1, 2)
    if weight.numel() > xh.numel():  # channels last, W and its gradient would be converted, and kept twice
        xh = xh.contiguous()
    y = F.conv2d(xh.to(precision), weight.to(precision), low, geometry.stride, 0, geometry.dilation)
    if table_offsets is None or units is None:
        return y
    units = units.view(batch, height, width, -1).permute(0, 3, 1, 2)
    return y + F.conv2d(units, table_offsets.to(precision), None, geometry.stride, 0, geometry.dilation)


def _lean(pixels: Tensor, weight: Tensor, hash_vectors: Tensor, reuse: Reuse) -> bool:
    """Whether X̂ had better be made anew in the backward pass: weights are more than it."""
    pattern = reuse.pattern
    plain = pattern.gradient != "soft" and pattern.input_gradient == "clusters"
    return plain and weight.numel() > pixels.numel() and not takes_units(pixels, hash_vectors, reuse)


def _quantised_pixels(
    pixels: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, units: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """X̂ of pixels (B, P, C), and, in precision `units`, their ids as unit vectors (B, P, blocks·2^H)."""
    if reuse.training and reuse.pattern.gradient == "soft":
        return soft_quantise(pixels, hash_vectors, thresholds, reuse, units)
    by_units = takes_units(pixels, hash_vectors, reuse)
    if not by_units and units is None:
        return quantise(pixels, hash_vectors, thresholds, reuse), None
    ids, _ = block_ids(pixels.detach(), hash_vectors.detach(), thresholds.detach(), reuse.pattern)
    ids = ids.view(pixels.shape[0] * pixels.shape[1], -1)
    xh = quantise_by_units(pixels, ids, reuse) if by_units else quantise(pixels, hash_vectors, thresholds, reuse)
    return xh, None if units is None else unit_vectors(ids, reuse.pattern.ids, units)
