"""Calibration of transform-coded stems: what they read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.nn.sensitivity import output_metric
from ostinato.nn.stem import TransformStem

_METRIC_IMAGES = 200
_SATURATED = 1.01  # pixels beyond it are not of this range, rather than its last step


class _ReachedStem(Exception):  # noqa: N818 (a signal, not an error)
    """Stops a forward pass at the stem."""


def calibrate_stem(
    model: nn.Module, teacher: nn.Module, name: str, stem: TransformStem, batches: tuple[Tensor, ...]
) -> None:
    """Fit `stem`, the layer of this name in `model`, to images; `teacher` is the conventional model.

    Raises:
        ModelError: the stem never runs, or reads numbers beyond [−1, 1).
    """
    inputs = [_input_of(model, name, stem, images) for images in batches]
    low, high = min(float(x.min()) for x in inputs), max(float(x.max()) for x in inputs)
    if low < -_SATURATED or high > _SATURATED:
        raise ModelError(
            f"layer '{name}' reads numbers from {low:.3g} to {high:.3g}; a transform-coded stem takes pixels within "
            "[-1, 1): scale the images to that and train the network on them, or leave this layer conventional"
        )
    layer = teacher.get_submodule("" if name == "(model)" else name)
    stem.fit_to(inputs, output_metric(teacher, layer, torch.cat(batches)[:_METRIC_IMAGES]))


def _input_of(model: nn.Module, name: str, stem: TransformStem, images: Tensor) -> Tensor:
    seen: list[Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen.append(args[0])
        raise _ReachedStem

    handle = stem.register_forward_pre_hook(before)
    try:
        model(images)
    except _ReachedStem:
        return seen[0]
    finally:
        handle.remove()
    raise ModelError(f"layer '{name}' never runs in the model's forward pass, so it cannot be calibrated")
