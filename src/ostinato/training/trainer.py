"""The training loop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.checkpoints.models import save_state
from ostinato.data import Augmentation, Split
from ostinato.errors import OstinatoError
from ostinato.files import write_atomically
from ostinato.training.averaging import REFRESHING, refresh_statistics
from ostinato.training.batches import EpochPlan
from ostinato.training.display import Display
from ostinato.training.evaluation import device_of, evaluate, evaluating, in_mode
from ostinato.training.interrupts import StopRequest, stop_on_interrupt
from ostinato.training.memory_format import channels_last
from ostinato.training.optimisation import (
    clip_gradients,
    make_optimizer,
    refuse_non_finite,
    set_learning_rates,
    training_loss,
)
from ostinato.training.recipes import Recipe
from ostinato.training.state import TrainingState, resume_training, save_training

_TALLIED = 16
"""Steps whose losses an accelerator is asked for at once: to ask is to wait for it."""


@dataclass(kw_only=True)
class Trainer:
    """One training of one model; `fit` describes the arguments. `state` holds all that has happened so far.

    All of it is where the model is.
    """

    model: nn.Module
    train: Split
    valid: Split
    augmentation: Augmentation
    recipe: Recipe
    epochs: int
    seed: int
    teacher: nn.Module | None
    bfloat16: bool
    run_dir: Path | None
    meta: dict[str, Any]
    config: dict[str, Any]
    on_epoch: Callable[[dict[str, Any]], None] | None
    probe: Callable[[nn.Module], Mapping[str, Any]] | None = None
    state: TrainingState = field(default_factory=TrainingState)

    def __post_init__(self) -> None:
        self.steps = -(-len(self.train) // self.recipe.batch_size)
        self.averaged = self.recipe.averaged_epochs(self.epochs)
        self.device = device_of(self.model)
        self.train, self.valid = self.train.to(self.device), self.valid.to(self.device)
        self._tallies: list[Tensor] = []
        if not self.recipe.augment:
            self.augmentation = Augmentation()

    def run(self, *, resume: bool, progress: bool) -> bool:
        """Train to the end (True) or to Ctrl-C (False); the model then has the best weights so far."""
        self.optimizer = make_optimizer(self.model, self.recipe)
        if resume and self.run_dir is not None and (self.run_dir / "checkpoint.pt").exists():
            self.state = resume_training(self.run_dir / "checkpoint.pt", self.model, self.optimizer, self.config)
            self._write_results()
        with ExitStack() as stack:
            stack.enter_context(channels_last(self.model))
            stack.enter_context(in_mode(self.model, training=True))
            if self.teacher is not None:
                stack.enter_context(evaluating(self.teacher))
            stop = stack.enter_context(stop_on_interrupt())
            display = stack.enter_context(Display(self.steps * self.epochs, self.epochs, progress))
            while self.state.position.epoch <= self.epochs and not stop.requested:
                self._epoch(stop, display)
        if self.state.best_weights:
            self.model.load_state_dict(self.state.best_weights)
        return self.state.position.epoch > self.epochs

    def _epoch(self, stop: StopRequest, display: Display) -> None:
        """The rest of the current epoch, its validation and its checkpoint; cut short when `stop` asks for it."""
        position = self.state.position
        plan = EpochPlan.draw(len(self.train), self.augmentation, self.seed, position.epoch, self.device)
        before, began = position.epoch_seconds, time.perf_counter()
        while position.step < self.steps:
            self._step(plan)
            position.epoch_seconds = before + time.perf_counter() - began
            ends = stop.requested or position.step == self.steps
            if not ends and len(self._tallies) < (1 if self.device.type == "cpu" else _TALLIED):
                continue
            self._tally()
            done = (position.epoch - 1) * self.steps + position.step
            display.step(done, position.epoch, position.loss_sum / position.seen, position.correct / position.seen)
            if stop.requested and position.step < self.steps:
                self._write_checkpoint()
                return
        self._validate()
        if position.epoch > self.epochs - self.averaged:
            self.state.average.add(self.model.state_dict())
        if position.epoch == self.epochs and self.averaged:
            self._validate_average()
        display.validated(self.state.history[-1]["valid_top1"], self.state.best_top1)
        self.state.history[-1]["seconds"] = round(before + time.perf_counter() - began, 3)
        if self.probe is not None:
            self._add_measured(self.probe(self.model))
        self.state.position = position.next_epoch()
        self._write_checkpoint()
        self._write_results()
        if self.on_epoch is not None:
            self.on_epoch(self.state.history[-1])

    def _step(self, plan: EpochPlan) -> None:
        """One batch. Batches of an epoch differ by one image at most, so that none is too small to be fair."""
        position = self.state.position
        start, stop = (len(self.train) * i // self.steps for i in (position.step, position.step + 1))
        images, labels = plan.batch(self.train, start, stop)
        step = (position.epoch - 1) * self.steps + position.step
        set_learning_rates(self.optimizer, self.recipe.lr_factor(step, self.steps, self.epochs))
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            logits: Tensor = self.model(images)
            with torch.no_grad():
                taught = None if self.teacher is None else self.teacher(images).float()
        loss = training_loss(logits.float(), labels, taught, self.recipe)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        finite = clip_gradients(self.model, self.recipe, wait=self.device.type == "cpu")
        self.optimizer.step()
        position.step += 1
        correct = (logits.detach().argmax(1) == labels).sum()
        self._tallies.append(torch.stack([loss.detach().double() * len(labels), correct.double(), finite.double()]))
        position.seen += len(labels)

    def _tally(self) -> None:
        """Add the losses and right answers of the steps since the last call to the epoch's."""
        for loss, correct, finite in torch.stack(self._tallies).tolist():
            if not finite:
                refuse_non_finite(self.model)
            self.state.position.loss_sum += loss
            self.state.position.correct += int(correct)
        self._tallies.clear()

    def _validate(self) -> None:
        """Record the epoch that ends, and keep its weights when none was better on the validation split."""
        state, position = self.state, self.state.position
        result = evaluate(self.model, self.valid)
        state.history.append(
            {
                "epoch": position.epoch,
                "lr": self.optimizer.param_groups[0]["lr"],
                "train_loss": position.loss_sum / position.seen,
                "train_top1": position.correct / position.seen,
                "valid_loss": result.loss,
                "valid_top1": result.top1,
            }
        )
        self._keep_if_best(result.top1)

    def _keep_if_best(self, top1: float) -> None:
        """The model's weights, if their validation accuracy is the highest so far."""
        if top1 > self.state.best_top1:
            self.state.best_epoch, self.state.best_top1 = self.state.position.epoch, top1
            self.state.best_weights = _copied(self.model)

    def _validate_average(self) -> None:
        """Add the averaged weights' accuracy to the last epoch's record, and keep them when they are the best."""
        last = _copied(self.model)
        self.model.load_state_dict(self.state.average.weights)
        shown = self.train.subset(min(REFRESHING, len(self.train)), self.seed)
        refresh_statistics(self.model, shown, min(self.recipe.batch_size, len(shown)))
        top1 = evaluate(self.model, self.valid).top1
        self.state.history[-1]["average_valid_top1"] = top1
        self._keep_if_best(top1)
        self.model.load_state_dict(last)

    def _add_measured(self, measured: Mapping[str, Any]) -> None:
        """What a probe measured, into the record of the epoch that ends."""
        record = self.state.history[-1]
        taken = sorted(measured.keys() & record.keys())
        if taken:
            raise OstinatoError(f"The probe measures {taken[0]!r}, which every epoch's record has; name it otherwise.")
        record.update(measured)

    def _write_checkpoint(self) -> None:
        if self.run_dir is not None:
            path = self.run_dir / "checkpoint.pt"
            save_training(path, self.state, self.model, self.optimizer, self.config)

    def _write_results(self) -> None:
        """`model.pt` and `metrics.jsonl`, both made from the state that the checkpoint holds."""
        if self.run_dir is None or not self.state.history:
            return
        best: Mapping[str, Any] = {"epoch": self.state.best_epoch, "valid_top1": self.state.best_top1}
        save_state(self.run_dir / "model.pt", self.state.best_weights, meta={**self.meta, **best})
        lines = "".join(json.dumps(record) + "\n" for record in self.state.history)
        write_atomically(self.run_dir / "metrics.jsonl", lines.encode())


def _copied(model: nn.Module) -> dict[str, Tensor]:
    """A model's state on the CPU, of its own."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
