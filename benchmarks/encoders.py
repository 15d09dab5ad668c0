"""How well each way of hashing keeps a layer's output and the network's accuracy, calibrated and refitted, not trained.

    python benchmarks/encoders.py runs/cifar/conventional --data-dir DIR

For every pattern: top-1 on held-out training images (never the test set) and the relative error of the layer's output,
‖Y − Ŷ‖² / ‖Y − mean‖², both over several draws of the calibration images. Writes docs/results/encoders-<data>.md.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from ostinato import data
from ostinato.data import ImageDataset, to_input
from ostinato.files import write_atomically
from ostinato.nn import calibrate, convert
from ostinato.pipeline.networks import calibration_images, load_network
from ostinato.reuse import Pattern, channel_grouping
from ostinato.reuse.pattern_rules import LSH_INITS, TREE_INITS
from ostinato.training import evaluate
from provenance import RESULTS, provenance

SEEDS = (0, 1, 2)
CALIBRATION = 500
ERROR_IMAGES = 400


@dataclass(frozen=True)
class Result:
    """A pattern on a layer, and what each draw of calibration images gave."""

    layer: str
    pattern: Pattern
    refit: bool
    grouped: bool
    top1: list[float]
    error: list[float]

    def cells(self) -> tuple[str, ...]:
        """The table's row."""
        p = self.pattern
        hashing = f"tree, {p.init}" if p.clustering == "tree" else p.init
        hashing += ", grouped" if self.grouped else ""
        hashing += ", one per layer" if p.sharing == "layer" else ""
        top1 = f"{100 * mean(self.top1):.1f} ({100 * min(self.top1):.1f}–{100 * max(self.top1):.1f})"
        return (self.layer, p.scope, str(p.length), str(p.hashes), hashing, "yes" if self.refit else "no", top1,
                f"{mean(self.error):.3f}")  # fmt: skip


def patterns() -> list[tuple[str, Pattern, bool, bool]]:
    """(layer, pattern, refit, channels grouped) of every row."""
    compiled: dict[str, Any] = {"scope": "compiled", "sharing": "block", "gradient": "frozen"}
    fixed: dict[str, Any] = {"gradient": "frozen"}
    tree: dict[str, Any] = {"clustering": "tree", **fixed}
    rows: list[tuple[str, Pattern, bool, bool]] = []
    for layer, length, hashes in (("conv2", 8, 4), ("conv2", 8, 6), ("conv2", 4, 3), ("conv2", 4, 4), ("conv2", 16, 6),
                                  ("conv1", 3, 6), ("conv1", 3, 8)):  # fmt: skip
        inits = LSH_INITS if (length, hashes) in ((8, 4), (8, 6)) else ("random", "itq")
        rows += [(layer, Pattern(length, hashes, init=init, **compiled), True, False) for init in inits]
        rows += [(layer, Pattern(length, hashes, init=i, **{**compiled, **tree}), True, False) for i in TREE_INITS]
        if layer == "conv2":
            grouped = (Pattern(length, hashes, init=init, **{**compiled, **tree}) for init in ("pca", "polished"))
            rows += [(layer, pattern, True, True) for pattern in grouped]
    rows.append(("conv2", Pattern(8, 6, init="pca", **{**compiled, **tree}), False, False))
    contiguous = {**compiled, **tree, "sharing": "layer"}  # slices of a whole kernel row
    rows += [("conv1", Pattern(15, 6, init=init, **contiguous), True, False) for init in ("pca", "polished")]
    for layer, length, hashes in (("conv1", 15, 4), ("conv1", 15, 6), ("conv2", 32, 3), ("conv2", 16, 4)):
        rows += [(layer, Pattern(length, hashes, init=i, **fixed), True, False) for i in ("random", "pca", "itq")]
        rows += [(layer, Pattern(length, hashes, init=i, **tree), True, False) for i in ("pca", "polished")]
    return rows


