"""The sufficient-direction constant μ of TREC §4.2 (Assumption 2) and Appendix B, measured while training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.errors import DataError, ModelError, PatternError


@dataclass(frozen=True)
class Direction:
    """How a descent direction E[g] compares with the gradient ∇F; both numbers without unit.

    Attributes:
        mu: μ = ∇F·E[g]/‖∇F‖² (Eq. 4.7a): above 0 the loss falls, 1 is the steepest descent's own.
        mu_g: μ_G = ‖E[g]‖/‖∇F‖ (Eq. 4.7c), at least |μ|; μ/μ_G is the cosine of their angle.
    """

    mu: float
    mu_g: float


def sufficient_direction(gradient: Tensor, direction: Tensor) -> Direction | None:
    """μ and μ_G of a layer's `gradient` ∇F and descent `direction` E[g], of one shape; None where ∇F is zero.

    Raises:
        PatternError: if the shapes differ.
        ModelError: if a number is not finite.
    """
    if gradient.shape != direction.shape:
        raise PatternError(f"∇F {tuple(gradient.shape)} and E[g] {tuple(direction.shape)} must have one shape")
    steepest, actual = gradient.detach().double().flatten(), direction.detach().double().flatten()
    square = float(steepest @ steepest)
    product, length = float(steepest @ actual), float(actual.norm())
    if not all(torch.isfinite(torch.tensor([square, product, length]))):
        raise ModelError("the gradients from which μ is computed have NaN or infinite numbers")
    return Direction(product / square, length / square**0.5) if square else None


class SufficientDirection:
    """Measures μ of every convolution's weights; give it to `fit(probe=...)`. Its curve over epochs is TREC Fig. 7.

    E[g] is the mean gradient over batches of the network with reuse, as it is trained; ∇F that of `reference(model)`
    over the same batches at the same weights. The paper does not say which ∇F it measured. Taken literally, as the
    gradient of the same network, it is the mean of its own batches' gradients and μ is 1 whatever happens
    (`reference=lambda model: model`). Its text is about "the disparities" that backpropagation through reuse
    accumulates against steepest descent; those are seen against the conventional network, `reference=ost.nn.revert`.

    Training is not disturbed: measurements use copies, in training mode but without dropout, and restore PyTorch's
    generators.

    ```python
    probe = ost.theory.SufficientDirection(images, labels, ost.nn.revert)
    result = ost.fit(model, dataset, epochs=20, probe=probe)
    [record["mu"]["conv2"] for record in result.history]
    ```

    Args:
        images: (N, C, H, W) floating point, preprocessed as in training.
        labels: (N,) classes.
        reference: makes the network whose gradient is ∇F from a copy of the model; parameters keep their names.
        layers: qualified names; None for all modules with a weight of four dimensions.
        batch_size: images at a time, the scope of batch clusters and of BN's statistics.
        loss: of (outputs, labels), a mean over the batch.

    Raises:
        DataError: if there are no images, or not one label for each.
        PatternError: if `batch_size` is not positive.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        reference: Callable[[nn.Module], nn.Module],
        *,
        layers: Sequence[str] | None = None,
        batch_size: int = 64,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    ) -> None:
        if len(images) == 0 or not images.is_floating_point() or len(labels) != len(images):
            raise DataError(
                f"μ is measured on floating-point images with a label each, not on {images.dtype} of shape "
                f"{tuple(images.shape)} with {len(labels)} labels"
            )
        if batch_size < 1:
            raise PatternError(f"batch_size must be a positive integer, not {batch_size!r}")
        self.images, self.labels, self.reference = images, labels, reference
        self.layers, self.batch_size, self.loss = layers, batch_size, loss

    def measure(self, model: nn.Module) -> dict[str, Direction | None]:
        """μ and μ_G by layer name, in the order of the model's parameters.

        Raises:
            ModelError: if a layer is unknown, `reference` lacks one, or a gradient is not finite.
        """
        devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
        with torch.random.fork_rng(devices), torch.enable_grad():
            names = self._weights(model)
            steepest = self._mean_gradients(self.reference(copy.deepcopy(model)), names)
            actual = self._mean_gradients(copy.deepcopy(model), names)
        return {
            name.rpartition(".")[0] or "(model)": sufficient_direction(gradient, direction)
            for name, gradient, direction in zip(names, steepest, actual, strict=True)
        }

    def __call__(self, model: nn.Module) -> dict[str, Any]:
        """`{"mu": {layer: μ}, "mu_g": {layer: μ_G}}` for the epoch's record; None where ∇F is zero."""
        measured = self.measure(model)
        return {
            "mu": {name: None if found is None else found.mu for name, found in measured.items()},
            "mu_g": {name: None if found is None else found.mu_g for name, found in measured.items()},
        }

    def _weights(self, model: nn.Module) -> list[str]:
        """Names of the weights to measure."""
        known = [
            name
            for name, parameter in model.named_parameters()
            if name.rpartition(".")[2] == "weight" and parameter.dim() == 4
        ]
        if self.layers is None:
            if not known:
                raise ModelError("the model has no convolution whose μ could be measured")
            return known
        asked = [f"{layer}.weight" for layer in self.layers]
        for layer, name in zip(self.layers, asked, strict=True):
            if name not in known:
                found = ", ".join(weight.rpartition(".")[0] for weight in known)
                raise ModelError(f"the model has no convolution '{layer}' whose μ could be measured; it has {found}")
        return asked

    def _mean_gradients(self, network: nn.Module, names: list[str]) -> list[Tensor]:
        """Gradients of the mean loss over all images with respect to the named weights, float64."""
        _train_without_dropout(network)
        parameters = dict(network.named_parameters())
        missing = [name for name in names if name not in parameters]
        if missing:
            raise ModelError(f"the reference network lacks the parameter '{missing[0]}'")
        weights = [parameters[name].requires_grad_() for name in names]
        means = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
        for start in range(0, len(self.images), self.batch_size):
            images = self.images[start : start + self.batch_size].to(weights[0].device)
            labels = self.labels[start : start + self.batch_size].to(weights[0].device)
            loss = self.loss(network(images), labels)
            for mean, gradient in zip(means, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
                if gradient is not None:
                    mean.add_(gradient.double(), alpha=len(images) / len(self.images))
        return means


def _train_without_dropout(network: nn.Module) -> None:
    """Training mode, in which batches form clusters and statistics, less the noise that is not reuse's."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
