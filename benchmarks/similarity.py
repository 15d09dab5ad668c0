"""DR Fig. 6: remaining ratio r_c against accuracy, by clustering scope, granularity and similarity; inference only.

    python benchmarks/similarity.py
    python benchmarks/similarity.py --data cifar10 --data-dir DIR --network runs/cifar/conventional

One convolution of the trained network is reused at a time with k-means, which shows how similar the vectors are rather
than what a device could save; each curve is a sweep over the number of clusters 2^H. Beside it, as only hashes can work
across batches, the same for LSH in scopes `image`, `batch` and `across_batches`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
from torch import nn

from figures import COLOURS, LAYERS, PAPERS_ORDER, Curve, Panel, Setup, Study, draw, parser, percent, reused, run, table
from ostinato.data import Split
from ostinato.reuse import Pattern
from ostinato.training import evaluate

WHOLE = {"conv1": 75, "conv2": 1600}
"""K: the vector is a whole row of im2col."""

Point = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """What is tried. `lengths`: L by layer; `clusters`: H (2^H clusters) by layer and scope; `hashes`: H of LSH."""

    lengths: Mapping[str, Sequence[int]]
    clusters: Mapping[tuple[str, str], Sequence[int]]
    hashes: Sequence[int]
    seeds: Sequence[int]


FULL = Grid(
    lengths={"conv1": (5, 25, 75), "conv2": (25, 200, 1600)},
    clusters={
        ("conv1", "image"): (2, 4, 6, 8), ("conv1", "batch"): (3, 5, 7, 8),
        ("conv2", "image"): (2, 4, 6), ("conv2", "batch"): (3, 5, 7),
    },
    hashes=(3, 5, 8, 11, 15),
    seeds=(0, 1, 2),
)  # fmt: skip
EQUAL_CHANNELS = "The digits' three channels are equal: in conv1, whole rows and slices of 25 have the same clusters."
MOST_COSTLY = 7  # H beyond which the shortest slices, of which there are the most, are left out


def kmeans_points(network: nn.Module, split: Split, batch: int, grid: Grid) -> list[Point]:
    points = []
    for layer in LAYERS:
        for length in grid.lengths[layer]:
            for scope in ("image", "batch"):
                for similarity in ("angular", "euclidean"):
                    for hashes in grid.clusters[layer, scope]:
                        if length < 25 and hashes > MOST_COSTLY:
                            continue
                        pattern = Pattern(length, hashes, PAPERS_ORDER, scope, clustering="kmeans",
                                          similarity=similarity, gradient="frozen")  # fmt: skip
                        top1, stats = reused(network, layer, pattern, split, batch)
                        points.append({"layer": layer, "scope": scope, "L": length, "similarity": similarity,
                                       "H": hashes, "r_c": 1 - stats.r_t, "top1": top1})  # fmt: skip
    return points


def lsh_points(network: nn.Module, split: Split, batch: int, grid: Grid) -> list[Point]:
    """Means and ranges over the seeds of the random hash vectors."""
    points = []
    for layer in LAYERS:
        for length in (25, WHOLE[layer]):
            for scope in ("image", "batch", "across_batches"):
                for hashes in grid.hashes:
                    found = [
                        reused(network, layer, Pattern(length, hashes, PAPERS_ORDER, scope, representative="mean",
                                                       gradient="frozen", seed=seed), split, batch)
                        for seed in grid.seeds
                    ]  # fmt: skip
                    accuracies = [top1 for top1, _ in found]
                    points.append({"layer": layer, "scope": scope, "L": length, "H": hashes,
                                   "r_c": mean(1 - stats.r_t for _, stats in found), "top1": mean(accuracies),
                                   "lowest": min(accuracies), "highest": max(accuracies)})  # fmt: skip
    return points


def select(points: Sequence[Point], **wanted: Any) -> list[Point]:
    """Those with these values, by r_c."""
    chosen = [point for point in points if all(point[key] == value for key, value in wanted.items())]
    return sorted(chosen, key=lambda point: point["r_c"])


def advantage(one: Sequence[Point], other: Sequence[Point]) -> float | None:
    """Mean difference in top-1 at equal r_c, over the log r_c that both curves have; None if they have none."""
    low = max(one[0]["r_c"], other[0]["r_c"])
    high = min(one[-1]["r_c"], other[-1]["r_c"])
    if low >= high:
        return None
    at = np.linspace(np.log(low), np.log(high), 50)
    curves = [np.interp(at, np.log([p["r_c"] for p in points]), [p["top1"] for p in points]) for points in (one, other)]
    return float((curves[0] - curves[1]).mean())


def claims(points: Sequence[Point], lengths: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Each of the paper's statements as differences in points of accuracy at equal r_c, one for each pair of curves."""
    rows: list[dict[str, Any]] = []

    def compare(what: str, layer: str, pairs: Mapping[str, tuple[list[Point], list[Point]]]) -> None:
        differences = {name: advantage(one, other) for name, (one, other) in pairs.items()}
        rows.append({"claim": what, "layer": layer, "differences": differences})

    for layer in LAYERS:
        def curve(length: int, scope: str, similarity: str, layer: str = layer) -> list[Point]:
            return select(points, layer=layer, L=length, scope=scope, similarity=similarity)

        kinds = ("angular", "euclidean")
        compare("batch above image", layer, {
            f"L={length} {kind}": (curve(length, "batch", kind), curve(length, "image", kind))
            for length in lengths[layer] for kind in kinds
        })  # fmt: skip
        compare("angular above Euclidean", layer, {
            f"L={length} {scope}": (curve(length, scope, "angular"), curve(length, scope, "euclidean"))
            for length in lengths[layer] for scope in ("image", "batch")
        })  # fmt: skip
        for scope in ("image", "batch"):
            compare(f"L=25 above whole rows, {scope} scope", layer, {
                kind: (curve(25, scope, kind), curve(WHOLE[layer], scope, kind)) for kind in kinds
            })  # fmt: skip
    return rows


