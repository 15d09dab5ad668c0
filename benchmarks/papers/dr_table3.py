"""DR Table III: all convolutions of a network reused at once, without training: speed-up and accuracy lost.

    python benchmarks/papers/dr_table3.py --data-root DIR
    python benchmarks/papers/dr_table3.py --data-root DIR --quick

CifarNet comes along trained; AlexNet is trained here on CIFAR-10's images enlarged to 96×96 (`hosts.py`), since
ImageNet is not at hand, and so is any other network with a recipe (`--networks vgg19-cifar10`). Patterns: Table II's
L and H, and those that Table II's way of choosing finds here on --held training images. FLOPs are counted, every
term; processor time is that of our PyTorch layers on batches of 100 images, one thread. The paper timed a GPU.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

from fragments import BATCH, Bench, Fragment, Reproduction, main, percent, spread
from hosts import (
    FULL,
    NETWORKS,
    QUICK,
    bench,
    chosen,
    counted,
    deep_reuse_pattern,
    described,
    printed,
    trained,
    whole_macs,
)
from theirs import DR_TABLE3
from torch import nn

from figures import table
from ostinato.data import Split
from ostinato.nn import calibrate, convert
from ostinato.nn.convert import reuse_layers
from ostinato.pipeline.networks import calibration_images
from ostinato.reuse import Pattern
from ostinato.training import evaluate

FITTED = "Table II's L and H, hashes fitted (ITQ)"
"""Not the paper's: shows what its random hyperplanes through the origin cost."""


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    given = trained(given, s)
    split, held = given.test(s.images), given.dataset.valid.subset(min(s.held, len(given.dataset.valid)), 0)
    choices = chosen(given, held, s.tolerance)
    ways = {"Table II's L and H": printed(given), "chosen here": {n: c.pattern for n, c in choices.items()}}
    others = 2 * whole_macs(given)  # less the convolutions, below
    seconds = _seconds(given.network, split)
    return {
        "model": given.model, "images": len(split), "held": len(held), "weights": described(given, s),
        "conventional": evaluate(given.network, split).top1, "seconds_per_image": seconds,
        "alone": {name: {"loss": c.loss, "saving": c.saving} for name, c in choices.items()},
        "rows": {way: _row(given, split, _drawn(given, patterns, s.draws), others) for way, patterns in ways.items()}
        | {FITTED: _row(given, split, [_fitted(given, ways["Table II's L and H"], s.held)], others)},
        "seeds": f"0 (weights, choice), 0 to {s.draws - 1} (random hashes)",
    }  # fmt: skip


def _drawn(given: Bench, patterns: dict[str, Pattern], draws: int) -> list[nn.Module]:
    """The network with random hashes by seed 0, 1, ..."""
    return [
        convert(given.network, {n: deep_reuse_pattern(p.length, p.hashes, seed) for n, p in patterns.items()})
        for seed in range(draws)
    ]


def _fitted(given: Bench, patterns: dict[str, Pattern], images: int) -> nn.Module:
    """The same with hyperplanes fitted to training images (ITQ, thresholds of their own); weights untouched."""
    network = convert(given.network, {n: replace(p, init="itq") for n, p in patterns.items()})
    return calibrate(network, calibration_images(given.dataset, images, 0), refit=False, batch_size=BATCH).eval()


def _row(given: Bench, split: Split, networks: list[nn.Module], flops: float) -> dict[str, Any]:
    found = [counted(network, split) for network in networks]
    first = found[0]
    return {
        "patterns": {n: [la.pattern.length, la.pattern.hashes] for n, la in reuse_layers(networks[0]).items()},
        "top1": [one.top1 for one in found], "r_c": dict(first.r_c), "savings": dict(first.savings),
        "saving": first.saving, "whole_saving": flops / (flops - first.conventional + first.flops),
        "seconds_per_image": _seconds(networks[0], split),
    }  # fmt: skip


def _seconds(network: nn.Module, split: Split) -> float:
    """Of processor time per image, in batches."""
    few = Split(split.images[:BATCH], split.labels[:BATCH])
    evaluate(network, few, batch_size=BATCH)
    start = time.process_time()
    evaluate(network, few, batch_size=BATCH)
    return (time.process_time() - start) / len(few)


