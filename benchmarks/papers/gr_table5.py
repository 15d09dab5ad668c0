"""GR Table 5: channel pruning and quantisation, and reuse on top of them.

    python benchmarks/papers/gr_table5.py --data-root DIR
    python benchmarks/papers/gr_table5.py --data-root DIR --quick

CifarNet loses whole channels until --size percent of its parameters remain, is trained on for --epochs over --train
images, quantised, and then has its convolutions compiled, calibrated only. Hyperparameter optimisation, the paper's
third technique, is not done.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import torch
from fragments import Bench, Fragment, Reproduction, cost, main, on_device, percent, shown
from theirs import GR_TABLE5

from figures import table
from ostinato import models
from ostinato.data import to_input
from ostinato.training import compile_tables, evaluate, fit, prune_channels
from recipe_rows import STEM, tree

BOARD = "stm32f469i"
LR = 0.01
PATTERNS = {"conv1": STEM, "conv2": tree(8, 6)}


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    split, image = given.test(s.images), to_input(given.dataset.test.images[:1])
    network, report = prune_channels(given.network, image, size=s.size / 100, round_to=8)
    cut = evaluate(network, split).top1
    if s.epochs:
        torch.manual_seed(0)
        few = given.dataset.train.subset(min(s.train, len(given.dataset.train)), 0)
        fit(network, replace(given.dataset, train=few), epochs=s.epochs, lr=LR, teacher=given.network, progress=False)
    network.eval()
    reuse = compile_tables(network, given.dataset, PATTERNS, images=s.calibration, refit_dense=False)
    rows = {
        "conventional, quantised": given.network,
        "+ channels pruned": network,
        "+ reuse, compiled scope": reuse,
    }
    return {
        "model": given.model, "images": len(split), "seeds": "0", "size": report.size, "top1_before_training": cut,
        "pruned_layers": {layer.name: [layer.kept, layer.of] for layer in report.layers},
        "rows": {
            name: {
                "top1": evaluate(made, split).top1, "macs": models.macs(made, image) if made is not reuse else None,
                "device": on_device(made, given, split, BOARD),
            }
            for name, made in rows.items()
        },
    }  # fmt: skip


def section(f: Fragment) -> str:
    s = f["settings"]
    lines = []
    dense = cost(f["rows"]["conventional, quantised"]["device"], BOARD) or 0.0
    for name, row in f["rows"].items():
        ms, flash = cost(row["device"], BOARD), cost(row["device"], BOARD, "flash_bytes")
        lines.append([
            name, percent(row["top1"]), percent(row["device"]["int8_top1"]), shown(ms),
            "–" if ms is None else f"{dense / ms:.2f}", "–" if row["macs"] is None else f"{row['macs'] / 1e6:.1f}",
            "–" if flash is None else f"{flash / 1024:.0f}",
        ])  # fmt: skip
    kept = ", ".join(f"{name} {kept} of {of}" for name, (kept, of) in f["pruned_layers"].items())
    theirs = table(
        ["theirs (GR Table 5)", "top-1 %", "ms", "FLOPs"],
        [[n, percent(r["top1"]), f"{r['ms']:.0f}", r["flops"]] for n, r in GR_TABLE5.items()],
    )
    heading = ["CifarNet", "top-1 float %", "int8 %", f"ms, {BOARD}", "× best dense", "M MACs", "flash, KiB"]
    return f"""Epochs after pruning: {s["epochs"]}, of {s["train"]:,} images; reuse calibrated on
{s["calibration"]:,} images and not trained; first {f["images"]:,} test images. Outputs kept: {kept};
{percent(f["size"])} % of the parameters; {percent(f["top1_before_training"])} % top-1 before training on.

{table(heading, lines)}

{theirs}"""


def ours(f: Fragment) -> str:
    return "; ".join(
        f"{n} {percent(r['device']['int8_top1'])} %, {shown(cost(r['device'], BOARD))} ms" for n, r in f["rows"].items()
    )


def difference(f: Fragment) -> str:
    pruned, reuse = (f["rows"][n]["device"] for n in ("+ channels pruned", "+ reuse, compiled scope"))
    was, now = GR_TABLE5.values()
    ms, after = cost(pruned, BOARD), cost(reuse, BOARD)
    ratio = "" if ms is None or after is None else f"makes the pruned network {ms / after:.1f} times faster and "
    return (
        f"Reuse {ratio}moves its int8 top-1 by {100 * (reuse['int8_top1'] - pruned['int8_top1']):+.1f} points (theirs: "
        f"{was['ms'] / now['ms']:.1f} times, {100 * (now['top1'] - was['top1']):+.0f}); at small scale and without "
        "hyperparameter optimisation."
    )


def _theirs() -> str:
    return "; ".join(f"{name} {percent(row['top1'])} %, {row['ms']:.0f} ms" for name, row in GR_TABLE5.items())


TABLE5 = Reproduction(
    name="gr_table5", paper="GR", what="Table 5", title="pruning, quantisation and reuse", measure=measure,
    section=section, ours=ours, theirs=_theirs(), difference=difference,
    full={"images": 10_000, "size": 60, "train": 45_000, "epochs": 10, "calibration": 1000},
    quick={"images": 200, "train": 500, "epochs": 1, "calibration": 200}, networks=("cifarnet-cifar10",),
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE5)
