"""GR Fig. 15: ResNet-18 on 64×64 images: generalized patterns beside TREC's, layer by layer and end to end.

    python benchmarks/papers/gr_fig15.py --data-root DIR
    python benchmarks/papers/gr_fig15.py --data-root DIR --quick

A quarter as wide as the paper's, to fit the board, on 30 classes of Tiny-ImageNet; the trained network that comes
along, or one trained here by its recipe (`hosts.py`). The drawing names no patterns. TREC's are those of TREC Table 3
for ResNet-34's stages, H=5; generalized ones are chosen by GR's rule, least error of the layer's output on --seen
training images among those that remove at least as much as TREC's, over both column orders, half, the same and twice
the L, and H = 4 to 6, with random hashes as in GR §4.1. All in image scope, then with ITQ hashes and a refit, not
trained. Cycles come from firmwares of the whole network.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from fragments import Bench, Fragment, Reproduction, compiled, cost, main, on_device, percent, shown
from hosts import bench, convolutions, described, trained
from torch import Tensor, nn
from trec_table2 import measured

from figures import PAPERS_ORDER, table
from ostinato.nn import ReuseConv2d, calibrate, convert
from ostinato.pipeline.networks import calibration_images
from ostinato.reuse import Pattern, ReuseStats
from ostinato.training import evaluate

BOARD = "stm32f469i"
LENGTHS = {"conv1": 25, "layer1": 144, "layer2": 144, "layer3": 72, "layer4": 96}
"""L of TREC Table 3 by stage (layer3: of all but its first convolution; layer4: of the last four)."""
HASHES = 5
NETWORKS = {
    "cmsis": "conventional, CMSIS-NN style", "dense": "conventional, best dense", "trec": "TREC's patterns",
    "generalized": "generalized patterns", "compiled": "Ostinato, compiled scope",
}  # fmt: skip


def papers_patterns(network: nn.Module) -> dict[str, Pattern]:
    """TREC's, for every convolution larger than 1×1; L is at most K."""
    return {
        name: Pattern(min(LENGTHS[name.partition(".")[0]], conv.weight[0].numel()), HASHES, PAPERS_ORDER, "image",
                      "layer", gradient="frozen")
        for name, conv in convolutions(network).items() if conv.kernel_size != (1, 1)
    }  # fmt: skip


