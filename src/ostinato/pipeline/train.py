"""A recipe file followed: train, and where it says so, prune and fine-tune."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ostinato.data import ImageDataset, to_input
from ostinato.pipeline.networks import finished
from ostinato.pipeline.recipe_files import Pruning, RecipeFile, network_of
from ostinato.training import PruningReport, Recipe, fit, load_model_state, prune_channels
from ostinato.training.evaluation import device_of

UNPRUNED = "unpruned"
"""Sub-folder of a pruned network's folder: the whole one's training."""


def train_recipe(
    recipe: RecipeFile,
    dataset: ImageDataset,
    folder: Path,
    *,
    seed: int = 0,
    train_limit: int | None = None,
    progress: bool = True,
    start: Path | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """The recipe's network, trained in `folder` (or taken from it; a training that was stopped there goes on).

    With pruning, the whole network is trained in `folder/unpruned` first. `start`: a checkpoint whose weights it has
    at the beginning. `device`: where it is trained and left.

    Raises:
        OstinatoError: what the recipe asks for cannot be done with this network or data set.
        InterruptedRunError: after Ctrl-C; the same call goes on.
    """
    torch.manual_seed(seed)
    network: nn.Module = network_of(recipe, dataset.num_classes, dataset.image_size)
    if start is not None:
        load_model_state(start, network)
    result = fit(
        network.to(device),
        dataset,
        epochs=recipe.epochs,
        recipe=recipe.training,
        seed=seed,
        run_dir=folder / UNPRUNED if recipe.pruning else folder,
        progress=progress,
        train_limit=train_limit,
        precision=recipe.precision,  # type: ignore[arg-type]  # checked when it was read
        meta={"recipe_file": recipe.name},
    )
    network = finished(result, network)
    if recipe.pruning is None:
        return network
    smaller, _ = prune_and_tune(
        network,
        dataset,
        folder,
        recipe.pruning,
        recipe.training,
        precision=recipe.precision,
        seed=seed,
        train_limit=train_limit,
        progress=progress,
        name=recipe.name,
    )
    return smaller


def prune_and_tune(
    network: nn.Module,
    dataset: ImageDataset,
    folder: Path,
    pruning: Pruning,
    training: Recipe,
    *,
    precision: str = "float32",
    seed: int = 0,
    train_limit: int | None = None,
    progress: bool = True,
    name: str | None = None,
) -> tuple[nn.Module, PruningReport]:
    """A trained network without its least important channels, fine-tuned in `folder` with the whole one as teacher.

    Where the whole one is, the smaller one is trained and left.

    Raises:
        ModelError: the network cannot be pruned so.
        InterruptedRunError: after Ctrl-C; the same call goes on.
    """
    device, example = device_of(network), to_input(dataset.train.images[:1])
    smaller, report = prune_channels(network.cpu(), example, size=pruning.size, keep=pruning.keep)
    network.to(device)
    result = fit(
        smaller.to(device),
        dataset,
        epochs=pruning.epochs,
        recipe=training,
        lr=pruning.lr,
        seed=seed,
        run_dir=folder,
        progress=progress,
        teacher=network.eval(),
        train_limit=train_limit,
        precision=precision,  # type: ignore[arg-type]  # fit checks it
        meta={} if name is None else {"recipe_file": name},
    )
    return finished(result, smaller), report
