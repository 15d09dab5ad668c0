"""TREC Table 3: one layer reused at a time, with the paper's L and H.

    python benchmarks/papers/trec_table3.py --data-root DIR
    python benchmarks/papers/trec_table3.py --data-root DIR --quick

r_t and top-1 in batch and image scope, each layer alone: with random hashes (Deep Reuse), and with ITQ hashes and a
closed-form refit (TREC's start; not trained here). Cycles come from three firmwares of the whole network: all layers
reused in image scope, all conventional in CMSIS-NN style, all on our best dense kernel.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from statistics import mean
from typing import Any

from fragments import BATCH, Bench, Fragment, Reproduction, main, on_device, percent, trained
from theirs import TREC_TABLE3
from trec_table2 import measured, patterns, trec

from figures import table
from ostinato.nn import calibrate, convert
from ostinato.pipeline.networks import calibration_images
from ostinato.training import evaluate

BOARD = "stm32f469i"


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    split, shown = given.test(s.images), calibration_images(given.dataset, s.calibration, 0)
    layers: dict[str, dict[str, Any]] = {}
    for name in TREC_TABLE3[given.model]:
        row = layers[name] = {}
        for scope in ("batch", "image"):
            random = {name: patterns(given.model, scope)[name]}
            fitted = {name: patterns(given.model, scope, init="itq")[name]}
            row[scope] = {
                "deep_reuse": measured(convert(given.network, random), split),
                "trec": measured(calibrate(convert(given.network, fitted), shown), split),
            }
    few = given.test(1)
    devices = {
        "image scope": on_device(trec(given, "image", s.calibration, 0), given, few, BOARD),
        "cmsis": on_device(given.network, given, few, BOARD, kernel="cmsis"),
        "dense": on_device(given.network, given, few, BOARD),
    }
    return {
        "model": given.model, "images": len(split), "conventional": evaluate(given.network, split).top1,
        "layers": layers, "devices": devices, "seeds": "0",
    }  # fmt: skip


def section(f: Fragment) -> str:
    lines = []
    for name, row in f["layers"].items():
        length, hashes, r_t, speed, accuracy, _ = TREC_TABLE3[f["model"]][name]
        found = _speed(f, name)
        lines.append([
            name, str(length), str(hashes), *(f"{row[scope]['trec']['r_t']:.3f}" for scope in ("batch", "image")),
            f"{r_t:.3f}", *(_points(f, row[scope]["trec"]) for scope in ("batch", "image")),
            _points(f, row["image"]["deep_reuse"]), f"{100 * accuracy:+.1f}",
            *("–" if found is None else f"{x:.2f}" for x in (found or (0, 0))), f"{speed:.2f}",
        ])  # fmt: skip
    heading = ["layer", "L", "H", "r_t batch", "r_t image", "r_t theirs", "Δ batch", "Δ image",
               "Δ image, random hashes", "Δ theirs", "× over CMSIS-NN style", "× over best dense",
               "× theirs (CMSIS-NN)"]  # fmt: skip
    return f"""Each layer alone; Δ: points of top-1 from the conventional network's {percent(f["conventional"])} %
on the first {f["images"]:,} test images; ITQ hashes and refit on {f["settings"]["calibration"]:,} images, not trained.
×: modelled cycles of the layer on {BOARD} in image scope, from one firmware in which all of them are reused.

{table(heading, lines)}"""


def _points(f: Fragment, found: Mapping[str, float]) -> str:
    """Of top-1, from the conventional network's."""
    return f"{100 * (found['top1'] - f['conventional']):+.1f}"


def _speed(f: Fragment, name: str) -> tuple[float, float] | None:
    """Over CMSIS-NN style and best dense; None where a firmware does not fit."""
    found = {kind: device["boards"][BOARD].get("layers") for kind, device in f["devices"].items()}
    if None in found.values():
        return None
    cycles: Mapping[str, float] = {kind: layers[name]["cycles"] for kind, layers in found.items()}
    return cycles["cmsis"] / cycles["image scope"], cycles["dense"] / cycles["image scope"]


def _means(f: Fragment) -> tuple[float, float, float]:
    """r_t in batch and image scope, and theirs, means over layers."""
    batch, image = (mean(r[scope]["trec"]["r_t"] for r in f["layers"].values()) for scope in ("batch", "image"))
    return batch, image, mean(r[2] for r in TREC_TABLE3[f["model"]].values())


def ours(f: Fragment) -> str:
    batch, image, _ = _means(f)
    return f"{f['network']}: mean r_t {batch:.3f} in batch scope, {image:.3f} in image scope"


def difference(f: Fragment) -> str:
    batch, image, theirs = _means(f)
    speeds = [s[0] for name in f["layers"] if (s := _speed(f, name))]
    told = f"; {sum(s > 1 for s in speeds)} of {len(speeds)} layers are faster than CMSIS-NN style" if speeds else ""
    return (
        f"{f['network']}: the paper's mean r_t of {theirs:.3f} compares with {batch:.3f} in batches of {BATCH} and "
        f"{image:.3f} within one image, which is what a device has{told} in image scope."
    )


def _theirs() -> str:
    return "; ".join(
        f"{model}: mean r_t {mean(r[2] for r in rows.values()):.3f}, "
        f"× over CMSIS-NN {mean(r[3] for r in rows.values()):.2f}"
        for model, rows in TREC_TABLE3.items()
    )


TABLE3 = Reproduction(
    name="trec_table3", paper="TREC", what="Table 3", title="single layers", measure=measure, section=section,
    ours=ours, theirs=_theirs(), difference=difference,
    full={"images": 10_000, "calibration": 500}, quick={"images": 100, "calibration": 100},
    networks=trained("cifarnet", "squeezenet", "zfnet", "resnet34"),
    quick_networks=("cifarnet-cifar10", "squeezenet-cifar10"),
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE3)
