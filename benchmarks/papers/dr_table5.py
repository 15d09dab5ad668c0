"""DR Table V: Deep Reuse on a compressed network, pruned and with shared weights (Han et al., 2015).

    python benchmarks/papers/dr_table5.py --data-root DIR
    python benchmarks/papers/dr_table5.py --data-root DIR --quick

Small weights are set to zero, layer by layer to the densities of Deep Compression's AlexNet; what remains is trained
for --tune epochs and shared: 256 values in each convolution, 32 in each fully connected layer (k-means). Then every
convolution, one at a time, has Table II's L and H, in the compressed and in the uncompressed network. FLOPs are
counted, every term, and zeros are not skipped, as in the paper, whose × are times on a GPU.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from statistics import mean
from typing import Any

import torch
from fragments import BATCH, Bench, Fragment, Reproduction, main, percent
from hosts import FULL, QUICK, bench, counted, described, printed, trained
from theirs import DR_TABLE5
from torch import Tensor, nn
from torch.nn.utils import parametrize

from figures import table
from ostinato.data import Split
from ostinato.nn import convert
from ostinato.training import evaluate, fit

DENSITY = {
    "conv1": 0.84,
    "conv2": 0.38,
    "conv3": 0.35,
    "conv4": 0.37,
    "conv5": 0.37,
    "fc1": 0.09,
    "fc2": 0.09,
    "fc3": 0.25,
}
"""Of Deep Compression's AlexNet (Han et al., 2015, Table 4): share of weights that stay."""
VALUES = {nn.Conv2d: 256, nn.Linear: 32}
"""Shared weights of a layer: 8 and 5 bits."""
LR = 0.003
ROUNDS = 20


class Masked(nn.Module):
    """Keeps pruned weights at zero while the others are trained."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """The weights that stay."""
        return weight * self.mask


def pruned(weight: Tensor, density: float) -> Tensor:
    """Mask of the largest weights, `density` of all."""
    keep = max(1, round(density * weight.numel()))
    mask = torch.zeros(weight.numel())
    mask[weight.detach().abs().flatten().topk(keep).indices] = 1
    return mask.view_as(weight)


def shared(weight: Tensor, values: int) -> Tensor:
    """Weights other than zero replaced by `values` of them: k-means from evenly spread centres, as in the paper."""
    flat = weight.detach().flatten()
    used = flat[flat != 0]
    centres = torch.linspace(float(used.min()), float(used.max()), min(values, len(used)))
    for _ in range(ROUNDS):
        index = torch.bucketize(used, (centres[1:] + centres[:-1]) / 2)
        sums = torch.zeros_like(centres).index_add_(0, index, used)
        counts = torch.bincount(index, minlength=len(centres))
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    result = torch.zeros_like(flat)
    result[flat != 0] = centres[torch.bucketize(used, (centres[1:] + centres[:-1]) / 2)]
    return result.view_as(weight)


def compressed(given: Bench, s: argparse.Namespace) -> nn.Module:
    """A copy of the network: pruned, fine-tuned, its weights shared."""
    network, data = copy.deepcopy(given.network), given.dataset
    layers = {
        name: m for name, m in network.named_modules() if name in DENSITY and isinstance(m, (nn.Conv2d, nn.Linear))
    }
    for name, layer in layers.items():
        parametrize.register_parametrization(layer, "weight", Masked(pruned(layer.weight, DENSITY[name])))
    few = dataclasses.replace(data, valid=data.valid.subset(min(s.held, len(data.valid)), 0))
    fit(network, few, epochs=s.tune, lr=LR, seed=0, train_limit=min(s.train, len(data.train)), progress=False)
    for layer in layers.values():
        parametrize.remove_parametrizations(layer, "weight")
        with torch.no_grad():
            layer.weight.copy_(shared(layer.weight, VALUES[type(layer)]))
    return network.eval()


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    given = trained(given, s)
    split = given.test(s.images)
    networks = {"uncompressed": given.network, "compressed": compressed(given, s)}
    return {
        "model": given.model, "images": len(split), "weights": described(given, s), "seeds": "0",
        "density": {name: float((m.weight != 0).float().mean()) for name, m in networks["compressed"].named_modules()
                    if name in DENSITY},
        "rows": {name: _rows(dataclasses.replace(given, network=network), split) for name, network in networks.items()},
    }  # fmt: skip


def _rows(given: Bench, split: Split) -> dict[str, Any]:
    """Top-1, and of every convolution reused alone r_c, saving and top-1."""
    layers = {}
    for name, pattern in printed(given).items():
        one = counted(convert(given.network, {name: pattern}), split)
        layers[name] = {"L": pattern.length, "H": pattern.hashes, "r_c": one.r_c[name], "saving": one.saving,
                        "top1": one.top1}  # fmt: skip
    return {"top1": evaluate(given.network, split).top1, "layers": layers}


def section(f: Fragment) -> str:
    plain, small = f["rows"]["uncompressed"], f["rows"]["compressed"]
    lines = []
    for name, r in small["layers"].items():
        before = plain["layers"][name]
        lines.append([
            name, str(r["L"]), str(r["H"]), f"{100 * f['density'][name]:.0f}", f"{before['r_c']:.3f}",
            f"{r['r_c']:.3f}",
            f"{before['saving']:.2f}", f"{r['saving']:.2f}", f"{100 * (plain['top1'] - before['top1']):.1f}",
            f"{100 * (small['top1'] - r['top1']):.1f}", f"{DR_TABLE5[name]:.2f}" if f["model"] == "alexnet" else "–",
        ])  # fmt: skip
    heading = ["layer", "L", "H", "weights left, %", "r_c", "r_c compressed", "× fewer FLOPs", "× compressed",
               "points lost", "points lost, compressed", "× faster, theirs (GPU)"]  # fmt: skip
    s = f["settings"]
    return f"""{f["network"]}: {f["weights"]}; first {f["images"]:,} test images in batches of {BATCH}. Top-1
{percent(plain["top1"])} %, compressed ({s["tune"]} epochs of fine-tuning at {LR}) {percent(small["top1"])} %. Each
convolution reused alone, angular similarity, random hashes, no training.

