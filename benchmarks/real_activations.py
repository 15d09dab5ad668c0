"""Image-scope layers on real activations, for the kernel benchmark.

A CifarNet with weights drawn by a seed and batch norm fitted to the images: what a layer reads there are images, or
what random filters and ReLUs make of them, as smooth and as sparse as they are. Cycles depend on how many clusters
there are and on how often neighbours share one, not on what the weights have learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import ostinato.nn as onn
from ostinato.data import load, to_input
from ostinato.models import cifarnet
from ostinato.quant import quantize, quantize_input
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import QReuseImage
from ostinato.quant.reference import execute
from ostinato.reuse import Pattern

SEED = 0
_CALIBRATION = 128


@dataclass(frozen=True)
class RealLayer:
    """A quantised reuse layer and what it reads for one image that it was not calibrated on."""

    op: QReuseImage | QReuseHorizontal
    x: Int8Array


class RealActivations:
    """CifarNet's layers under patterns, on CIFAR-10 from a folder, or on the embedded digits."""

    def __init__(self, data_dir: Path | None) -> None:
        data = load("digits", seed=SEED) if data_dir is None else load("cifar10", data_dir=str(data_dir), seed=SEED)
        self.name = data.name
        self._images = to_input(data.train.images[:_CALIBRATION])
        self._held_out = to_input(data.test.images[:1])
        torch.manual_seed(SEED)
        self._model = _settled(cifarnet(), self._images)

    def layer(self, name: str, pattern: Pattern) -> RealLayer:
        """Layer `name` of the network under `pattern`, its hash fitted, and its input for a held-out image."""
        reuse = onn.calibrate(onn.convert(self._model, {name: pattern}), self._images).eval()
        graph = quantize(reuse, self._images[:64], input_scale=1 / 128)
        op = graph.op(name)
        assert isinstance(op, QReuseImage | QReuseHorizontal)
        (image,) = quantize_input(self._held_out, graph.input)
        return RealLayer(op, execute(graph, image)[op.input.name])


def _settled(model: nn.Module, images: Tensor) -> nn.Module:
    """With the images' batch-norm statistics."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of what follows
    with torch.no_grad():
        model.train()(images)
    return model.eval()
