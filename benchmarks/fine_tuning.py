"""What learning the hash is worth: one layer at a time, equal steps, several seeds.

    python benchmarks/fine_tuning.py runs/cifar/conventional --data-dir DIR [--scope image]

Each way starts from the same calibrated and refitted network (its calibration images drawn by the seed) and is trained
for equally long with the same recipe; the conventional network is, too. Top-1 on held-out training images, never the
test set, before and after. Writes docs/results/fine-tuning-<data>.md, or fine-tuning-<data>-image.md.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from pathlib import Path
from statistics import mean

from torch import nn

from ostinato import data
from ostinato.data import ImageDataset
from ostinato.files import write_atomically
from ostinato.nn import calibrate, convert
from ostinato.pipeline.networks import FINE_TUNE_LR, calibration_images, load_network
from ostinato.reuse import Pattern
from ostinato.training import evaluate, fit
from provenance import RESULTS, provenance

SEEDS = (0, 1, 2)
LAYERS = {
    "compiled": {"conv2": Pattern(length=8, hashes=6, scope="compiled", sharing="block", init="itq")},
    "image": {"conv1": Pattern(length=15, hashes=6, init="itq"), "conv2": Pattern(length=32, hashes=3, init="itq")},
}
"""By scope: the patterns of the end-to-end runs."""

WAYS: dict[str, dict[str, str] | None] = {
    "conventional": None,
    "hyperplanes (ITQ), frozen": {"gradient": "frozen"},
    "hyperplanes, flip estimator": {"gradient": "flip"},
    "hyperplanes, straight-through": {"gradient": "straight-through"},
    "hyperplanes, TREC's gradient": {"gradient": "trec"},
    "tree, frozen": {"clustering": "tree", "init": "pca", "gradient": "frozen"},
}


def trained(
    conventional: nn.Module, dataset: ImageDataset, layer: str, pattern: Pattern | None, scope: str, seed: int,
    epochs: int, images: int,
) -> tuple[float, float]:  # fmt: skip
    """Validation top-1 before and after the last epoch (not the best one, which would be chosen on these images)."""
    network = copy.deepcopy(conventional)
    if pattern is not None:
        network = convert(network, {layer: replace(pattern, seed=seed)})
        calibrate(network, calibration_images(dataset, 500, seed))
    before = evaluate(network, dataset.valid).top1
    result = fit(
        network, dataset, epochs=epochs, lr=FINE_TUNE_LR[scope], seed=seed, train_limit=images,
        teacher=copy.deepcopy(conventional).eval(), precision="bfloat16", progress=False,
    )  # fmt: skip
    return before, float(result.history[-1]["valid_top1"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="folder of a trained conventional network")
    parser.add_argument("--data-dir")
    parser.add_argument("--scope", choices=sorted(LAYERS), default="compiled")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000, help="training images an epoch")
    parser.add_argument("--valid", type=int, help="validation images; all, if not given")
    options = parser.parse_args()
    conventional, meta = load_network(options.network / "model.pt")
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    if options.valid:
        dataset = replace(dataset, valid=dataset.valid.subset(options.valid, int(meta["seed"])))
    start = evaluate(conventional, dataset.valid).top1
    lines = [("layer", "network", "calibrated, mean (range)", "trained, mean (range)"), ("---", "---", "---:", "---:")]
    for layer, learned in LAYERS[options.scope].items():
        for name, fields in WAYS.items():
            if fields is None and layer != next(iter(LAYERS[options.scope])):
                continue  # the same conventional network
            pattern = None if fields is None else replace(learned, **fields)
            runs = [
                trained(conventional, dataset, layer, pattern, options.scope, seed, options.epochs, options.images)
                for seed in SEEDS
            ]
            before, after = zip(*runs, strict=True)
            lines.append(("" if fields is None else layer, name, _spread(before), _spread(after)))
            print(" | ".join(lines[-1]), flush=True)
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    patterns = "; ".join(f"`{layer}`: {pattern}" for layer, pattern in LAYERS[options.scope].items())
    command = f"python benchmarks/fine_tuning.py {options.network.name} --data-dir DIR --scope {options.scope}"
    valid = f" --valid {options.valid}" if options.valid else ""
    text = f"""# Fine-tuning in {options.scope} scope: {meta["model"]} on {meta["dataset"]}

One layer reused at a time. {patterns}, with the gradient and the clustering of the row. All networks start from one
conventional network ({100 * start:.1f} %), calibrated and refitted on 500 images, and train for {options.epochs} epochs
of {options.images:,} images, distilled from it, in bfloat16. Top-1 in percent on {len(dataset.valid):,} validation
images, last epoch.

{table}

{provenance(f"{command} --epochs {options.epochs} --images {options.images}{valid}", ", ".join(map(str, SEEDS)))}"""
    suffix = "" if options.scope == "compiled" else f"-{options.scope}"
    path = RESULTS / f"fine-tuning-{meta['dataset']}{suffix}.md"
    write_atomically(path, text.encode())
    print(path)


def _spread(values: tuple[float, ...]) -> str:
    return f"{100 * mean(values):.1f} ({100 * min(values):.1f}–{100 * max(values):.1f})"


if __name__ == "__main__":
    main()
