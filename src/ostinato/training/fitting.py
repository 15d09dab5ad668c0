"""`fit`: train a model, keep the weights that are best on the validation split, survive being stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from ostinato.checkpoints.models import check_finite, complete_meta
from ostinato.data import ImageDataset
from ostinato.errors import DataError, ModelError, OstinatoError
from ostinato.training.recipes import Recipe, resolve
from ostinato.training.state import seed_everything
from ostinato.training.trainer import Trainer

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class FitResult:
    """What came out of `fit`.

    `history`: one record per completed epoch (epoch, lr, train_loss, train_top1, valid_loss, valid_top1, seconds);
    the last one also has the `average_valid_top1` of averaged weights.
    `best_epoch` (from 1; 0 when none was completed) and its `valid_top1` in 0 ... 1: the weights the model now has
    (averaged ones count as the last's).
    `seconds`: training time over all sessions. `stopped`: Ctrl-C ended it early, `message` says how to go on.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    valid_top1: float
    seconds: float
    stopped: bool
    message: str = ""


def fit(
    model: nn.Module,
    dataset: ImageDataset,
    *,
    epochs: int,
    recipe: str | Recipe = "modern",
    batch_size: int | None = None,
    lr: float | None = None,
    hash_lr: float | None = None,
    average_share: float | None = None,
    table_lr_power: float | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
    teacher: nn.Module | None = None,
    train_limit: int | None = None,
    precision: Precision = "float32",
    meta: Mapping[str, Any] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    probe: Callable[[nn.Module], Mapping[str, Any]] | None = None,
) -> FitResult:
    """Train `model` in place on `dataset.train`; it ends with the weights of the epoch best on `dataset.valid`.

    Training is where the model is: `fit(model.to("cuda"), ...)` takes the images there, too; a teacher must be there.
    The test split is never read. Parameters named `hash_vectors` or `thresholds` have their own learning rate
    (`hash_lr`), no weight decay and their own gradient clip. `recipe` is "modern", "trec" (TREC §5.1) or a
    `Recipe`; `batch_size`, `lr`, `hash_lr`, `average_share` (0.5: the mean of the weights of the last half of the
    epochs is tried, too) and `table_lr_power` (of free tables) override it. `teacher` adds distillation;
    `train_limit` trains on that many images only. `precision="bfloat16"` computes in bfloat16 where PyTorch's
    autocast does (twice as fast on CPUs with AVX-512 BF16, slower on others); weights and evaluation stay float32.

    The global generators of python, NumPy and PyTorch are seeded with `seed`. With `run_dir`, each epoch writes
    `checkpoint.pt`, `model.pt` (best weights, `meta`) and `metrics.jsonl` atomically, and a training found there
    goes on from where it stopped, to the same weights as if it had not. Ctrl-C ends at the next step.

    `on_epoch` gets each epoch's record when it is on disk. `probe` gets the model before that; what it measures (names
    to what JSON can hold) joins the record. It must leave the model and the random generators as they were.

    Raises DataError, ModelError (NaN gradients or weights, naming them) or CheckpointError (run_dir).
    """
    chosen = _override(
        resolve(recipe), batch_size=batch_size, lr=lr, hash_lr=hash_lr, average_share=average_share,
        table_lr_power=table_lr_power,
    )  # fmt: skip
    _check(model, dataset, epochs, teacher, precision)
    train = dataset.train if train_limit is None else dataset.train.subset(train_limit, seed)
    described = {
        "classes": list(dataset.classes),
        "dataset": dataset.name,
        "seed": seed,
        "recipe": asdict(chosen),
        **(meta or {}),
    }
    seed_everything(seed)
    trainer = Trainer(
        model=model,
        train=train,
        valid=dataset.valid,
        augmentation=dataset.augmentation,
        recipe=chosen,
        epochs=epochs,
        seed=seed,
        teacher=teacher,
        bfloat16=precision == "bfloat16",
        run_dir=None if run_dir is None else Path(run_dir),
        meta=complete_meta(model, described),
        config={
            "dataset": dataset.name,
            "train_images": len(train),
            "valid_images": len(dataset.valid),
            "epochs": epochs,
            "seed": seed,
            "precision": precision,
            "teacher": teacher is not None,
            **asdict(chosen),
        },
        on_epoch=on_epoch,
        probe=probe,
    )
    finished = trainer.run(resume=resume, progress=progress)
    state = trainer.state
    return FitResult(
        history=state.history,
        best_epoch=state.best_epoch,
        valid_top1=max(state.best_top1, 0.0),
        seconds=state.seconds,
        stopped=not finished,
        message="" if finished else _how_to_go_on(len(state.history), epochs, run_dir),
    )


def _override(recipe: Recipe, **given: Any) -> Recipe:
    return replace(recipe, **{key: value for key, value in given.items() if value is not None})


def _check(model: nn.Module, dataset: ImageDataset, epochs: int, teacher: nn.Module | None, precision: str) -> None:
    if epochs < 1:
        raise OstinatoError(f"epochs={epochs}; training needs at least 1.")
    if precision not in ("float32", "bfloat16"):
        raise OstinatoError(f"precision={precision!r}; known: 'float32', 'bfloat16'.")
    if teacher is model:
        raise ModelError("The teacher is the model itself; give a copy (copy.deepcopy) that training leaves alone.")
    for name, split in (("training", dataset.train), ("validation", dataset.valid)):
        if len(split) == 0:
            raise DataError(f"{dataset.name}: the {name} split is empty.")
    check_finite(model.state_dict())


def _how_to_go_on(done: int, epochs: int, run_dir: str | Path | None) -> str:
    if run_dir is None:
        return f"Stopped after {done} of {epochs} epochs; without run_dir nothing was saved to go on from."
    return f"Stopped after {done} of {epochs} epochs; the same call with run_dir={str(run_dir)!r} goes on."
