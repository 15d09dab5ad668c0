"""All that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ostinato.checkpoints.models import first_mismatch
from ostinato.checkpoints.tensors import load_tensors, save_tensors
from ostinato.errors import CheckpointError
from ostinato.training.averaging import WeightAverage

FORMAT = "ostinato-training"
FORMAT_VERSION = 2


@dataclass
class Position:
    """Where a training stands: `epoch` counts from 1; `step` batches of it are done, with these sums."""

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    epoch_seconds: float = 0.0

    def next_epoch(self) -> Position:
        """The start of the following epoch."""
        return Position(epoch=self.epoch + 1)


@dataclass
class TrainingState:
    """Position, history (one record per epoch), the best weights by validation accuracy and the mean ones so far."""

    position: Position = field(default_factory=Position)
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_top1: float = -1.0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    average: WeightAverage = field(default_factory=WeightAverage)

    @property
    def seconds(self) -> float:
        """Training time over all sessions, resumed ones included."""
        return float(sum(record["seconds"] for record in self.history)) + self.position.epoch_seconds


def save_training(
    path: Path,
    state: TrainingState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: Mapping[str, Any],
) -> None:
    """Everything to go on, in one file, atomically. `config` is what a resumed training must agree with."""
    save_tensors(
        path,
        {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "config": dict(config),
            "position": asdict(state.position),
            "history": state.history,
            "best": {"epoch": state.best_epoch, "top1": state.best_top1, "weights": state.best_weights},
            "average": state.average.to_dict(),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": _random_states(),
        },
    )


def resume_training(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, config: Mapping[str, Any]
) -> TrainingState:
    """Put model, optimiser and random generators where `save_training` left them, all or nothing.

    Raises CheckpointError when the file is damaged, or belongs to another model or to other settings.
    """
    content = load_tensors(path, "training checkpoint")
    if content.get("format") != FORMAT or content.get("version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format {content.get('format')!r} version {content.get('version')!r}, expected {FORMAT!r} "
            f"version {FORMAT_VERSION}; choose another run_dir."
        )
    for key, value in config.items():
        if content["config"].get(key) != value:
            raise CheckpointError(
                f"{path}: that training has {key}={content['config'].get(key)!r}, this one {key}={value!r}; go on "
                "with the same settings, choose another run_dir, or start over with resume=False."
            )
    mismatch = first_mismatch(model.state_dict(), content["model"])
    if mismatch is not None:
        raise CheckpointError(
            f"{path}: {mismatch[1]}; it belongs to another model: choose another run_dir, or start over with "
            "resume=False."
        )
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    _restore_random_states(content["random"])
    best = content["best"]
    return TrainingState(
        Position(**content["position"]), content["history"], best["epoch"], best["top1"], best["weights"],
        WeightAverage(**content["average"]),
    )  # fmt: skip


def seed_everything(seed: int) -> None:
    """Seed the global generators of python, NumPy and PyTorch; models draw from them (dropout)."""
    random.seed(seed)
    # The legacy global generator on purpose: a model's own code may draw from it.
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def _random_states() -> dict[str, Any]:
    name, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    words = torch.from_numpy(np.asarray(keys).astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": [str(name), words, int(place), int(has_gauss), float(gauss)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    }


def _restore_random_states(states: Mapping[str, Any]) -> None:
    random.setstate(states["python"])
    name, keys, place, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states.get("cuda"):
        torch.cuda.set_rng_state_all(states["cuda"])
