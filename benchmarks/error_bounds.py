"""Which number predicts what a reuse pattern costs in accuracy: published bound, corrected bound, error, or r_t?

    python benchmarks/error_bounds.py --out runs/error_bounds.json
    python benchmarks/error_bounds.py --data-dir DIR --network runs/cifar/conventional --out runs/error_bounds.json

Trains CifarNet (or loads --network with the data it was trained on), replaces one convolution at a time by reuse in
image scope with random hashes, as GR §4.1's lightweight check does, and ranks the patterns by `ostinato.theory`'s
numbers on a few training images against the loss and accuracy of the network on the validation split (held-out training
images). Prints a table for each layer with Spearman's rank correlations, and writes all of it as JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr  # comes with scikit-learn
from torch import Tensor, nn

import ostinato as ost
from ostinato.data import ImageDataset, to_input
from ostinato.files import write_atomically
from ostinato.pipeline.job import commit
from ostinato.pipeline.networks import load_network
from ostinato.theory import ReuseErrors, layer_errors
from provenance import machine

LENGTHS = {"conv1": (3, 5, 15, 25, 75), "conv2": (4, 8, 25, 64, 320)}
"""Both orders' natural slices: (part of) a pixel's channels, a kernel row or window of one channel, a kernel row."""

PREDICTORS: dict[str, Callable[[dict[str, Any]], float]] = {
    "published": lambda record: record["published"] / record["variation"],
    "corrected": lambda record: record["corrected"] / record["variation"],
    "measured": lambda record: record["measured"] / record["variation"],
    "not normalised": lambda record: record["measured"],
    "r_t": lambda record: record["r_t"],
}
"""What may rank patterns. Inside a layer the variation ‖Y − mean‖² is constant; it matters between layers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="where CIFAR-10 is; the embedded digits when not given")
    parser.add_argument("--network", type=Path, help="folder of a trained conventional CifarNet; trained here if none")
    parser.add_argument("--epochs", type=int, default=4, help="of the training here")
    parser.add_argument("--hashes", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the random hashes; all are patterns")
    parser.add_argument("--images", type=int, default=20, help="training images for bounds, errors and r_t")
    parser.add_argument("--valid", type=int, default=500, help="validation images for loss and accuracy, at most")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model, dataset = conventional(options.network, options.data_dir, options.epochs)
    result = compare(model, dataset, options.hashes, options.seeds, options.images, options.valid)
    names = ("network", "epochs", "hashes", "seeds", "images")
    settings = {name: getattr(options, name) for name in names}
    settings["network"] = None if options.network is None else options.network.name
    made = {"data": dataset.name, "commit": commit(), "machine": machine(), "settings": settings}
    write_atomically(options.out, (json.dumps(made | result, indent=1) + "\n").encode())
    show(result)


def conventional(folder: Path | None, data_dir: str | None, epochs: int) -> tuple[nn.Module, ImageDataset]:
    """The network whose layers are reused, in evaluation mode, and its data, split as in its training."""
    if folder is not None:
        model, meta = load_network(folder / "model.pt")
        return model.eval(), ost.data.load(meta["dataset"], data_dir, seed=int(meta["seed"]))
    dataset = ost.data.load("cifar10" if data_dir else "digits", data_dir)
    torch.manual_seed(0)
    model = ost.models.cifarnet(num_classes=len(dataset.classes))
    ost.fit(model, dataset, epochs=epochs, progress=sys.stderr.isatty())
    return model.eval(), dataset


def compare(
    model: nn.Module, dataset: ImageDataset, hashes: Sequence[int], seeds: Sequence[int], images: int, valid: int
) -> dict[str, Any]:
    """One record per layer and pattern, and the correlations per layer."""
    few = to_input(dataset.train.subset(images, 0).images)
    held_out = dataset.valid.subset(min(valid, len(dataset.valid)), 0)
    before = ost.evaluate(model, held_out)
    layers: dict[str, Any] = {}
    for name, lengths in LENGTHS.items():
        inputs = input_of(model, name, few)
        records = []
        for order, length, count, seed in itertools.product(("kh.kw.c", "c.kh.kw"), lengths, hashes, seeds):
            pattern = ost.Pattern(length, count, order, gradient="frozen", seed=seed)
            reuse = ost.convert(model, {name: pattern})
            errors = errors_of(reuse.get_submodule(name), inputs)
            after = ost.evaluate(reuse, held_out)
            records.append(
                {"order": order, "length": length, "hashes": count, "seed": seed}
                | dataclasses.asdict(errors)
                | {"loss": after.loss, "top1": after.top1}
            )
        layers[name] = {"patterns": records, **ranking(records)}
    both = ranking([record for layer in layers.values() for record in layer["patterns"]])
    conventional = {"loss": before.loss, "top1": before.top1, "images": before.n}
    return {"conventional": conventional, "layers": layers, "both layers": both}


def input_of(model: nn.Module, name: str, images: Tensor) -> Tensor:
    """What the layer gets when the model runs on `images`."""
    seen: list[Tensor] = []
    handle = model.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model(images)
    handle.remove()
    return seen[0]


def errors_of(layer: nn.Module, x: Tensor) -> ReuseErrors:
    assert isinstance(layer, ost.ReuseConv2d)
    return layer_errors(x, layer.weight, layer.hash_vectors, layer.thresholds, layer.geometry, layer.pattern)


def ranking(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Spearman's ρ of each predictor with the loss and the error rate, and how near the bounds came to the error."""
    targets = {"loss": [r["loss"] for r in records], "error rate": [1 - r["top1"] for r in records]}
    rho = {
        name: {
            target: float(spearmanr([predict(r) for r in records], values).statistic)
            for target, values in targets.items()
        }
        for name, predict in PREDICTORS.items()
    }
    nearest = {
        bound: min(r[bound] / r["measured"] for r in records if r["measured"]) for bound in ("published", "corrected")
    }
    return {"spearman": rho, "smallest bound over measured error": nearest}


def show(result: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 110)
    before = result["conventional"]
    console.print(f"conventional: loss {before['loss']:.3f}, top-1 {before['top1']:.3f} ({before['images']} images)")
    for name, layer in result["layers"].items():
        console.print(patterns_table(name, layer["patterns"]))
    console.print("Bounds and errors are over the outputs' variation ‖Y − mean‖². Spearman's ρ:")
    rho = Table("", "with", *PREDICTORS)
    for name, layer in (*result["layers"].items(), ("both layers", result["both layers"])):
        for target in ("loss", "error rate"):
            rho.add_row(name, target, *(f"{layer['spearman'][predictor][target]:.2f}" for predictor in PREDICTORS))
    console.print(rho)
    for bound, ratio in result["both layers"]["smallest bound over measured error"].items():
        console.print(f"The {bound} bound is at least {ratio:.2f} times the measured error.")


def patterns_table(name: str, records: Sequence[dict[str, Any]]) -> Table:
    table = Table("order", "L", "H", "seed", "published", "corrected", "measured", "r_t", "loss", "top-1", title=name)
    for r in sorted(records, key=lambda r: r["loss"]):
        relative = [f"{PREDICTORS[key](r):.3g}" for key in ("published", "corrected", "measured")]
        table.add_row(
            r["order"], str(r["length"]), str(r["hashes"]), str(r["seed"]), *relative,
            f"{r['r_t']:.3f}", f"{r['loss']:.3f}", f"{r['top1']:.3f}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
