"""DR Table II: the layer shapes of AlexNet and VGG-19, with the paper's L and H: clusters found and FLOPs saved.

    python benchmarks/papers/dr_table2.py --data-root DIR
    python benchmarks/papers/dr_table2.py --data-root DIR --quick

The networks have random initial weights, for there is no ImageNet here: inputs are photographs of Tiny-ImageNet,
enlarged to 224×224, and what random layers make of them. So this measures redundancy in activations of the right
shapes, in batches of --images, and no accuracy. FLOPs are counted (TREC §4.3, every term), not timed; the paper timed a
GPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from fragments import Bench, Fragment, Reproduction, main
from theirs import DR_TABLE2
from torch import Tensor, nn

from figures import PAPERS_ORDER, table
from ostinato import data, models
from ostinato.data import to_input
from ostinato.nn import ReuseConv2d
from ostinato.reuse import Pattern, ReuseStats, layer_cost

SIDE = 224


def bench(network: str, root: Path) -> Bench:
    """A network by the name of its model, with random weights by seed 0."""
    torch.manual_seed(0)
    made = models.create(network, num_classes=10, image_size=SIDE, hidden=16).eval()  # its classifier is of no use
    return Bench(network, network, made, data.load("tinyimagenet", root / "tinyimagenet30"), root)


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    return shapes(given, s.images, SIDE)


@torch.no_grad()
def shapes(given: Bench, images: int, side: int) -> dict[str, Any]:
    """r_c, output error and FLOPs of every convolution, each on the conventional network's own activations."""
    batch = to_input(given.dataset.test.images[:images])
    batch = F.interpolate(batch, size=(side, side), mode="bilinear", align_corners=False)
    convolutions = [(n, m) for n, m in given.network.named_modules() if isinstance(m, nn.Conv2d)]
    layers: dict[str, dict[str, Any]] = {}

    def watch(name: str, hashes: int, length: int) -> Any:
        def after(conv: nn.Conv2d, args: tuple[Tensor, ...], output: Tensor) -> None:
            layers[name] = _layer(conv, args[0], output, Pattern(
                length, hashes, PAPERS_ORDER, "batch", similarity="angular", gradient="frozen"), name)  # fmt: skip

        return after

    handles = [conv.register_forward_hook(watch(name, theirs[0], theirs[1]))
               for (name, conv), theirs in zip(convolutions, DR_TABLE2[given.model], strict=True)]  # fmt: skip
    try:
        given.network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {"model": given.model, "images": len(batch), "side": side, "layers": layers, "seeds": "0"}


def _layer(conv: nn.Conv2d, x: Tensor, y: Tensor, pattern: Pattern, name: str) -> dict[str, Any]:
    layer = ReuseConv2d.from_conv(conv, pattern, name).eval()
    layer.recorder = ReuseStats()
    error = float((layer(x) - y).square().sum() / (y - y.mean((0, 2, 3), keepdim=True)).square().sum())
    r_c = 1.0 - layer.recorder.r_t
    cost = layer_cost(layer.geometry, pattern, x.shape[2], x.shape[3], r_c)
    return {"K": layer.geometry.K, "M": layer.geometry.out_channels, "L": pattern.length, "H": pattern.hashes,
            "r_c": r_c, "output_error": error, "saving": 1.0 / cost.flops_remaining,
            "conventional_flops": cost.conventional, "flops": cost.total}  # fmt: skip


def printed_saving(hashes: int, length: int, r_c: float, m: int) -> float:
    """DR §V-A: M / (H + r_c·M + M/L), hashing counted as one multiplication for each value."""
    return m / (hashes + r_c * m + m / length)


def section(f: Fragment) -> str:
    lines = []
    for row, (hashes, length, r_c, speed) in zip(f["layers"].items(), DR_TABLE2[f["model"]], strict=True):
        name, r = row
        lines.append([
            name, str(r["K"]), str(r["M"]), str(length), str(hashes), f"{r['r_c']:.3f}", f"{r_c:.2f}",
            f"{r['output_error']:.3f}", f"{r['saving']:.2f}", f"{printed_saving(hashes, length, r_c, r['M']):.2f}",
            f"{speed:.2f}",
        ])  # fmt: skip
    heading = ["layer", "K", "M", "L", "H", "r_c, ours", "r_c, theirs", "output error, ours", "× fewer FLOPs, ours",
               "× by their r_c and formula", "× faster, theirs (GPU)"]  # fmt: skip
    return f"""{f["model"]} with **random initial weights** on {f["images"]} photographs of Tiny-ImageNet enlarged to
{f["side"]}×{f["side"]}, batch scope of these images, angular similarity, random hashes; every layer on the conventional
network's own activations. Output error: ‖Y − Ŷ‖²/‖Y − mean‖². No accuracy can be had from it.

{table(heading, lines)}"""


def total_saving(f: Fragment) -> float:
    """Conventional FLOPs over those with reuse, all convolutions."""
    layers = f["layers"].values()
    return float(sum(r["conventional_flops"] for r in layers) / sum(r["flops"] for r in layers))


def ours(f: Fragment) -> str:
    r_c = mean(r["r_c"] for r in f["layers"].values())
    return f"{f['model']}: mean r_c {r_c:.3f}, {total_saving(f):.2f} times fewer FLOPs in the convolutions"


def difference(f: Fragment) -> str:
    layers = f["layers"].values()
    r_c, theirs = mean(r["r_c"] for r in layers), mean(r[2] for r in DR_TABLE2[f["model"]])
    return (
        f"{f['model']}: shapes, L and H are the paper's; weights are random, photographs enlarged and so smoother than "
        f"ImageNet's, and the batch is {f['images']} images: mean r_c {r_c:.3f} against {theirs:.3f}, at a mean output "
        f"error of {mean(r['output_error'] for r in layers):.2f} of the outputs' variance; FLOPs are counted, the "
        "paper's × are times on a GPU."
    )


def _theirs() -> str:
    """Means over the layers, as the table's own last rows have them."""
    return "; ".join(
        f"{model}: mean r_c {mean(r[2] for r in rows):.3f}, {mean(r[3] for r in rows):.2f} times faster on a GPU"
        for model, rows in DR_TABLE2.items()
    )


TABLE2 = Reproduction(
    name="dr_table2", paper="DR", what="Table II", title="layer shapes of AlexNet and VGG-19", measure=measure,
    section=section, ours=ours, theirs=_theirs(), difference=difference, full={"images": 16}, quick={"images": 1},
    networks=("alexnet", "vgg19"), bench=bench,
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE2)
