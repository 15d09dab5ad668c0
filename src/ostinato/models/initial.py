"""Initial weights for networks without normalisation."""

from __future__ import annotations

from torch import nn


def initialise_for_relu(model: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in, zero biases (He et al., 2015), in place.

    PyTorch's own have a sixth of that variance: behind eight layers without normalisation nothing is left of an image,
    and training does not begin (ZfNet on digits, 40 steps: at chance; with these weights 80 % after 30).
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
