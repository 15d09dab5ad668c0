"""How thoroughly a search looks, and what the network may cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ostinato.errors import OstinatoError


class SearchError(OstinatoError):
    """A search cannot be done as asked: settings, budgets, its folder or its executor."""


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """Limits of the whole network; None: no limit beyond the board's memory.

    Attributes:
        ms: modelled latency of one image.
        flash_bytes: constants and code.
        sram_bytes: activations, scratch, output and stack.
        max_loss: points of top-1 that may be lost.

    Raises:
        SearchError: a limit that is not a positive number.
    """

    ms: float | None = None
    flash_bytes: int | None = None
    sram_bytes: int | None = None
    max_loss: float | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise SearchError(f"the budget {name} must be a positive number, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How thoroughly a search looks.

    Attributes:
        calibration_images: training images that hashes, centroids and weights are fitted to.
        profile_images: other training images on which errors and redundancy are measured.
        bound_images: of these, so many for the error bounds, whose eigenvalues take longest.
        simulate: candidates simulated one by one, evenly over layers and kernels, to which the latency model is fitted;
            those left of them by pruning are simulated, too, when they are at most as many again.
        front: networks of the front that are measured as a whole.
        validation_images: at most so many for accuracies while searching.
        train_epochs: of the full check: the longest fine-tuning; 0 checks without training.
        finalists: networks that enter the full check.
        halving: of them, one in so many goes on to the next round, with so many times the epochs.
        train_limit: training images of an epoch of the full check; None for all.
        seed: of everything that is drawn.

    Raises:
        SearchError: a number out of its range.
    """

    calibration_images: int = 128
    profile_images: int = 64
    bound_images: int = 4
    simulate: int = 24
    front: int = 8
    validation_images: int = 1000
    train_epochs: int = 0
    finalists: int = 4
    halving: int = 2
    train_limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "calibration_images": 1, "profile_images": 1, "bound_images": 1, "simulate": 0, "front": 2,
            "validation_images": 1, "train_epochs": 0, "finalists": 1, "halving": 2, "train_limit": 1, "seed": 0,
        }  # fmt: skip
        for name, value in self.to_dict().items():
            wrong = isinstance(value, bool) or not isinstance(value, int) or value < least[name]
            if wrong and not (name == "train_limit" and value is None):
                raise SearchError(f"{name} of a search must be an integer of at least {least[name]}, not {value!r}")

    def to_dict(self) -> Mapping[str, Any]:
        """Plain fields."""
        return dataclasses.asdict(self)
