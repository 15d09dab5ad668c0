"""What learning the hash is worth: one layer at a time, equal steps, several seeds.

    python benchmarks/fine_tuning.py cifarnet-cifar10 --data-dir DIR [--scope image]

Each way starts from the same calibrated and refitted network (its calibration images drawn by the seed) and is trained
for equally long with the same recipe; the conventional network is, too. Top-1 on held-out training images, never the
test set, before and after. Every finished training is kept in docs/results/fine-tuning-<data>.json, or
fine-tuning-<data>-image.json; the same command goes on from there, and writes the page beside it at the end.
"""

from __future__ import annotations

import argparse
import copy
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from torch import nn

from ostinato import data
from ostinato.data import ImageDataset
from ostinato.errors import ModelError
from ostinato.files import write_atomically
from ostinato.models.zoo import checkpoint_path
from ostinato.nn import calibrate, convert
from ostinato.pipeline.networks import FINE_TUNE_LR, calibration_images, load_network
from ostinato.reuse import Pattern
from ostinato.training import evaluate, fit
from provenance import COMMIT, RESULTS, machine, provenance

SEEDS = (0, 1, 2)
LAYERS = {
    "compiled": {"conv2": Pattern(length=8, hashes=6, scope="compiled", sharing="block", init="itq")},
    "image": {"conv1": Pattern(length=15, hashes=6, init="itq"), "conv2": Pattern(length=32, hashes=3, init="itq")},
}
"""By scope: the patterns of the end-to-end runs."""

WAYS: dict[str, dict[str, Any]] = {
    "hyperplanes (ITQ), frozen": {"gradient": "frozen"},
    "hyperplanes, flip estimator": {"gradient": "flip", "gradient_rows": 8_192},
    "hyperplanes, flip estimator, slope 5": {"gradient": "flip", "gradient_rows": 8_192, "flip_slope": 5.0},
    "hyperplanes, flip estimator, 50,000 rows": {"gradient": "flip", "gradient_rows": 50_000},
    "hyperplanes, flip estimator, slope 5, 50,000 rows": {
        "gradient": "flip",
        "flip_slope": 5.0,
        "gradient_rows": 50_000,
    },
    "hyperplanes, straight-through": {"gradient": "straight-through", "gradient_rows": 8_192},
    "hyperplanes, TREC's gradient": {"gradient": "trec"},
    "tree, frozen": {"clustering": "tree", "init": "pca", "gradient": "frozen"},
}
CONVENTIONAL = "conventional"


@dataclass(frozen=True)
class Run:
    """One training: validation top-1 (0 ... 1) before it, and after its last epoch; None where it diverged."""

    layer: str
    way: str
    seed: int
    before: float
    after: float | None
    commit: str | None = COMMIT


def trained(
    conventional: nn.Module, dataset: ImageDataset, case: tuple[str, str, int], options: argparse.Namespace
) -> Run:
    """The training of a (layer, way, seed). Its last epoch counts: the best one would be chosen on these images."""
    layer, way, seed = case
    network = copy.deepcopy(conventional)
    if way != CONVENTIONAL:
        pattern = replace(LAYERS[options.scope][layer], seed=seed, **WAYS[way])
        network = convert(network, {layer: pattern})
        calibrate(network, calibration_images(dataset, 500, seed))
    before = evaluate(network, dataset.valid).top1
    try:
        result = fit(
            network, dataset, epochs=options.epochs, lr=FINE_TUNE_LR[options.scope], seed=seed,
            train_limit=options.images, teacher=copy.deepcopy(conventional).eval(), precision="bfloat16",
            progress=False,
        )  # fmt: skip
    except ModelError:  # a gradient that is not finite
        return Run(*case, before, None)
    return Run(*case, before, float(result.history[-1]["valid_top1"]))


