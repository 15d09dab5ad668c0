"""The convolutions of a network that a search looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.nn.capture import removed
from ostinato.nn.conv import geometry_of, refusal
from ostinato.reuse import ConvGeometry


@dataclass(frozen=True)
class Layer:
    """One convolution as it runs.

    Attributes:
        name: qualified.
        geometry: its shape.
        height, width: of its input, in pixels.
        reads_image: whether its input is the network's.
    """

    name: str
    geometry: ConvGeometry
    height: int
    width: int
    reads_image: bool

    @property
    def positions(self) -> int:
        """N, the output pixels of an image."""
        rows, columns = self.geometry.output_size(self.height, self.width)
        return rows * columns

    @property
    def macs(self) -> int:
        """N·K·M."""
        return self.geometry.macs(self.height, self.width)


@torch.no_grad()
def find_layers(model: nn.Module, images: Tensor) -> tuple[Layer, ...]:
    """Convolutions that can be reused, in the order in which they run on `images` (B, C, H, W).

    Raises:
        ModelError: there are none.
    """
    found: dict[str, Layer] = {}

    def note(name: str, module: nn.Conv2d) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            x = args[0]
            found.setdefault(name, Layer(name, geometry_of(module), x.shape[2], x.shape[3], x is images))

        return module.register_forward_pre_hook(hook)

    convolutions = [(n, m) for n, m in model.named_modules() if type(m) is nn.Conv2d and refusal(m) is None]
    with removed(*(note(name, module) for name, module in convolutions if name)):
        model.eval()(images)
    if not found:
        raise ModelError("the model has no convolution inside it that could be reused; see conversion_report(model)")
    return tuple(found.values())
