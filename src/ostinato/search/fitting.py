"""A candidate calibrated by itself: the layer as it would be deployed if all others stayed conventional."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.nn import ReuseConv2d, calibrate, convert
from ostinato.nn.capture import capture_input
from ostinato.nn.stem import TransformStem
from ostinato.reuse import StemPattern
from ostinato.search.candidate import AnyPattern
from ostinato.search.context import Context

FittedLayer = ReuseConv2d | TransformStem


def layer_inputs(context: Context, layer: str, images: Tensor, batch: int = 64) -> Tensor:
    """What the conventional network gives a layer (n, C, H, W)."""
    module = context.model.get_submodule(layer)
    return torch.cat([capture_input(context.model, module, part) for part in torch.split(images, batch)])


def fit_layer(context: Context, layer: str, pattern: AnyPattern, inputs: Tensor) -> FittedLayer:
    """Hash, centroids and refitted weights for `inputs` (n, C, H, W), the layer's own of the calibration images.

    A stem is fitted within the network: what an error of its outputs does to the answers decides its bits.
    """
    if isinstance(pattern, StemPattern):
        network = calibrate(convert(context.model, {layer: pattern}), context.calibration)
        fitted: nn.Module = network.get_submodule(layer)
    else:
        alone = nn.Sequential(context.model.get_submodule(layer))
        fitted = calibrate(convert(alone, {"0": pattern}), inputs)[0]  # type: ignore[index]
    assert isinstance(fitted, ReuseConv2d | TransformStem)
    return fitted.eval()
