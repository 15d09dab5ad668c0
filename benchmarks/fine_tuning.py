"""What learning the hash is worth in compiled scope: one layer, equal steps, several seeds.

    python benchmarks/fine_tuning.py runs/cifar/conventional --data-dir DIR

Each way starts from the same calibrated and refitted network (its calibration images drawn by the seed) and is trained
for equally long with the same recipe; the conventional network is, too. Top-1 on held-out training images, never the
test set, before and after. Writes docs/results/fine-tuning-<data>.md.
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
LAYER = "conv2"
LEARNED = Pattern(length=8, hashes=6, scope="compiled", sharing="block", init="itq")
WAYS: dict[str, Pattern | None] = {
    "conventional": None,
    "hyperplanes (ITQ), frozen": replace(LEARNED, gradient="frozen"),
    "hyperplanes, flip estimator": replace(LEARNED, gradient="flip"),
    "hyperplanes, straight-through": replace(LEARNED, gradient="straight-through"),
    "hyperplanes, TREC's gradient": replace(LEARNED, gradient="trec"),
    "tree, frozen": replace(LEARNED, clustering="tree", init="pca", gradient="frozen"),
}


def trained(
    conventional: nn.Module, dataset: ImageDataset, pattern: Pattern | None, seed: int, epochs: int, images: int
) -> tuple[float, float]:
    """Validation top-1 before and after the last epoch (not the best one, which would be chosen on these images)."""
    network = copy.deepcopy(conventional)
    if pattern is not None:
        network = convert(network, {LAYER: replace(pattern, seed=seed)})
        calibrate(network, calibration_images(dataset, 500, seed))
    before = evaluate(network, dataset.valid).top1
    result = fit(
        network, dataset, epochs=epochs, lr=FINE_TUNE_LR["compiled"], seed=seed, train_limit=images,
        teacher=copy.deepcopy(conventional).eval(), precision="bfloat16", progress=False,
    )  # fmt: skip
    return before, float(result.history[-1]["valid_top1"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="folder of a trained conventional network")
    parser.add_argument("--data-dir")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000, help="training images an epoch")
    options = parser.parse_args()
    conventional, meta = load_network(options.network / "model.pt")
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    start = evaluate(conventional, dataset.valid).top1
    heading = ("network", "calibrated, mean (range)", "trained, mean (range)")
    lines = [heading, ("---", "---:", "---:")]
    for name, pattern in WAYS.items():
        runs = [trained(conventional, dataset, pattern, seed, options.epochs, options.images) for seed in SEEDS]
        before, after = zip(*runs, strict=True)
        lines.append((name, _spread(before), _spread(after)))
        print(" | ".join(lines[-1]), flush=True)
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    command = f"python benchmarks/fine_tuning.py {options.network} --data-dir DIR --epochs {options.epochs}"
    text = f"""# Fine-tuning in compiled scope: {meta["model"]} on {meta["dataset"]}

`{LAYER}` reused with L={LEARNED.length}, H={LEARNED.hashes}, hashes per channel block. All networks start from one
conventional network ({100 * start:.1f} %), calibrated and refitted on 500 images, and train for {options.epochs} epochs
of {options.images:,} images, distilled from it, in bfloat16. Top-1 in percent on {len(dataset.valid):,} validation
images, last epoch.

{table}

{provenance(f"{command} --images {options.images}", ", ".join(map(str, SEEDS)))}"""
    path = RESULTS / f"fine-tuning-{meta['dataset']}.md"
    write_atomically(path, text.encode())
    print(path)


def _spread(values: tuple[float, ...]) -> str:
    return f"{100 * mean(values):.1f} ({100 * min(values):.1f}–{100 * max(values):.1f})"


if __name__ == "__main__":
    main()