def candidates(given: Pattern, k: int) -> list[Pattern]:
    lengths = sorted({max(2, given.length // 2), given.length, min(2 * given.length, k)})
    return [
        replace(given, length=length, hashes=hashes, order=order, sharing="slice")
        for length in lengths for hashes in (4, 5, 6) for order in (PAPERS_ORDER, "kh.kw.c")
    ]  # fmt: skip


@torch.no_grad()
def generalized(network: nn.Module, theirs: Mapping[str, Pattern], images: Tensor) -> dict[str, dict[str, Any]]:
    """By layer: the pattern, and error and r_t of it and of TREC's."""
    found: dict[str, dict[str, Any]] = {}

    def choose(name: str, conv: nn.Conv2d, x: Tensor, y: Tensor) -> None:
        error, r_t = _tried(conv, theirs[name], x, y)
        tried = [(*_tried(conv, p, x, y), p) for p in candidates(theirs[name], conv.weight[0].numel())]
        good = [t for t in tried if t[1] >= r_t] or [(error, r_t, theirs[name])]
        best = min(good, key=lambda t: t[0])
        found[name] = {"pattern": best[2], "error": best[0], "r_t": best[1], "trec_error": error, "trec_r_t": r_t}

    handles = [
        conv.register_forward_hook(lambda conv, args, y, name=name: choose(name, conv, args[0], y))
        for name, conv in convolutions(network).items() if name in theirs
    ]  # fmt: skip
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _tried(conv: nn.Conv2d, pattern: Pattern, x: Tensor, y: Tensor) -> tuple[float, float]:
    """‖Y − Ŷ‖²/‖Y − mean‖² and r_t."""
    layer = ReuseConv2d.from_conv(conv, pattern).eval()
    layer.recorder = ReuseStats()
    error = (layer(x) - y).square().sum() / (y - y.mean((0, 2, 3), keepdim=True)).square().sum()
    return float(error), layer.recorder.r_t


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    given = trained(given, s)
    split, images = given.test(s.images), calibration_images(given.dataset, s.calibration, 0)
    theirs = papers_patterns(given.network)
    found = generalized(given.network, theirs, images[: s.seen])
    ours = {name: row["pattern"] for name, row in found.items()}
    layers = {}
    for name, row in found.items():
        alone = {way: measured(fitted(given.network, {name: patterns[name]}, images), split)
                 for way, patterns in (("trec", theirs), ("generalized", ours))}  # fmt: skip
        layers[name] = {**row, "pattern": str(row["pattern"]), "L": [theirs[name].length, ours[name].length],
                        "H": [HASHES, ours[name].hashes], "order": ours[name].order, "alone": alone}  # fmt: skip
    networks = {
        "cmsis": given.network, "dense": given.network, "trec": fitted(given.network, theirs, images),
        "generalized": fitted(given.network, ours, images), "compiled": compiled(given, s.calibration, 0),
    }  # fmt: skip
    return {
        "model": given.model, "images": len(split), "weights": described(given, s), "layers": layers, "seeds": "0",
        "conventional": evaluate(given.network, split).top1,
        "networks": {
            name: {"top1": evaluate(made, split).top1,
                   "device": on_device(made, given, split, BOARD, kernel="cmsis" if name == "cmsis" else "dense")}
            for name, made in networks.items()
        },
    }  # fmt: skip


def fitted(network: nn.Module, patterns: Mapping[str, Pattern], images: Tensor) -> nn.Module:
    """ITQ hashes and refitted weights."""
    return calibrate(convert(network, {n: replace(p, init="itq") for n, p in patterns.items()}), images).eval()


def section(f: Fragment) -> str:
    lines = []
    for name, r in f["layers"].items():
        speed = _speed(f, name)
        lines.append([
            name, f"{r['L'][0]}, {r['H'][0]}", f"{r['L'][1]}, {r['H'][1]}, {r['order']}", f"{r['trec_r_t']:.3f}",
            f"{r['r_t']:.3f}", f"{r['trec_error']:.3f}", f"{r['error']:.3f}",
            *(f"{100 * (r['alone'][way]['top1'] - f['conventional']):+.1f}" for way in ("trec", "generalized")),
            "–" if speed is None else f"{speed:.2f}",
        ])  # fmt: skip
    heading = ["layer", "L, H: TREC", "L, H, order: generalized", "r_t", "r_t generalized", "error",
               "error generalized", "Δ top-1 alone", "Δ generalized", "× over TREC"]  # fmt: skip
    whole = [
        [
            NETWORKS[name], percent(r["top1"]),
            percent(r["device"]["int8_top1"]) if "int8_top1" in r["device"] else "–", shown(cost(r["device"], BOARD)),
        ]
        for name, r in f["networks"].items()
    ]  # fmt: skip
    return f"""{f["network"]}, a quarter of the paper's width: {f["weights"]}; first {f["images"]:,} test images,
conventional {percent(f["conventional"])} %. Image scope; ITQ hashes and refit on {f["settings"]["calibration"]:,}
images, not
trained; error and r_t are those of random hashes on {f["settings"]["seen"]} images, by which patterns were chosen.

{table(heading, lines)}

{table(["whole network", "top-1 float %", "int8 %", f"ms, {BOARD}"], whole)}

Theirs: a drawing; 1.63 times over TREC in single layers, over 20 % less end to end (§5.3.7)."""


def _speed(f: Fragment, name: str) -> float | None:
    """Cycles of TREC's layer over those of the generalized one."""
    found = [f["networks"][way]["device"]["boards"][BOARD].get("layers") for way in ("trec", "generalized")]
    return None if None in found else float(found[0][name]["cycles"] / found[1][name]["cycles"])


def _end_to_end(f: Fragment) -> tuple[float | None, float | None]:
    trec, ours = (cost(f["networks"][way]["device"], BOARD) for way in ("trec", "generalized"))
    return trec, ours


def ours(f: Fragment) -> str:
    return f"{f['network']}: " + "; ".join(
        f"{NETWORKS[name]} {percent(r['top1'])} %, {shown(cost(r['device'], BOARD))} ms"
        for name, r in f["networks"].items()
    )


def difference(f: Fragment) -> str:
    better = sum(r["alone"]["generalized"]["top1"] >= r["alone"]["trec"]["top1"] for r in f["layers"].values())
    speeds = [x for name in f["layers"] if (x := _speed(f, name)) is not None]
    trec, ours_ms = _end_to_end(f)
    text = (
        f"{f['network']}: the generalized pattern is at least as accurate as TREC's in {better} of {len(f['layers'])} "
        "layers (theirs: in "
        "all but one)"
    )
    if speeds and trec is not None and ours_ms is not None:
        text += (
            f" and {sum(speeds) / len(speeds):.2f} times faster on average (theirs 1.63), "
            f"{100 * (1 - ours_ms / trec):+.0f} % of the "
            "time saved end to end (theirs over 20 %)"
        )
    return (
        text
        + "; the network is a quarter as wide, has 30 classes and is not trained with reuse; vertical patterns only."
    )


FIG15 = Reproduction(
    name="gr_fig15", paper="GR", what="Fig. 15", title="ResNet-18 on 64×64 images", measure=measure,
    section=section, ours=ours, theirs="1.63 times over TREC in single layers, over 20 % less end to end",
    difference=difference, full={"images": 1500, "calibration": 500, "seen": 20, "epochs": 40, "train": 13_500},
    quick={"images": 100, "calibration": 60, "seen": 6, "epochs": 1, "train": 1000},
    networks=("resnet18-tinyimagenet",), bench=bench,
)  # fmt: skip

if __name__ == "__main__":
    main(FIG15)
