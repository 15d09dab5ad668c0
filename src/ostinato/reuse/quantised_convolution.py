"""A convolution of X̂ that keeps little: for layers whose weights outweigh their input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input

from ostinato.reuse.assignment import Assignment, Reuse, assign
from ostinato.reuse.backward import hash_gradient, input_gradient, learns, load, pull, save, without_autocast
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.layout import Layout
from ostinato.reuse.products import room_for_pulls


class QuantisedConvolution(torch.autograd.Function):
    """`quantise` of pixels and the convolution of them in one: X̂ is made anew in the backward pass.

    There, the gradient of X̂ is summed up over clusters before the weights' is begun: a convolution's own backward pass
    holds both at once, with its copies of everything.

    Arguments (B, height, width, C) padded pixels, (M, C, KH, KW) weights of the precision of the product, (M,) bias or
    None, hash vectors, thresholds, Reuse, Layout, ConvGeometry; gives (B, M, OH, OW).
    """

    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, weight: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
        reuse: Reuse, layout: Layout, geometry: ConvGeometry,
    ) -> Tensor:  # fmt: skip
        """Cluster, and convolve centroids."""
        learning = learns(ctx, 3, reuse)
        assignment = assign(layout.table(pixels.detach()), hash_vectors, thresholds, reuse, layout, learning)
        unordered = replace(assignment.clusters, members=None, starts=None)  # of so few vectors, soon sorted again
        save(ctx, reuse, layout, pixels, replace(assignment, clusters=unordered), weight, hash_vectors, thresholds)
        ctx.geometry = geometry
        quantised = _images(assignment, layout, pixels.shape, weight.dtype)
        return F.conv2d(quantised, weight, bias, geometry.stride, 0, geometry.dilation)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients of pixels, weights, bias and hash."""
        assignment, (weight, hash_vectors, thresholds) = load(ctx)
        layout, geometry, shape = ctx.layout, ctx.geometry, ctx.shape
        weights, shift, vectors, offsets, pulled = (None,) * 5
        pulls = room_for_pulls(assignment.centroids)
        if not ctx.reuse.fixed and (ctx.needs_input_grad[0] or assignment.sample is not None):
            image = torch.Size((shape[0], shape[3], shape[1], shape[2]))
            outer = conv2d_input(image, weight, gradient, geometry.stride, 0, geometry.dilation)  # type: ignore[no-untyped-call]
            rows = outer.permute(0, 2, 3, 1).reshape(layout.rows, -1).to(pulls.dtype)
            del outer
            own = pull(pulls, rows, ctx, assignment)
            del rows
            vectors, offsets, pulled = hash_gradient(ctx, assignment, pulls, own, hash_vectors, thresholds)
            del own
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            quantised = _images(assignment, layout, shape, weight.dtype)
            _, weights, shift = torch.ops.aten.convolution_backward(  # `conv2d_weight` would copy W
                gradient, quantised, weight, weight.shape[:1], geometry.stride, (0, 0), geometry.dilation,
                False, (0, 0), 1, (False, *ctx.needs_input_grad[1:3]),
            )  # fmt: skip
            del quantised
        pixels = input_gradient(ctx, assignment, pulls, pulled)
        return pixels, weights, shift, vectors, offsets, None, None, None


def _images(assignment: Assignment, layout: Layout, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """X̂ as images (B, C, height, width), in that order in memory: with channels last, W would be converted, too."""
    rows = layout.gather(assignment.centroids, assignment.clusters.index)
    return rows.view(shape).to(dtype).permute(0, 3, 1, 2).contiguous()