PAPER = {
    ("batch above image", "conv1"): "always", ("batch above image", "conv2"): "always",
    ("angular above Euclidean", "conv1"): "always",
    ("angular above Euclidean", "conv2"): "always, but for whole rows of one image",
    ("L=25 above whole rows, image scope", "conv1"): "no", ("L=25 above whole rows, batch scope", "conv1"): "yes",
    ("L=25 above whole rows, image scope", "conv2"): "yes", ("L=25 above whole rows, batch scope", "conv2"): "yes",
}  # fmt: skip


def page(numbers: Mapping[str, Any]) -> str:
    rows = []
    for row in numbers["claims"]:
        differences = row["differences"]
        known = [value for value in differences.values() if value is not None]
        share = f"{sum(value > 0 for value in known)} of {len(known)}"
        text = ", ".join(f"{name} {_points(value)}" for name, value in differences.items())
        rows.append([row["claim"], row["layer"], PAPER[row["claim"], row["layer"]], share, text])
    heading = ("accuracy at equal r_c", "layer", "the paper", "here for", "difference in points, mean over the range")
    added = ", ".join(f"{length} ({layer})" for layer in LAYERS for length in numbers["lengths"][layer]
                      if length not in (25, WHOLE[layer]))  # fmt: skip
    best = [max(select(numbers["kmeans"], layer=layer), key=lambda p: (p["top1"], -p["r_c"])) for layer in LAYERS]
    least = ", ".join(f"{percent(p['top1'])} ({p['layer']}: L={p['L']}, {p['scope']}, {p['similarity']}, "
                      f"r_c {p['r_c']:.3f})" for p in best)  # fmt: skip
    return f"""
Remaining ratio r_c = clusters/vectors against top-1 on {numbers["images"]:,} test images, one layer of the trained
network reused at a time, its weights untouched. Above: k-means with 2^H clusters for each slice, of every image
(`image`) or of every {numbers["batch"]} images together (`batch`). Below: LSH with {numbers["draws"]} draws of random
hashes for each slice (mean and range), where scope `across_batches` exists as well: an id's result, of the mean of
the vectors that had it first, is kept for all later batches, and r_c counts what had to be computed. k-means builds
its clusters for one input, so it has no such scope (DR §III-B2), and for LSH without thresholds angular and Euclidean
are the same.

Conventional: {percent(numbers["conventional"])} %. Best of k-means: {least}.

{table(heading, rows)}

A dash: the two curves have no r_c in common. A difference of a point is {numbers["images"] / 100:.1f} images; both
curves see the same ones.

**What differs**: the paper's CifarNet is TensorFlow slim's, ours the TREC authors' (no padding, batch normalisation);
its batch size, number of images and k-means are not printed (ours: ten rounds of Lloyd, begun with vectors drawn by a
seed; centroids are means of the vectors themselves in both similarities, so that angular clusters lose the lengths).
Its sub-vectors have 25 numbers, the taps of one channel; we add {added}. Slices of 5 have at most 2^{MOST_COSTLY}
clusters.

{EQUAL_CHANNELS if numbers["data"] == "digits" else ""}
"""


