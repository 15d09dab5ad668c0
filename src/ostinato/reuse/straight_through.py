"""How a vector-quantised input passes a gradient on to the layers before it: straight through, with a commitment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class StraightThrough(torch.autograd.Function):
    """x̂ itself; x has its gradient as if it were x, and is drawn to x̂ (van den Oord et al., NeurIPS 2017, Eq. 3).

    Arguments (…) x̂, (…) x, `commitment` β; gives x̂, whose own gradient is passed on unchanged as well. To x's gradient
    comes that of β·‖x − x̂‖²/‖x‖² with x̂ and the denominator held fixed: layers before learn to make inputs that
    clusters describe well, at a pull that does not depend on how many vectors or how large they are.
    """

    @staticmethod
    def forward(ctx: Any, quantised: Tensor, x: Tensor, commitment: float) -> Tensor:
        """The quantised input, as it is."""
        ctx.pull = None
        if commitment:
            energy = x.square().sum().clamp_min(torch.finfo(x.dtype).tiny)
            ctx.pull = (x - quantised).mul_(2 * commitment / energy)
        return quantised.view_as(quantised)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients of x̂ and x."""
        return gradient, gradient if ctx.pull is None else gradient + ctx.pull, None
