"""What every task of a search needs: the network, images, the board. Handed to each worker once."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from ostinato.data import ImageDataset, Split, to_input
from ostinato.errors import ModelError
from ostinato.firmware.external import Outside
from ostinato.search.layers import Layer, find_layers
from ostinato.search.settings import Settings
from ostinato.targets.boards import Board


@dataclass(frozen=True)
class Context:
    """Everything that is the same for all tasks of a search.

    Attributes:
        model: conventional, trained, in evaluation mode.
        dataset: of which `settings` says how many training images calibrate and how many others are measured on. Final
            ranking is on its validation split; its test split is never looked at.
        board: where it is to run.
        settings: numbers of images, epochs, seed.
        outside: which constants may be in the board's external flash.
    """

    model: nn.Module
    dataset: ImageDataset
    board: Board
    settings: Settings
    outside: Outside = "never"
    _layers: list[Layer] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, model: nn.Module, dataset: ImageDataset, board: Board, settings: Settings) -> Context:
        """With a copy of `model` in evaluation mode.

        Raises:
            ModelError: weights that are not finite, or outputs that are not (images, classes).
        """
        for name, parameter in model.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise ModelError(f"parameter '{name}' has NaN or infinite numbers; train the network first")
        context = cls(copy.deepcopy(model).eval(), dataset, board, settings)
        with torch.no_grad():
            shape = tuple(context.model(context.calibration[:1]).shape)
        if len(shape) != 2 or shape[1] < 2:
            raise ModelError(f"a search compares answers (images, classes); the model's have the shape {shape}")
        return context

    @cached_property
    def _drawn(self) -> tuple[Tensor, Tensor]:
        """Training images in the order of the seed: those to calibrate on, then those to measure on."""
        s, train = self.settings, self.dataset.train
        wanted = min(s.calibration_images + s.profile_images, len(train))
        images = to_input(train.subset(wanted, s.seed).images)
        cut = max(1, wanted * s.calibration_images // (s.calibration_images + s.profile_images))
        return images[:cut], images[cut:]

    @property
    def calibration(self) -> Tensor:
        """(n, 3, H, W) float: hashes, centroids and weights are fitted to these."""
        return self._drawn[0]

    @property
    def probe(self) -> Tensor:
        """(n, 3, H, W) float, none of them among `calibration`: errors are measured on these."""
        return self._drawn[1]

    @property
    def validation(self) -> Split:
        """Held-out training images on which networks are ranked."""
        valid = self.dataset.valid
        return valid.subset(min(self.settings.validation_images, len(valid)), self.settings.seed)

    @property
    def flash_bytes(self) -> int:
        """The most that one layer's constants may take."""
        flash = self.board.external_flash
        return self.board.flash_bytes + (flash.size_bytes if flash and self.outside != "never" else 0)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Convolutions that can be reused."""
        if not self._layers:
            self._layers.extend(find_layers(self.model, self.calibration[:1]))
        return tuple(self._layers)

    def layer(self, name: str) -> Layer:
        """By qualified name."""
        return next(layer for layer in self.layers if layer.name == name)

    @cached_property
    def answers(self) -> Tensor:
        """(n, classes) log-probabilities of the conventional network on `probe`."""
        return log_probabilities(self.model, self.probe)


def log_probabilities(model: nn.Module, images: Tensor, batch: int = 64) -> Tensor:
    """(n, classes) float64."""
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.split(images, batch)]).double().log_softmax(1)


def divergence(reference: Tensor, other: Tensor) -> float:
    """Mean KL(reference ‖ other) in nats of log-probabilities (n, classes): what reuse did to the answers."""
    return float((reference.exp() * (reference - other)).sum(1).mean().clamp_min(0.0))
