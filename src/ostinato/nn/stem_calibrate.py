"""Calibration of transform-coded stems: what they read, and what their outputs' errors cost the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.nn.stem import TransformStem

_METRIC_IMAGES = 200
_METRIC_BATCH = 50
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


def output_metric(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """(M, M) mean of g·gᵀ over output positions of `layer`, g the gradient of the model's loss for its own guesses.

    That is the Fisher information of the layer's outputs: eᵀ·metric·e is what an error e of them does to the network's
    answer. Guesses are drawn from the model's softmax; a model with other outputs than (B, classes) is a regression.
    """
    generator = torch.Generator().manual_seed(0)
    total: Tensor | None = None
    count = 0
    for batch in torch.split(images, _METRIC_BATCH):
        gradient = _gradient(model, layer, batch, generator).transpose(0, 1).flatten(1).double().cpu()
        product = gradient @ gradient.t()
        total, count = product if total is None else total + product, count + gradient.shape[1]
    if total is None or not float(total.trace()) > 0:
        raise ModelError("the model's answer does not depend on the layer that is calibrated; check the model")
    return total / count


def _gradient(model: nn.Module, layer: nn.Module, images: Tensor, generator: torch.Generator) -> Tensor:
    outputs: list[Tensor] = []

    def detach(_m: nn.Module, _a: tuple[Any, ...], output: Tensor) -> Tensor:
        outputs.append(output.detach().requires_grad_(True))
        return outputs[-1]

    handle = layer.register_forward_hook(detach)
    try:
        with torch.enable_grad():
            answer = model(images)
            if answer.ndim == 2 and answer.shape[1] > 1:
                logs = answer.float().log_softmax(1)
                guess = torch.multinomial(logs.detach().exp().cpu(), 1, generator=generator).to(logs.device)
                score = logs.gather(1, guess).sum()
            else:
                noise = torch.randn(answer.shape, generator=generator).to(answer)
                score = (answer * noise).sum()
            (gradient,) = torch.autograd.grad(score, outputs[0])
    finally:
        handle.remove()
    return gradient


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
