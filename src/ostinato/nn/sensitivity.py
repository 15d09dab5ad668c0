"""What an error of a layer's outputs costs the network: their Fisher information, and weights as the loss sees them."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.reuse.tree import square_root

Metric = Literal["outputs", "loss"]
"""How the error of a layer's outputs is measured: by its square, or half by that and half by what it costs the loss."""

_METRIC_IMAGES = 300
_METRIC_BATCH = 50
_SHARE = 0.5  # of the Fisher information; alone it forgets outputs that matter to few images


def check_metric(metric: str) -> None:
    """Refuse a metric that does not exist."""
    if metric not in get_args(Metric):
        raise ModelError(f"metric={metric!r} is not known; known: {', '.join(map(repr, get_args(Metric)))}")


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
    modes = [(module, module.training) for module in model.modules()]

    def detach(_m: nn.Module, _a: tuple[Any, ...], output: Tensor) -> Tensor:
        outputs.append(output.detach().requires_grad_(True))
        return outputs[-1]

    handle = layer.register_forward_hook(detach)
    try:
        model.eval()
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
        for module, training in modes:
            module.training = training
    return gradient


def seen_weight(model: nn.Module, layer: nn.Module, weight: Tensor, images: Tensor, metric: Metric) -> Tensor:
    """R·W, so that squares of (R·W)·e measure what an error e of the layer's inputs does, in `metric`.

    R² is the identity for `outputs`; for `loss` the mean of it and the outputs' Fisher information F, scaled to a mean
    diagonal of one. Encoders that are fitted to R·W in place of W spend their ids on what the loss sees.

    Args:
        model: conventional; looked at in evaluation mode.
        layer: of `model`.
        weight: (M, …) of the layer.
        images: (N, C, H, W); the first few hundred are taken.
        metric: see `Metric`.

    Raises:
        ModelError: an unknown metric, or a model whose answer does not depend on the layer.
    """
    check_metric(metric)
    if metric == "outputs":
        return weight
    fisher = output_metric(model, layer, images[:_METRIC_IMAGES])
    scaled = _SHARE * fisher / fisher.diagonal().mean()
    root = square_root(scaled + (1.0 - _SHARE) * torch.eye(len(fisher), dtype=fisher.dtype))
    seen: Tensor = (root.to(weight) @ weight.flatten(1)).view_as(weight)
    return seen
