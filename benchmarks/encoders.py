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

import torch
from torch import Tensor, nn

from ostinato import data
from ostinato.data import ImageDataset, to_input
from ostinato.files import write_atomically
from ostinato.nn import calibrate, convert
from ostinato.pipeline.networks import calibration_images, load_network
from ostinato.reuse import Pattern
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
    top1: list[float]
    error: list[float]

    def cells(self) -> tuple[str, ...]:
        """The table's row."""
        p = self.pattern
        hashing = "tree" if p.clustering == "tree" else p.init
        top1 = f"{100 * mean(self.top1):.1f} ({100 * min(self.top1):.1f}–{100 * max(self.top1):.1f})"
        return (self.layer, p.scope, str(p.length), str(p.hashes), hashing, "yes" if self.refit else "no", top1,
                f"{mean(self.error):.3f}")  # fmt: skip


def patterns() -> list[tuple[str, Pattern, bool]]:
    """(layer, pattern, refit) of every row."""
    compiled = {"scope": "compiled", "sharing": "block", "gradient": "frozen"}
    fixed = {"gradient": "frozen"}
    tree = {"init": "pca", "clustering": "tree", **fixed}
    rows: list[tuple[str, Pattern, bool]] = []
    for length, hashes in ((8, 4), (8, 6), (4, 4), (16, 6)):
        inits = ("random", "median", "pca", "itq")
        rows += [("conv2", Pattern(length, hashes, init=init, **compiled), True) for init in inits]
        rows.append(("conv2", Pattern(length, hashes, **{**compiled, **tree}), True))
    rows.append(("conv2", Pattern(8, 6, **{**compiled, **tree}), False))
    for layer, length, hashes in (("conv1", 15, 4), ("conv1", 15, 6), ("conv2", 32, 3), ("conv2", 16, 4)):
        rows += [(layer, Pattern(length, hashes, init=init, **fixed), True) for init in ("random", "pca", "itq")]
        rows.append((layer, Pattern(length, hashes, **tree), True))
    return rows


def measure(
    network: nn.Module, dataset: ImageDataset, layer: str, pattern: Pattern, refit: bool, images: Tensor
) -> Result:
    result = Result(layer, pattern, refit, [], [])
    for seed in SEEDS:
        reuse = convert(copy.deepcopy(network), {layer: pattern})
        calibrate(reuse, calibration_images(dataset, CALIBRATION, seed), refit=refit)
        result.top1.append(evaluate(reuse.eval(), dataset.valid).top1)
        result.error.append(relative_error(network, reuse, layer, images))
    return result


@torch.no_grad()
def relative_error(network: nn.Module, reuse: nn.Module, layer: str, images: Tensor) -> float:
    """‖Y − Ŷ‖² / ‖Y − mean over images and positions‖² of one layer, both fed by the conventional network."""
    inputs: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_pre_hook(lambda _m, args: inputs.append(args[0]))
    network(images)
    handle.remove()
    exact, made = network.get_submodule(layer)(inputs[0]), reuse.get_submodule(layer)(inputs[0])
    spread = (exact - exact.mean((0, 2, 3), keepdim=True)).square().sum()
    return float((exact - made).square().sum() / spread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="folder of a trained conventional network")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    network, meta = load_network(options.network / "model.pt")
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    images = to_input(dataset.valid.images[:ERROR_IMAGES])
    conventional = evaluate(network, dataset.valid).top1
    heading = ("layer", "scope", "L", "H", "hashes", "refit", "top-1 %, valid: mean (range)", "relative error")
    lines = [heading, tuple("---" for _ in heading)]
    for layer, pattern, refit in patterns():
        lines.append(measure(network, dataset, layer, pattern, refit, images).cells())
        print(" | ".join(lines[-1]), flush=True)
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    command = f"python benchmarks/encoders.py {options.network} --data-dir DIR"
    seeds = f"{', '.join(map(str, SEEDS))} (of the calibration images); network seed {meta['seed']}"
    text = f"""# Encoders: {meta["model"]} on {meta["dataset"]}

One layer reused at a time, calibrated on {CALIBRATION} training images and not trained, hashes per slice (image scope)
or per channel block (compiled scope), order `kh.kw.c`. Conventional: {100 * conventional:.1f} % on the same
{len(dataset.valid):,} validation images. Mean and range over {len(SEEDS)} draws of the calibration images; one
trained network.

{table}

{provenance(command, seeds)}"""
    path = RESULTS / f"encoders-{meta['dataset']}.md"
    write_atomically(path, text.encode())
    print(path)


if __name__ == "__main__":
    main()
