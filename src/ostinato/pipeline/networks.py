"""From a data set to the trained float network of each method, each in a folder of its own and never made twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ostinato import models
from ostinato.data import ImageDataset, to_input
from ostinato.errors import OstinatoError
from ostinato.firmware import plan
from ostinato.models.stored import load_network as load_network  # also asked for here
from ostinato.models.zoo import MODEL_FILE as MODEL_FILE
from ostinato.nn import calibrate, convert
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.methods import Method
from ostinato.reuse import Pattern, StemPattern
from ostinato.training import FitResult, compile_tables, fit, load_model_state, save_model

Say = Callable[[str], None]

CONVENTIONAL = "conventional"

FINE_TUNE_LR = {"image": 0.01, "batch": 0.01, "compiled": 0.003}
"""Of the modern recipe, by scope, below its own 0.05: the weights start trained.

Compiled networks start closer to where they end; a larger rate first takes them away from there (CifarNet on CIFAR-10,
L=8, H=5, validation top-1 after epochs 1 and 3: 75.6 and 76.8 % at 0.01; 77.0 and 76.9 % at 0.002).
"""


class InterruptedRunError(OstinatoError):
    """Ctrl-C ended a run early; the same command goes on."""

    exit_code = 130


def calibration_images(dataset: ImageDataset, count: int, seed: int) -> Tensor:
    """`count` training images (all, if there are fewer) as model inputs (N, 3, H, W); labels are not used."""
    return to_input(dataset.train.subset(min(count, len(dataset.train)), seed).images)


def untrained(config: RunConfig, dataset: ImageDataset) -> nn.Module:
    """The conventional network as it begins."""
    return models.create(config.model, num_classes=dataset.num_classes, image_size=dataset.image_size)


def check_external(config: RunConfig, dataset: ImageDataset) -> None:
    """That the board has the external flash that is asked for, and the network the layers: before any training.

    Raises:
        UnsupportedError: it has not.
    """
    if config.external_flash != "never":
        images = to_input(dataset.train.images[:1])
        plan(untrained(config, dataset), images, board=config.board, external_flash=config.external_flash)


def train_conventional(
    config: RunConfig,
    dataset: ImageDataset,
    folder: Path,
    *,
    progress: bool = True,
    start: Path | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """The conventional network, trained (or taken from `folder`, where an earlier training ended or stopped).

    `start`: a checkpoint whose weights it has at the beginning. `device`: where it is trained and left.
    """
    torch.manual_seed(config.seed)
    network = untrained(config, dataset)
    if start is not None:
        load_model_state(start, network)
    result = fit(
        network.to(device),
        dataset,
        epochs=config.schedule.epochs,
        seed=config.seed,
        run_dir=folder,
        progress=progress,
        train_limit=config.train_limit,
        precision=config.precision,  # type: ignore[arg-type]  # checked by RunConfig
    )
    return finished(result, network)


def reuse_network(
    config: RunConfig,
    dataset: ImageDataset,
    conventional: nn.Module,
    method: Method,
    folder: Path,
    *,
    say: Say,
    progress: bool = True,
) -> nn.Module:
    """The network of a reuse method: converted, calibrated, fine-tuned with the conventional one as its teacher.

    Taken from `folder` when it is there already; a fine-tuning that was stopped there goes on.
    """
    done = folder / "finished"
    if done.exists():
        return load_network(folder / MODEL_FILE)[0]
    say("calibrating: hashes, centroids" + (", closed-form refit" if method.refit else ""))
    network = _calibrated(config, dataset, conventional, method)
    meta = {
        "patterns": pattern_meta(method.patterns),
        "classes": list(dataset.classes),
        **_architecture(config, dataset),
    }
    if method.fine_tune and config.schedule.fine_tune_epochs:
        fine_tune(config, dataset, network, conventional, folder, meta=meta, progress=progress)
    else:
        save_model(folder / MODEL_FILE, network, meta={**meta, "dataset": dataset.name, "seed": config.seed})
    done.touch()
    return network.eval()


def _calibrated(config: RunConfig, dataset: ImageDataset, conventional: nn.Module, method: Method) -> nn.Module:
    images = calibration_images(dataset, config.calibration_images, config.seed)
    if method.recipe:
        return compile_tables(conventional, images, method.patterns, refit=method.refit, refit_dense=False)
    network = convert(conventional, dict(method.patterns), example_input=images[:1])
    return calibrate(network, images, refit=method.refit)


def fine_tune(
    config: RunConfig,
    dataset: ImageDataset,
    network: nn.Module,
    teacher: nn.Module,
    folder: Path,
    *,
    meta: Mapping[str, Any],
    progress: bool = True,
) -> nn.Module:
    """Train with reuse in the loop, in the scope that is deployed."""
    scopes = {fields.get("scope", "compiled") for fields in meta["patterns"].values()}  # a stem has tables, too
    limits = [n for n in (config.train_limit, config.schedule.image_scope_images if "image" in scopes else None) if n]
    result = fit(
        network,
        dataset,
        epochs=config.schedule.fine_tune_epochs,
        lr=max(FINE_TUNE_LR[scope] for scope in scopes),
        seed=config.seed,
        run_dir=folder,
        progress=progress,
        teacher=teacher.eval(),
        train_limit=min([*limits, len(dataset.train)]),
        precision=config.precision,  # type: ignore[arg-type]  # checked by RunConfig
        meta=meta,
    )
    return finished(result, network)


def pattern_meta(patterns: Mapping[str, Pattern | StemPattern]) -> dict[str, dict[str, Any]]:
    """Patterns as a checkpoint's header keeps them."""
    return {name: asdict(pattern) for name, pattern in patterns.items()}


def _architecture(config: RunConfig, dataset: ImageDataset) -> dict[str, Any]:
    return {
        "model": config.model,
        "kwargs": {"num_classes": dataset.num_classes, "image_size": dataset.image_size},
    }


def finished(result: FitResult, network: nn.Module) -> nn.Module:
    """`network` in evaluation mode. Raises InterruptedRunError when its training was stopped."""
    if result.stopped:
        raise InterruptedRunError(
            f"Stopped after {len(result.history)} epochs of this network; the same command goes on from there."
        )
    return network.eval()
