"""TREC Fig. 6: accuracy (and r_t) by the length L of the vectors and the number H of hashes.

    python benchmarks/hash_parameters.py
    python benchmarks/hash_parameters.py --data cifar10 --data-dir DIR --network runs/cifar/conventional

One convolution of the trained network is reused: with random hashes and the weights as they are (Deep Reuse), and with
hashes and weights trained on (TREC). As the paper changes two things at once, a third curve trains the weights alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

from figures import COLOURS, LAYERS, PAPERS_ORDER, Curve, Panel, Setup, Study, draw, parser, percent, run, table
from ostinato.data import Split
from ostinato.reuse import Pattern
from ostinato.training import evaluate
from short_training import CONFIGURATIONS, EVALUATED, RECIPE, add_options, few, steps, trained, untrained


@dataclass(frozen=True)
class Sweeps:
    """H with L as in TREC Table 3, and L by layer with H fixed; `seeds` of Deep Reuse's hashes."""

    hashes: Sequence[int]
    lengths: Mapping[str, Sequence[int]]
    fixed_hashes: int
    seeds: Sequence[int]

    def settings(self, layer: str) -> list[tuple[str, int, int]]:
        """(sweep, L, H) of the layer's points."""
        length = CONFIGURATIONS[layer][0]
        by_hashes = [("H", length, hashes) for hashes in self.hashes]
        return by_hashes + [("L", length, self.fixed_hashes) for length in self.lengths[layer]]


FULL = Sweeps((5, 10, 15), {"conv1": (5, 25, 75), "conv2": (10, 50, 200)}, 10, (0, 1, 2))


def pattern(length: int, hashes: int, gradient: str, seed: int = 0) -> Pattern:
    return Pattern(length, hashes, PAPERS_ORDER, "batch", "layer", gradient=gradient, seed=seed)


def study(setup: Setup, sweeps: Sweeps, images: int, test: Split, epochs: int) -> dict[str, Any]:
    dataset = few(setup.dataset, images)
    done: dict[tuple[str, int, int], dict[str, Any]] = {}
    points = []
    for layer in LAYERS:
        for sweep, length, hashes in sweeps.settings(layer):
            key = layer, length, hashes
            if key not in done:
                done[key] = _point(setup, dataset, test, epochs, key, sweeps.seeds)
                print(key, done[key], flush=True)
            points.append({"layer": layer, "sweep": sweep, "L": length, "H": hashes, **done[key]})
    return {
        "training_images": len(dataset.train), "test_images": len(test), "epochs": epochs,
        "conventional": evaluate(setup.network, test).top1, "points": points,
    }  # fmt: skip


def _point(
    setup: Setup, dataset: Any, test: Split, epochs: int, key: tuple[str, int, int], seeds: Sequence[int]
) -> dict[str, Any]:
    layer, length, hashes = key
    draws = [untrained(setup.network, layer, pattern(length, hashes, "frozen", seed), test) for seed in seeds]
    learned = trained(setup.network, dataset, layer, pattern(length, hashes, "trec"), test, epochs)
    weights = trained(setup.network, dataset, layer, pattern(length, hashes, "frozen"), test, epochs)
    return {
        "deep_reuse": [draw["top1"] for draw in draws], "deep_reuse_r_t": mean(draw["r_t"] for draw in draws),
        "trec": learned["top1"], "trec_r_t": learned["r_t"],
        "weights_only": weights["top1"], "weights_only_r_t": weights["r_t"],
    }  # fmt: skip