def group_channels(network: nn.Module, pattern: Pattern, images: Tensor) -> None:
    """CifarNet with conv2's input channels permuted by `channel_grouping`, folded into conv1 and bn1; in place."""
    conv1, bn1, conv2 = (network.get_submodule(name) for name in ("conv1", "bn1", "conv2"))
    x = layer_input(network, "conv2", images)
    order = channel_grouping(x.permute(0, 2, 3, 1).flatten(0, 2), conv2.weight, pattern.length, pattern.hashes)
    with torch.no_grad():
        for tensor in (conv1.weight, conv1.bias, bn1.weight, bn1.bias, bn1.running_mean, bn1.running_var):
            if tensor is not None:
                tensor.copy_(tensor[order])
        conv2.weight.copy_(conv2.weight[:, order])


def measure(network: nn.Module, dataset: ImageDataset, row: tuple[str, Pattern, bool, bool], images: Tensor) -> Result:
    layer, pattern, refit, grouped = row
    result = Result(layer, pattern, refit, grouped, [], [])
    for seed in SEEDS:
        calibration, exact = calibration_images(dataset, CALIBRATION, seed), copy.deepcopy(network)
        if grouped:
            group_channels(exact, pattern, calibration)
        reuse = convert(copy.deepcopy(exact), {layer: pattern})
        calibrate(reuse, calibration, refit=refit)
        result.top1.append(evaluate(reuse.eval(), dataset.valid).top1)
        result.error.append(relative_error(exact, reuse, layer, images))
    return result


@torch.no_grad()
def layer_input(network: nn.Module, layer: str, images: Tensor) -> Tensor:
    """What `layer` sees when the network runs on `images`."""
    inputs: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_pre_hook(lambda _m, args: inputs.append(args[0]))
    network(images)
    handle.remove()
    return inputs[0]


@torch.no_grad()
def relative_error(network: nn.Module, reuse: nn.Module, layer: str, images: Tensor) -> float:
    """‖Y − Ŷ‖² / ‖Y − mean over images and positions‖² of one layer, both fed by the conventional network."""
    x = layer_input(network, layer, images)
    exact, made = network.get_submodule(layer)(x), reuse.get_submodule(layer)(x)
    spread = (exact - exact.mean((0, 2, 3), keepdim=True)).square().sum()
    return float((exact - made).square().sum() / spread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="folder of a trained conventional network")
    parser.add_argument("--data-dir")
    parser.add_argument(
        "--only", default="", help="print only rows whose pattern has this text"
    )
    options = parser.parse_args()
    network, meta = load_network(options.network / "model.pt")
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    images = to_input(dataset.valid.images[:ERROR_IMAGES])
    conventional = evaluate(network, dataset.valid).top1
    heading = ("layer", "scope", "L", "H", "hashes", "refit", "top-1 %, valid: mean (range)", "relative error")
    lines = [heading, tuple("---" for _ in heading)]
    for row in patterns():
        if options.only in f"{row[0]} {row[1]} {row[1].init}":
            lines.append(measure(network, dataset, row, images).cells())
            print(" | ".join(lines[-1]), flush=True)
    if options.only:
        return
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    command = f"python benchmarks/encoders.py {options.network} --data-dir DIR"
    seeds = f"{', '.join(map(str, SEEDS))} (of the calibration images); network seed {meta['seed']}"
    text = f"""# Encoders: {meta["model"]} on {meta["dataset"]}

One layer reused at a time, calibrated on {CALIBRATION} training images and not trained, hashes per slice (image scope)
or per channel block (compiled scope), order `kh.kw.c`; grouped: conv2's input channels permuted
(`channel_grouping`), which folds into conv1. Conventional: {100 * conventional:.1f} % on the same
{len(dataset.valid):,} validation images. Mean and range over {len(SEEDS)} draws of the calibration images; one
trained network.

{table}

{provenance(command, seeds)}"""
    path = RESULTS / f"encoders-{meta['dataset']}.md"
    write_atomically(path, text.encode())
    print(path)


if __name__ == "__main__":
    main()
