"""DR Table I: the benchmark networks, and the layers that Table II reuses.

    python benchmarks/papers/dr_table1.py --data-root DIR

Nothing is measured: the networks are built with the papers' sizes and counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from fragments import Bench, Fragment, Reproduction, main
from hosts import convolutions
from theirs import DR_TABLE1

from figures import table
from ostinato import data, models

SIDES = {"cifarnet": 32, "alexnet": 224, "vgg19": 224}
CLASSES = {"CIFAR-10": 10, "ImageNet": 1000}


def bench(network: str, root: Path) -> Bench:
    """The networks are built by `measure`: only shapes are asked for."""
    return Bench(network, network, torch.nn.Identity(), data.load("digits"), root)


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    rows = {}
    for name, side in SIDES.items():
        with torch.device("meta"):
            network = models.create(name, num_classes=CLASSES[DR_TABLE1[name][0]], image_size=side).eval()
            image = torch.zeros(1, 3, side, side)
        layers = convolutions(network)
        rows[name] = {
            "side": side, "convolutions": len(layers), "parameters": models.parameters(network),
            "macs": models.macs(network, image),
            "convolution_macs": sum(_macs(network, image).values()),
            "K": [m.weight[0].numel() for m in layers.values()], "M": [m.out_channels for m in layers.values()],
        }  # fmt: skip
    return {"rows": rows, "seeds": "none"}


def _macs(network: torch.nn.Module, image: torch.Tensor) -> dict[str, int]:
    """Of every convolution for one image."""
    found: dict[str, int] = {}
    handles = [
        m.register_forward_hook(
            lambda conv, _, y, name=name: found.update({name: conv.weight.numel() * y.shape[2] * y.shape[3]})
        )
        for name, m in convolutions(network).items()
    ]
    network(image)
    for handle in handles:
        handle.remove()
    return found


def section(f: Fragment) -> str:
    lines = [
        [
            name, DR_TABLE1[name][0], f"{r['side']}×{r['side']}", str(r["convolutions"]), str(DR_TABLE1[name][1]),
            f"{r['parameters'] / 1e6:.1f}", f"{r['macs'] / 1e6:,.0f}", f"{100 * r['convolution_macs'] / r['macs']:.1f}",
            ", ".join(f"{k}→{m}" for k, m in dict.fromkeys(zip(r["K"], r["M"], strict=True))),
        ]
        for name, r in f["rows"].items()
    ]  # fmt: skip
    heading = ["network", "theirs: data", "image", "convolutions, ours", "theirs", "M parameters", "M MACs",
               "of them in convolutions, %", "K→M"]  # fmt: skip
    return f"""The networks with the papers' classes and image sizes, built without weights.

{table(heading, lines)}"""


def ours(f: Fragment) -> str:
    return ", ".join(f"{name} {r['convolutions']} convolutions" for name, r in f["rows"].items())


def difference(f: Fragment) -> str:
    same = all(r["convolutions"] == DR_TABLE1[name][1] for name, r in f["rows"].items())
    return (
        f"The numbers of convolutions {'are' if same else 'are not'} the same; CifarNet alone is trained and measured "
        "on its own "
        "data, for ImageNet is not at hand; images are shuffled once and for all, theirs at random."
    )


TABLE1 = Reproduction(
    name="dr_table1", paper="DR", what="Table I", title="benchmark networks", measure=measure, section=section,
    ours=ours, theirs=", ".join(f"{name} {row[1]} convolutions" for name, row in DR_TABLE1.items()),
    difference=difference, full={}, networks=("shapes",), bench=bench,
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE1)
