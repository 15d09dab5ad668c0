"""TREC Fig. 8: the redundancy ratio r_t by the number of images that are clustered together.

    python benchmarks/batch_size.py
    python benchmarks/batch_size.py --data cifar10 --data-dir DIR --network runs/cifar/conventional

One convolution at a time works in scope `batch` with random hashes, on the same test images in batches of 1 to 256, and
top-1 is looked at, too: a batch of one is what a device sees.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean
from typing import Any

from torch import nn

from figures import COLOURS, LAYERS, PAPERS_ORDER, Curve, Panel, Setup, Study, draw, parser, percent, reused, run, table
from ostinato.data import Split
from ostinato.reuse import Pattern
from ostinato.training import evaluate
from short_training import CONFIGURATIONS

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SEEDS = (0, 1)


def by_batch(network: nn.Module, split: Split, batches: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
    """r_t and top-1 by layer, for each batch size: a list over the draws of the hashes."""
    layers: dict[str, Any] = {}
    for layer in LAYERS:
        length, hashes = CONFIGURATIONS[layer]
        points = []
        for batch in batches:
            found = [
                reused(network, layer, Pattern(length, hashes, PAPERS_ORDER, "batch", "layer", gradient="frozen",
                                               seed=seed), split, batch)
                for seed in seeds
            ]  # fmt: skip
            r_t, top1 = [stats.r_t for _, stats in found], [top1 for top1, _ in found]
            points.append({"batch": batch, "r_t": r_t, "top1": top1})
        layers[layer] = {"L": length, "H": hashes, "points": points}
    return {"images": len(split), "conventional": evaluate(network, split).top1, "layers": layers}


def page(numbers: Mapping[str, Any]) -> str:
    layers = numbers["layers"]
    rows = []
    for points in zip(*(layers[layer]["points"] for layer in LAYERS), strict=True):
        ratios = [mean(point["r_t"]) for point in points]
        accuracies = [f"{_range(point['top1'])}" for point in points]
        rows.append([str(points[0]["batch"]), *(f"{r_t:.4f}" for r_t in ratios), f"{mean(ratios):.4f}", *accuracies])
    heading = ("batch", *(f"r_t, {layer}" for layer in LAYERS), "average", *(f"top-1, {layer}" for layer in LAYERS))
    curves = {layer: [mean(point["r_t"]) for point in layers[layer]["points"]] for layer in LAYERS}
    rises = all(after >= before for curve in curves.values() for before, after in pairwise(curve))
    gain = ", ".join(f"{curve[0]:.4f} to {curve[-1]:.4f} ({layer})" for layer, curve in curves.items())
    ends = {layer: [mean(layers[layer]["points"][at]["top1"]) for at in (0, -1)] for layer in LAYERS}
    top1 = ", ".join(f"{percent(first)} to {percent(last)} ({layer})" for layer, (first, last) in ends.items())
    price = f"Top-1 goes from {top1}"
    if any(first - last > 0.01 for first, last in ends.values()):
        price += ": with H fixed, the clusters of more images are the coarser ones"
    settings = ", ".join(f"{layer} L={layers[layer]['L']}, H={layers[layer]['H']}" for layer in LAYERS)
    return f"""
r_t = 1 − clusters/vectors in scope `batch`, one layer reused at a time ({settings}: TREC Table 3), the same
{numbers["images"]:,} test images in batches of each size; means over {len(layers["conv1"]["points"][0]["r_t"])} draws
of random hashes, one matrix for a layer. Top-1 in percent (range over the draws), the trained weights untouched;
conventional: {percent(numbers["conventional"])} %.

{table(heading, rows)}

**The paper**: the average r_t of each network grows with the batch. **Here** it grows from {gain}; that it never
falls {"is" if rises else "is not"} reproduced. It could hardly be otherwise: with fixed hashes, the clusters of a
batch are at most as many as those of its parts together. {price}. The first row is what a device with a batch of one
has.

**What differs**: the paper's networks were trained with TREC, so their hashes are learned; ours are random. It
averages over the layers of five networks, we show the two of CifarNet and their mean; its batch sizes cannot be read
from the text.
"""


def _range(values: Sequence[float]) -> str:
    low, high = percent(min(values)), percent(max(values))
    return low if low == high else f"{low}–{high}"


def drawing(numbers: Mapping[str, Any]) -> bytes:
    ratios, accuracies = [], []
    for layer, colour in zip(LAYERS, COLOURS, strict=False):
        found = numbers["layers"][layer]
        at = [point["batch"] for point in found["points"]]
        label = f"{layer}, L={found['L']}, H={found['H']}"
        ratios.append(Curve(label, at, [mean(point["r_t"]) for point in found["points"]], colour))
        accuracies.append(Curve(label, at, [100 * mean(point["top1"]) for point in found["points"]], colour,
                                low=[100 * min(point["top1"]) for point in found["points"]],
                                high=[100 * max(point["top1"]) for point in found["points"]]))  # fmt: skip
    average = [mean(pair) for pair in zip(ratios[0].y, ratios[1].y, strict=True)]
    ratios.append(Curve("average", ratios[0].x, average, COLOURS[2], dashes=":"))
    level = (100 * numbers["conventional"], "conventional")
    subtitle = f"CifarNet on {numbers['data']}, {numbers['images']} test images, random hashes, one layer at a time"
    return draw("Redundancy by batch size", subtitle, [[
        Panel("redundancy ratio", "images clustered together", "r_t", ratios, log_x=True, ticks=ratios[0].x),
        Panel("accuracy", "images clustered together", "top-1, %", accuracies, level, log_x=True, ticks=ratios[0].x),
    ]])  # fmt: skip


def measure(options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    split = setup.test(options.images)
    batches = [batch for batch in BATCHES if batch <= len(split)]
    seeds = f"{', '.join(map(str, SEEDS))} (hash vectors); network seed {setup.seed}"
    return {"seeds": seeds, **by_batch(setup.network, split, batches, SEEDS)}


def main() -> None:
    run(Study("batch-size", "Redundancy by batch size (TREC Fig. 8)", measure, page, drawing), parser(__doc__, 512))


if __name__ == "__main__":
    main()
