"""Compiled scope with hashes by channel block: a conventional convolution of the input, vector-quantised by pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.assignment import Reuse, block_ids
from ostinato.reuse.autograd import quantise
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.hashing import unit_vectors
from ostinato.reuse.layout import Layout
from ostinato.reuse.quantised_convolution import QuantisedConvolution
from ostinato.reuse.soft_ids import soft_quantise
from ostinato.reuse.stacked import Size
from ostinato.reuse.straight_through import StraightThrough
from ostinato.reuse.units import Wanted, quantise_by_units, takes_units
from ostinato.reuse.views import pad_input, pad_pixels


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
    low, kind = None if bias is None else bias.to(precision), None if table_offsets is None else precision
    if takes_units(x, reuse, geometry):
        wanted = Wanted(reuse, geometry.padding, precision, kind)
        xh, units = quantise_by_units(x, hash_vectors, thresholds, wanted)
        xh = _passed_through(xh, pad_input(x, geometry), reuse) if _passes(reuse) else xh
    else:
        image = pad_pixels(x, geometry)
        if table_offsets is None and _lean(image, weight, reuse):
            batch, height, width, channels = image.shape
            layout = Layout(batch, height * width, channels // reuse.pattern.length)
            y: Tensor = QuantisedConvolution.apply(  # type: ignore[no-untyped-call]
                image, weight.to(precision), low, hash_vectors, thresholds, reuse, layout, geometry
            )
            return y
        xh, units = _quantised(image, hash_vectors, thresholds, reuse, kind, geometry.padding)
        if weight.numel() > xh.numel():  # channels last, W and its gradient would be converted, and kept twice
            xh = xh.contiguous()
    y = F.conv2d(xh.to(precision), weight.to(precision), low, geometry.stride, 0, geometry.dilation)
    if table_offsets is None or units is None:
        return y
    return y + F.conv2d(units, table_offsets.to(precision), None, geometry.stride, 0, geometry.dilation)


def _lean(image: Tensor, weight: Tensor, reuse: Reuse) -> bool:
    """Whether X̂ had better be made anew in the backward pass: weights are more than it."""
    plain = reuse.pattern.gradient != "soft" and reuse.pattern.input_gradient == "clusters"
    return plain and weight.numel() > image.numel()


def _passes(reuse: Reuse) -> bool:
    return reuse.training and reuse.pattern.input_gradient == "straight-through"


def _passed_through(quantised: Tensor, x: Tensor, reuse: Reuse) -> Tensor:
    passed: Tensor = StraightThrough.apply(quantised, x, reuse.pattern.commitment)  # type: ignore[no-untyped-call]
    return passed


def _quantised(
    image: Tensor, hash_vectors: Tensor, thresholds: Tensor, reuse: Reuse, units: torch.dtype | None, padding: Size
) -> tuple[Tensor, Tensor | None]:
    """X̂ (B, C, height, width) of a padded `image` (B, height, width, C), and, in precision `units`, unit vectors."""
    pattern, (batch, height, width, channels) = reuse.pattern, image.shape
    pixels, made = image.reshape(batch, -1, channels), None
    if reuse.training and pattern.gradient == "soft":
        xh, made = soft_quantise(image, hash_vectors, thresholds, reuse, units, padding)
    else:
        xh = quantise(pixels, hash_vectors, thresholds, reuse)
        if units is not None:
            ids, _ = block_ids(pixels.detach(), hash_vectors.detach(), thresholds.detach(), pattern)
            made = unit_vectors(ids.view(batch, height * width, -1), pattern.ids, units)
    if _passes(reuse):
        xh = _passed_through(xh, pixels, reuse)
    if made is not None:
        made = made.view(batch, height, width, -1).permute(0, 3, 1, 2)
    return xh.view(image.shape).permute(0, 3, 1, 2), made
