"""How to train: everything that is not the model or the data, as one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ostinato.errors import OstinatoError

Schedule = Literal["step", "cosine"]


@dataclass(frozen=True)
class Recipe:
    """SGD with momentum, a schedule of learning rates, and what is done to images and labels.

    `hash_lr`, `hash_clip_norm`: the learning rate and the gradient clip of the parameters named `hash_vectors`
    and `thresholds`; their gradients come from a relaxation and are of another size than the weights'.
    `decay_all`: weight decay on every parameter but those two; otherwise not on biases and normalisation.
    `augment`: use the changes that the dataset allows. `teacher_share`: share of the distillation loss when a
    teacher is given, at `temperature`. `average_share`: of the epochs, the last ones, whose weights are averaged
    (`ostinato.training.averaging`); the mean is taken if it is better on validation images than every epoch's own.
    `table_lr_power`: a free table's rows learn (2^H)^p times as fast as weights. 1 makes up for how rarely a row is
    read; 0.5 gives its steps no more noise than a weight's, which networks with many tables need.
    """

    name: str
    lr: float
    hash_lr: float
    batch_size: int
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_all: bool = False
    clip_norm: float = 5.0
    hash_clip_norm: float = 1.0
    schedule: Schedule = "cosine"
    warmup_share: float = 0.2
    step_epochs: int = 15
    step_factor: float = 0.1
    augment: bool = False
    label_smoothing: float = 0.0
    teacher_share: float = 0.5
    temperature: float = 2.0
    average_share: float = 0.0
    table_lr_power: float = 1.0

    def __post_init__(self) -> None:
        for field in ("lr", "hash_lr", "clip_norm", "hash_clip_norm", "temperature", "step_factor"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise OstinatoError(f"Recipe {self.name!r}: {field}={value}; it must be a positive number.")
        for field in ("batch_size", "step_epochs"):
            if getattr(self, field) < 1:
                raise OstinatoError(f"Recipe {self.name!r}: {field}={getattr(self, field)}; at least 1 is needed.")
        shares = ("momentum", "label_smoothing", "teacher_share", "warmup_share", "weight_decay", "average_share")
        for field in (*shares, "table_lr_power"):
            if not 0 <= getattr(self, field) <= 1:
                raise OstinatoError(f"Recipe {self.name!r}: {field}={getattr(self, field)}; it lies in 0 ... 1.")
        if self.schedule not in ("step", "cosine"):
            raise OstinatoError(f"Recipe {self.name!r}: schedule={self.schedule!r}; known: 'step', 'cosine'.")

    def averaged_epochs(self, epochs: int) -> int:
        """How many of the last epochs are averaged; none where there would be one."""
        count = round(self.average_share * epochs)
        return count if count > 1 else 0

    def lr_factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """What the learning rates are multiplied by at `step` (from 0, over the whole training).

        A function of the step alone, so that a resumed training cannot differ from an uninterrupted one.
        """
        if self.schedule == "step":
            return self.step_factor ** (step // steps_per_epoch // self.step_epochs)
        total = steps_per_epoch * epochs
        warmup = self.warmup_share * total
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (total - warmup)))


TREC = Recipe(
    name="trec",
    lr=1e-3,
    hash_lr=1e-3,
    batch_size=256,
    momentum=0.9,
    weight_decay=1e-4,
    decay_all=True,
    schedule="step",
)
"""TREC §5.1: SGD from 0.001, x0.1 every 15 epochs, batches of 256; momentum 0.9 and weight decay 1e-4, which the
paper prints the other way round; clipping at 5 as in the authors' program; no augmentation. 100 epochs there."""

MODERN = Recipe(
    name="modern",
    lr=0.05,
    hash_lr=1e-3,
    batch_size=128,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="cosine",
    augment=True,
    label_smoothing=0.0,
)
"""One warm-up and one cosine, Nesterov momentum, mirrored and shifted images where the dataset allows it."""

RECIPES = {recipe.name: recipe for recipe in (TREC, MODERN)}


def resolve(recipe: str | Recipe) -> Recipe:
    """A recipe by name, or the one given. Raises OstinatoError for an unknown name."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise OstinatoError(f"Unknown recipe {recipe!r}; known: {', '.join(sorted(RECIPES))}.")
    return RECIPES[recipe]
