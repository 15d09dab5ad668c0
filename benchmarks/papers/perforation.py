"""PerforatedCNN (Figurnov et al., 2016): a convolution computed at some output positions, the others copied.

A mask says where; a position that is left out takes the value of the nearest one that is kept (their nearest-neighbour
interpolation). One mask holds for all channels and all images, which is what Deep Reuse is compared with (DR §V-E).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Perforated(nn.Module):
    """`conv` at the positions where `mask` (OH, OW) is true; (B, C, H, W) -> (B, M, OH, OW).

    What is left out is computed and thrown away: results and gradients are those of the method, time is not. The work
    that it would do is `mask`'s share of the convolution's.
    """

    source: Tensor

    def __init__(self, conv: nn.Conv2d, mask: Tensor) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer("source", nearest(mask))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, M, OH, OW)."""
        y: Tensor = self.conv(x)
        return y.flatten(2)[:, :, self.source].view_as(y)


def nearest(mask: Tensor) -> Tensor:
    """(OH·OW,): for each position the number of the nearest kept one, Euclidean; of several the first.

    Raises:
        ValueError: nothing is kept.
    """
    kept = mask.nonzero()
    if not len(kept):
        raise ValueError("a perforation mask must keep a position")
    everywhere = torch.ones_like(mask).nonzero()
    distance = (everywhere.unsqueeze(1) - kept.unsqueeze(0)).square().sum(2)
    return (kept[:, 0] * mask.shape[1] + kept[:, 1])[distance.argmin(1)]


def uniform(height: int, width: int, share: float, generator: torch.Generator) -> Tensor:
    """Positions drawn evenly without replacement."""
    return strongest(torch.rand(height, width, generator=generator), share)


def grid(height: int, width: int, share: float, generator: torch.Generator) -> Tensor:
    """Rows and columns spread by a shifted step: a position is kept where both are (their grid mask)."""
    side = math.sqrt(share)
    axes = []
    for length in (height, width):
        lines = max(1, round(side * length))
        shift = float(torch.rand((), generator=generator))
        chosen = torch.zeros(length, dtype=torch.bool)
        chosen[[min(length - 1, int((i + shift) * length / lines)) for i in range(lines)]] = True
        axes.append(chosen)
    return axes[0].unsqueeze(1) & axes[1].unsqueeze(0)


def strongest(impact: Tensor, share: float) -> Tensor:
    """The positions of greatest impact (OH, OW), at least one."""
    count = max(1, round(share * impact.numel()))
    mask = torch.zeros(impact.numel(), dtype=torch.bool)
    mask[impact.flatten().topk(count).indices] = True
    return mask.view_as(impact)


def impacts(network: nn.Module, images: Tensor, labels: Tensor, layers: Mapping[str, nn.Conv2d]) -> dict[str, Tensor]:
    """By layer (OH, OW): Σ over channels of |∂loss/∂V·V|, mean over images: what a position's loss would cost.

    To first order the change of the loss if the position became zero (their impact mask). Pooling's structure is in
    the gradient: a position that no maximum chooses has none.
    """
    outputs: dict[str, Tensor] = {}

    def watch(name: str, output: Tensor) -> None:
        output.retain_grad()
        outputs[name] = output

    network = copy.deepcopy(network).eval().requires_grad_(True)
    modules = dict(network.named_modules())
    for name in layers:
        modules[name].register_forward_hook(lambda _, __, output, name=name: watch(name, output))
    F.cross_entropy(network(images), labels).backward()
    found = {}
    for name, output in outputs.items():
        assert output.grad is not None
        found[name] = (output.grad * output).abs().sum(1).mean(0).detach()
    return found


def perforate(network: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """A copy with these convolutions perforated."""
    network = copy.deepcopy(network)
    for name, mask in masks.items():
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, Perforated(network.get_submodule(name), mask))  # type: ignore[arg-type]
    return network