def section(f: Fragment) -> str:
    speed, top1, lost = DR_TABLE3[_theirs_name(f)]
    lines = [["conventional", percent(f["conventional"]), "–", "–", "1.00", "1.00", "1.00", ""]]
    for way, r in f["rows"].items():
        loss = [f["conventional"] - one for one in r["top1"]]
        mean_r_c = sum(r["r_c"].values()) / len(r["r_c"])
        lines.append([
            way, spread(r["top1"]), f"{100 * sum(loss) / len(loss):+.1f}", f"{mean_r_c:.3f}", f"{r['saving']:.2f}",
            f"{r['whole_saving']:.2f}", f"{f['seconds_per_image'] / r['seconds_per_image']:.2f}",
            "; ".join(f"{name} {length}, {hashes}" for name, (length, hashes) in r["patterns"].items()),
        ])  # fmt: skip
    lines.append(
        [f"theirs ({_theirs_name(f)})", percent(top1), f"{100 * lost:+.2f}", "", "", "", f"{speed:.2f} (GPU)", ""]
    )
    heading = ["L and H", "top-1 %", "points lost", "mean r_c", "× fewer FLOPs, convolutions", "× whole network",
               "× faster, PyTorch on a CPU", "L, H by layer"]  # fmt: skip
    return f"""{f["network"]}: {f["weights"]}; first {f["images"]:,} test images in batches of {BATCH}, all convolutions
reused, angular similarity, mean and range of {f["settings"]["draws"]} draws of random hashes, no training. Choice:
one layer at a time on {f["held"]:,} held-out training images, at most {100 * f["settings"]["tolerance"]:.1f} points
lost by each, or the most accurate: {_alone(f)}.

{table(heading, lines)}"""


def _alone(f: Fragment) -> str:
    return ", ".join(
        f"{n} alone loses {100 * a['loss']:.1f} points at {a['saving']:.2f} times" for n, a in f["alone"].items()
    )


def _theirs_name(f: Fragment) -> str:
    return f["model"] if f["model"] in DR_TABLE3 else "vgg19"


def ours(f: Fragment) -> str:
    return f"{f['network']}: " + "; ".join(
        f"{way}: {r['whole_saving']:.2f} times fewer FLOPs, "
        f"{100 * (f['conventional'] - sum(r['top1']) / len(r['top1'])):.1f} "
        "points lost"
        for way, r in f["rows"].items()
    )


def difference(f: Fragment) -> str:
    speed, _, lost = DR_TABLE3[_theirs_name(f)]
    r = f["rows"]["chosen here"]
    kept = sum(alone["loss"] <= f["settings"]["tolerance"] for alone in f["alone"].values())
    fitted = 100 * (f["conventional"] - f["rows"][FITTED]["top1"][0])
    slower = r["seconds_per_image"] / f["seconds_per_image"]
    loss = 100 * (f["conventional"] - sum(r["top1"]) / len(r["top1"]))
    return (
        f"{f['network']}: the paper loses {100 * lost:+.2f} points for {speed:.2f} times on a GPU; random hashes in a "
        "network that "
        f"was not trained with them lose {loss:.1f} points here at {r['whole_saving']:.2f} times fewer FLOPs; of the "
        "L and H "
        f"tried, {kept} of {len(f['alone'])} layers have some that keep their accuracy on the held-out images when "
        "they alone "
        f"are reused; with hashes fitted to training images Table II's L and H lose {fitted:.1f} points, so that "
        "about that much is not the "
        f"hashes' fault. Our PyTorch layers, made for training, take {slower:.1f} times the conventional network's "
        "processor time."
    )


TABLE3 = Reproduction(
    name="dr_table3", paper="DR", what="Table III", title="whole networks", measure=measure, section=section, ours=ours,
    theirs="; ".join(f"{n}: {r[0]:.2f} times faster, {100 * r[2]:+.2f} points lost" for n, r in DR_TABLE3.items()),
    difference=difference, full={"images": 10_000, "held": 1000, "draws": 3, "tolerance": 0.005, **FULL},
    quick={"images": 100, "held": 100, "draws": 2, **QUICK}, networks=NETWORKS, bench=bench,
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE3)