{table(heading, lines)}"""


def _savings(f: Fragment, which: str) -> list[float]:
    return [r["saving"] for r in f["rows"][which]["layers"].values()]


def ours(f: Fragment) -> str:
    return (
        f"{f['network']}: {min(_savings(f, 'compressed')):.2f} to {max(_savings(f, 'compressed')):.2f} times fewer "
        "FLOPs "
        f"compressed, {min(_savings(f, 'uncompressed')):.2f} to {max(_savings(f, 'uncompressed')):.2f} uncompressed"
    )


def difference(f: Fragment) -> str:
    small, plain = mean(_savings(f, "compressed")), mean(_savings(f, "uncompressed"))
    lost = mean(f["rows"]["compressed"]["top1"] - r["top1"] for r in f["rows"]["compressed"]["layers"].values())
    return (
        f"{f['network']}: Deep Reuse saves {small:.2f} times on the compressed network and {plain:.2f} on the "
        "uncompressed one "
        "(mean of layers): "
        f"{'it hardly matters to reuse, as the paper says' if abs(small / plain - 1) < 0.15 else 'it matters'}; "
        f"a layer alone costs {100 * lost:.1f} points on average, of which the paper says nothing; images are smaller "
        "than "
        "ImageNet's, so that a batch has fewer vectors and a larger share of them are clusters."
    )


TABLE5 = Reproduction(
    name="dr_table5", paper="DR", what="Table V", title="compressed AlexNet", measure=measure, section=section,
    ours=ours, theirs=f"{min(DR_TABLE5.values()):.2f} to {max(DR_TABLE5.values()):.2f} times faster on a GPU",
    difference=difference, full={"images": 10_000, "held": 1000, "tune": 10, **FULL},
    quick={"images": 100, "held": 100, "tune": 1, **QUICK},
    networks=("alexnet-cifar10",), bench=bench,
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE5)