def _points(difference: float | None) -> str:
    return "–" if difference is None else f"{100 * difference:+.1f}"


def panels(numbers: Mapping[str, Any]) -> list[list[Panel]]:
    level = (100 * numbers["conventional"], "conventional")

    def panel(layer: str, method: str, curves: Sequence[Curve]) -> Panel:
        return Panel(f"{layer}, {method}", "remaining ratio r_c", "top-1, %", curves, level, log_x=True)

    def curve(label: str, points: Sequence[Point], **look: Any) -> Curve:
        return Curve(label, [p["r_c"] for p in points], [100 * p["top1"] for p in points], **look)

    above, below = [], []
    for layer in LAYERS:
        clustered = [
            curve(f"{scope}, {'whole' if length == WHOLE[layer] else f'L={length}'}, {similarity}",
                  select(numbers["kmeans"], layer=layer, L=length, scope=scope, similarity=similarity),
                  colour=COLOURS[at + 3 * (scope == "image")], dashes="-" if similarity == "angular" else ":",
                  marker="o" if scope == "batch" else "s")
            for scope in ("batch", "image")
            for at, length in enumerate(numbers["lengths"][layer])
            for similarity in ("angular", "euclidean")
        ]  # fmt: skip
        above.append(panel(layer, "k-means", clustered))
        hashed = []
        for scope, colour in zip(("image", "batch", "across_batches"), COLOURS, strict=False):
            for length, dashes in ((25, "-"), (WHOLE[layer], ":")):
                points = select(numbers["lsh"], layer=layer, L=length, scope=scope)
                hashed.append(curve(f"{scope}, {'whole' if dashes == ':' else 'L=25'}", points, colour=colour,
                                    dashes=dashes, low=[100 * p["lowest"] for p in points],
                                    high=[100 * p["highest"] for p in points]))  # fmt: skip
        below.append(panel(layer, "LSH, random hashes", hashed))
    return [above, below]


def study(network: nn.Module, split: Split, batch: int, grid: Grid) -> dict[str, Any]:
    kmeans = kmeans_points(network, split, batch, grid)
    return {
        "images": len(split), "batch": batch, "lengths": {layer: list(grid.lengths[layer]) for layer in LAYERS},
        "draws": len(grid.seeds), "conventional": evaluate(network, split).top1, "kmeans": kmeans,
        "lsh": lsh_points(network, split, batch, grid), "claims": claims(kmeans, grid.lengths),
    }  # fmt: skip


def drawing(numbers: Mapping[str, Any]) -> bytes:
    subtitle = (f"CifarNet on {numbers['data']}, {numbers['images']} test images, batches of {numbers['batch']}, "
                "one layer at a time")  # fmt: skip
    return draw("Remaining ratio against accuracy", subtitle, panels(numbers), width=6.0, height=4.4)


def measure(options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    seeds = f"{', '.join(map(str, FULL.seeds))} (LSH), 0 (k-means); network seed {setup.seed}"
    return {"seeds": seeds, **study(setup.network, setup.test(options.images), options.batch, FULL)}


def main() -> None:
    made = parser(__doc__, images=250)
    made.add_argument("--batch", type=int, default=10, help="images that scope batch clusters together")
    run(Study("similarity", "Scope, granularity, similarity (DR Fig. 6)", measure, page, drawing), made)


if __name__ == "__main__":
    main()
