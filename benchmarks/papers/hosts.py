"""Deep Reuse's networks and its reuse: AlexNet trained on the spot, patterns with random hashes, FLOPs counted.

ImageNet is not at hand. CifarNet comes along trained; AlexNet, whose weights are too many for that, is trained by its
recipe (CIFAR-10's images enlarged to 96×96) in runs/papers, and found there by the next program.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import fragments
import torch
from fragments import BATCH, Bench
from theirs import DR_TABLE2
from torch import nn

from figures import PAPERS_ORDER
from named_data import dataset
from ostinato import models
from ostinato.data import Split, to_input
from ostinato.models.zoo import entries
from ostinato.nn import convert, measure_reuse
from ostinato.nn.convert import reuse_layers
from ostinato.pipeline.recipe_files import network_of, read_recipe
from ostinato.pipeline.train import train_recipe
from ostinato.reuse import Pattern, layer_cost
from ostinato.training import evaluate

NETWORKS = ("cifarnet-cifar10", "alexnet-cifar10")
FULL = {"epochs": 30, "train": 45_000}
QUICK = {"epochs": 1, "train": 1000}
"""Of a network that is trained here."""
SHORT = 3
"""The shortest slice that is tried: recovery's additions are a third of the conventional FLOPs."""


def bench(network: str, root: Path) -> Bench:
    """A network that comes along, or one with a recipe, not yet trained."""
    if network in entries():
        return fragments.bench(network, root)
    recipe = read_recipe(network)
    images = dataset(recipe.data, root)
    torch.manual_seed(0)
    made = network_of(recipe, images.num_classes, images.image_size).eval()
    return Bench(network, recipe.network, made, images, root)


def trained(given: Bench, s: argparse.Namespace) -> Bench:
    """The bench with its network trained for `s.epochs` on `s.train` images, unless it comes along trained."""
    if given.name in entries():
        return given
    recipe = dataclasses.replace(read_recipe(given.name), epochs=s.epochs)
    limit = min(s.train, len(given.dataset.train))
    folder = Path("runs") / "papers" / f"{given.name}-{s.epochs}-{limit}"
    network = train_recipe(recipe, given.dataset, folder, train_limit=limit, progress=False)
    return dataclasses.replace(given, network=network.eval())


def described(given: Bench, s: argparse.Namespace) -> str:
    """Where its weights are from."""
    if given.name in entries():
        return "the trained network that comes along"
    images = min(s.train, len(given.dataset.train))
    return f"trained here for {s.epochs} epochs on {images:,} images ({given.dataset.name})"


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}


def deep_reuse_pattern(length: int, hashes: int, seed: int = 0) -> Pattern:
    """DR's default: angular similarity, clusters over the batch, random hashes for every slice."""
    return Pattern(length, hashes, PAPERS_ORDER, "batch", similarity="angular", gradient="frozen", seed=seed)


def printed(given: Bench, seed: int = 0) -> dict[str, Pattern]:
    """DR Table II's L and H by layer."""
    rows = zip(convolutions(given.network), DR_TABLE2[given.model], strict=True)
    return {name: deep_reuse_pattern(row[1], row[0], seed) for name, row in rows}


@dataclass(frozen=True)
class Counted:
    """Accuracy and FLOPs (a multiply-accumulate is two) for one image, of the reused layers together."""

    top1: float
    conventional: float
    flops: float
    r_c: Mapping[str, float]
    savings: Mapping[str, float]

    @property
    def saving(self) -> float:
        """Conventional FLOPs over those with reuse."""
        return self.conventional / self.flops


def counted(network: nn.Module, split: Split) -> Counted:
    """In batches of BATCH images, which share clusters."""
    layers = reuse_layers(network)
    sizes: dict[str, tuple[int, int]] = {}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda _, args, name=name: sizes.update({name: tuple(args[0].shape[2:])}))
    with measure_reuse(network) as stats:
        top1 = evaluate(network, split, batch_size=BATCH).top1
    r_c = {name: 1 - found.r_t for name, found in stats.items()}
    costs = {name: layer_cost(la.geometry, la.pattern, *sizes[name], r_c=r_c[name]) for name, la in layers.items()}
    return Counted(
        top1, sum(c.conventional for c in costs.values()), sum(c.total for c in costs.values()), r_c,
        {name: c.conventional / c.total for name, c in costs.items()},
    )  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """A layer's pattern and, reused alone with it, points of held-out top-1 lost (0 ... 1) and FLOPs saved (×)."""

    pattern: Pattern
    loss: float
    saving: float


def chosen(given: Bench, split: Split, tolerance: float) -> dict[str, Choice]:
    """L and H of each layer by itself as DR §V-A chooses them: of those that keep the accuracy, the greatest saving.

    Tried: Table II's L and H, and shorter slices and fewer hashes. Where none loses at most `tolerance`, it is the most
    accurate one.
    """
    dense = evaluate(given.network, split).top1
    found = {}
    for name, theirs in printed(given).items():
        tried = []
        for length in sorted({theirs.length, -(-theirs.length // 2), min(theirs.length, SHORT)}):
            for hashes in sorted({theirs.hashes, 10, 6}):
                pattern = deep_reuse_pattern(length, min(hashes, theirs.hashes))
                one = counted(convert(given.network, {name: pattern}), split)
                tried.append(Choice(pattern, dense - one.top1, one.saving))
        good = [t for t in tried if t.loss <= tolerance]
        found[name] = max(good, key=lambda t: t.saving) if good else min(tried, key=lambda t: t.loss)
    return found


def whole_macs(given: Bench) -> int:
    """Of all layers for one image."""
    return models.macs(given.network, to_input(given.dataset.test.images[:1]))