def cases(scope: str) -> list[tuple[str, str, int]]:
    """All (layer, way, seed); a seed's come together, so that a program that is stopped has whole seeds."""
    rows = [("", CONVENTIONAL), *((layer, way) for layer in LAYERS[scope] for way in WAYS)]
    return [(*row, seed) for seed in SEEDS for row in rows]


def table(runs: list[Run]) -> str:
    """Rows of the runs that there are, in the order of `cases`."""
    head = "| layer | network | seeds | calibrated, mean (range) | trained, mean (range) |"
    lines = [head, "|---|---|---:|---:|---:|"]
    for layer, way in dict.fromkeys((run.layer, run.way) for run in runs):
        found = [run for run in runs if run.layer == layer and run.way == way]
        after = _spread([run.after for run in found])
        lines.append(f"| {layer} | {way} | {len(found)} | {_spread([run.before for run in found])} | {after} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="trained conventional network: a folder, a file, or one of the package's")
    parser.add_argument("--data-dir")
    parser.add_argument("--scope", choices=sorted(LAYERS), default="compiled")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000, help="training images an epoch")
    parser.add_argument("--valid", type=int, help="validation images; all, if not given")
    parser.add_argument("--redraw", action="store_true", help="train nothing: the page of what has been trained")
    options = parser.parse_args()
    conventional, meta = load_network(checkpoint_path(options.network))
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    if options.valid:
        dataset = replace(dataset, valid=dataset.valid.subset(options.valid, int(meta["seed"])))
    suffix = "" if options.scope == "compiled" else f"-{options.scope}"
    path = RESULTS / f"fine-tuning-{meta['dataset']}{suffix}.json"
    command = f"python benchmarks/fine_tuning.py {Path(options.network).name} --data-dir DIR --scope {options.scope}"
    command += f" --epochs {options.epochs} --images {options.images}"
    command += f" --valid {options.valid}" if options.valid else ""
    runs = finished(path, command)
    for case in () if options.redraw else cases(options.scope):
        if case not in [(run.layer, run.way, run.seed) for run in runs]:
            runs.append(trained(conventional, dataset, case, options))
            print(*asdict(runs[-1]).values(), flush=True)
            record = {"command": command, "machine": machine(), "runs": [asdict(run) for run in runs]}
            write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    write_atomically(path.with_suffix(".md"), page(runs, options, meta, len(dataset.valid), command).encode())
    print(path.with_suffix(".md"))


def page(runs: list[Run], options: argparse.Namespace, meta: dict[str, Any], valid: int, command: str) -> str:
    """The page of the runs that there are."""
    start = next(run.before for run in runs if run.way == CONVENTIONAL)
    patterns = "; ".join(f"`{layer}`: {pattern}" for layer, pattern in LAYERS[options.scope].items())
    commits = ", ".join(f"`{commit}`" for commit in dict.fromkeys(run.commit for run in runs))
    return f"""# Fine-tuning in {options.scope} scope: {meta["model"]} on {meta["dataset"]}

One layer reused at a time. {patterns}, with the gradient and the clustering of the row. All networks start from one
conventional network ({100 * start:.1f} %), calibrated and refitted on 500 images, and train for {options.epochs} epochs
of {options.images:,} images, distilled from it, in bfloat16. Top-1 in percent on {valid:,} validation
images, last epoch. Hash gradients are of 8,192 vectors, if nothing else is
said. Seeds count from 0. Trained at {commits}, written at the commit below.

{table(runs)}

{provenance(command, ", ".join(map(str, SEEDS)))}"""


def finished(path: Path, command: str) -> list[Run]:
    """What an earlier start of the same command has done."""
    record = json.loads(path.read_text()) if path.exists() else {}
    return [Run(**run) for run in record["runs"]] if record.get("command") == command else []


def _spread(values: list[float] | list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return f"{len(values) - len(known)} of {len(values)} diverged"
    return f"{100 * mean(known):.1f} ({100 * min(known):.1f}–{100 * max(known):.1f})"


if __name__ == "__main__":
    main()
