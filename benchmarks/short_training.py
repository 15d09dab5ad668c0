"""Training on with one reused layer, as the scripts for TREC's figures do: the paper's recipe, shortened."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from torch import nn

from figures import measured
from ostinato.data import ImageDataset, Split
from ostinato.errors import ModelError
from ostinato.nn import convert
from ostinato.reuse import Pattern
from ostinato.training import fit
from ostinato.training.recipes import TREC

RECIPE = dataclasses.replace(TREC, batch_size=64, hash_clip_norm=5.0)
"""TREC §5.1 with smaller batches, so that a short training has more steps; clipping at 5 as in the authors' program."""

CONFIGURATIONS = {"conv1": (5, 15), "conv2": (10, 10)}
"""(L, H) of TREC Table 3, which DR Table II has as well."""

EVALUATED = 100  # test images that scope batch clusters together


def add_options(made: argparse.ArgumentParser) -> None:
    """How long to train with reuse."""
    made.add_argument("--train-images", type=int, default=2048, help="training images an epoch, at most")
    made.add_argument("--train-epochs", type=int, default=1, help="of training with reuse")


def few(dataset: ImageDataset, images: int) -> ImageDataset:
    """The data with `images` training images, and so few validation images that training need not wait for them.

    Nothing is selected on them as long as there is one epoch.
    """
    train = dataset.train.subset(min(images, len(dataset.train)), 0)
    return dataclasses.replace(dataset, train=train, valid=dataset.valid.subset(min(100, len(dataset.valid)), 0))


def steps(images: int, epochs: int) -> int:
    return epochs * -(-images // RECIPE.batch_size)


def untrained(network: nn.Module, layer: str, pattern: Pattern, test: Split) -> dict[str, Any]:
    """Top-1 and r_t of the network with its own weights, in batches of 100 test images."""
    return _result(convert(network, {layer: pattern}), layer, test)


def trained(
    network: nn.Module, dataset: ImageDataset, layer: str, pattern: Pattern, test: Split, epochs: int
) -> dict[str, Any]:
    """The same after training on. None where a gradient was not finite, of which the paper warns."""
    model = convert(network, {layer: pattern})
    try:
        fit(model, dataset, epochs=epochs, recipe=RECIPE, progress=False)
    except ModelError:
        return {"top1": None, "r_t": None}
    return _result(model, layer, test)


def _result(model: nn.Module, layer: str, test: Split) -> dict[str, Any]:
    top1, stats = measured(model, layer, test, EVALUATED)
    return {"top1": top1, "r_t": stats.r_t}