def page(numbers: Mapping[str, Any]) -> str:
    rows = []
    for p in numbers["points"]:
        low, high = min(p["deep_reuse"]), max(p["deep_reuse"])
        rows.append([
            p["layer"], p["sweep"], str(p["L"]), str(p["H"]), f"{percent(low)}–{percent(high)}", _accuracy(p["trec"]),
            _accuracy(p["weights_only"]), f"{p['deep_reuse_r_t']:.4f}",
            "–" if p["trec"] is None else f"{p['trec_r_t']:.4f}",
        ])  # fmt: skip
    heading = ("layer", "sweep of", "L", "H", "Deep Reuse", "TREC", "weights only", "r_t, Deep Reuse", "r_t, TREC")
    above, pairs = _wins(numbers["points"], lambda p: max(p["deep_reuse"]))
    learned, _ = _wins(numbers["points"], lambda p: p["weights_only"])
    trends = "; ".join(_trend(numbers["points"], layer, sweep) for layer in LAYERS for sweep in ("H", "L"))
    count = steps(numbers["training_images"], numbers["epochs"])
    return f"""
One layer reused at a time in scope `batch`, order `{PAPERS_ORDER}`, one hash matrix for a layer; top-1 in percent on
{numbers["test_images"]:,} test images in batches of {EVALUATED}. Deep Reuse: random hashes, trained weights
untouched, range over {len(numbers["points"][0]["deep_reuse"])} draws. TREC: hashes (its own gradient) and weights
trained on for {count} steps of {RECIPE.batch_size} images ({numbers["training_images"]:,} images, {numbers["epochs"]}
times), one seed. Weights only: the same with frozen hashes. Conventional, not trained further:
{percent(numbers["conventional"])} %.

{table(heading, rows)}

**The paper**: accuracy rises with H and falls with L, for TREC and Deep Reuse alike; TREC is above Deep Reuse and
more stable. **Here**, from one setting to the next, {trends}. TREC is above the best draw of Deep Reuse at {above} of
{pairs} settings, and above training the weights alone at {learned} of {pairs}: what weights alone gain, too, is not
the merit of learned hashes.

**What differs**: the paper trains 100 epochs from scratch with batches of 256, we {count} steps from trained weights
with the same learning rate; its figure shows four networks, H from 5 to 20 (ours end at 16) and does not name the
fixed L and H (ours: TREC Table 3, and H=10). Scope `batch` is the papers' and no device's.
"""


def _wins(points: Sequence[Mapping[str, Any]], other: Any) -> tuple[int, int]:
    """At how many settings, each counted once, TREC is above `other`, and how many there are."""
    settings = {(p["layer"], p["L"], p["H"]): p for p in points}.values()
    return sum((p["trec"] or 0) > (other(p) or 0) for p in settings), len(settings)


def _trend(points: Sequence[Mapping[str, Any]], layer: str, sweep: str) -> str:
    """Whether accuracy goes the paper's way from each point of a sweep to the next."""
    chosen = [p for p in points if p["layer"] == layer and p["sweep"] == sweep]
    sign = 1 if sweep == "H" else -1
    curves = {"Deep Reuse": [mean(p["deep_reuse"]) for p in chosen], "TREC": [p["trec"] or 0 for p in chosen]}
    ways = []
    for name, values in curves.items():
        agree = sum(sign * (after - before) > 0 for before, after in pairwise(values))
        ways.append(f"{name} {agree} of {len(values) - 1}")
    return f"{layer} {'rises with H' if sweep == 'H' else 'falls with L'}: {', '.join(ways)}"


def _accuracy(top1: float | None) -> str:
    return "diverged" if top1 is None else percent(top1)


def drawing(numbers: Mapping[str, Any]) -> bytes:
    level = (100 * numbers["conventional"], "conventional")
    rows = []
    for sweep in ("H", "L"):
        panels = []
        for layer in LAYERS:
            points = [p for p in numbers["points"] if p["layer"] == layer and p["sweep"] == sweep]
            at = [p[sweep] for p in points]
            curves = [
                Curve("Deep Reuse", at, [100 * mean(p["deep_reuse"]) for p in points], COLOURS[0],
                      low=[100 * min(p["deep_reuse"]) for p in points],
                      high=[100 * max(p["deep_reuse"]) for p in points]),
                Curve("TREC", at, [100 * (p["trec"] or 0) for p in points], COLOURS[1]),
                Curve("weights only", at, [100 * (p["weights_only"] or 0) for p in points], COLOURS[2], dashes=":"),
            ]  # fmt: skip
            fixed = f"L={points[0]['L']}" if sweep == "H" else f"H={points[0]['H']}"
            label = "hashes H" if sweep == "H" else "vector length L"
            panels.append(Panel(f"{layer}, {fixed}", label, "top-1, %", curves, level, sweep == "L", ticks=at))
        rows.append(panels)
    return draw("Accuracy by H and by L", f"CifarNet on {numbers['data']}, batch scope, one layer at a time", rows)


def measure(options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    seeds = f"{', '.join(map(str, FULL.seeds))} (Deep Reuse), 0 (trained); network seed {setup.seed}"
    found = study(setup, FULL, options.train_images, setup.test(options.images), options.train_epochs)
    return {"seeds": seeds, **found}


def main() -> None:
    made = parser(__doc__, images=500)
    add_options(made)
    run(Study("hash-parameters", "Length and hashes (TREC Fig. 6)", measure, page, drawing), made)


if __name__ == "__main__":
    main()
