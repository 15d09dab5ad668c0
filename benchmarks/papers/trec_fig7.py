"""TREC Fig. 7: the sufficient direction constant μ of every reused layer, over a training.

    python benchmarks/papers/trec_fig7.py --data-root DIR
    python benchmarks/papers/trec_fig7.py --data-root DIR --quick

The network starts from random weights with TREC Table 3's L and H in batch scope and is trained with the recipe
`modern`; after every epoch `ost.theory.SufficientDirection` measures μ = ∇F·E[g]/‖∇F‖² on --probe training images. ∇F
is that of the conventional network with the same weights: the paper does not say which it took, and against the
network's own gradient μ is 1 by definition (docs/theory.md). Two gradients of the hash: `flip`, ours, and `trec`, the
paper's relaxation as printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import torch
from fragments import Bench, Fragment, Reproduction, main, percent
from trec_table2 import patterns

from figures import table
from ostinato import models
from ostinato.data import to_input
from ostinato.nn import convert, revert
from ostinato.theory import SufficientDirection
from ostinato.training import fit

GRADIENTS = ("flip", "trec")
SHOWN = 8
"""Epochs that the table has columns for, at most."""


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    data = given.dataset
    few = replace(
        data, train=data.train.subset(min(s.train, len(data.train)), 0),
        valid=data.valid.subset(min(s.images, len(data.valid)), 0),
    )  # fmt: skip
    probed = few.train.subset(min(s.probe, len(few.train)), 0)
    trainings = {}
    for gradient in GRADIENTS:
        network = convert(_untrained(given), patterns(given.model, "batch", gradient=gradient))
        probe = SufficientDirection(
            to_input(probed.images), probed.labels, revert, layers=list(patterns(given.model, "batch"))
        )
        result = fit(network, few, epochs=s.epochs, seed=0, progress=False, probe=probe)
        trainings[gradient] = [
            {key: record[key] for key in ("mu", "mu_g", "train_loss", "valid_top1")} for record in result.history
        ]
    return {
        "model": given.model, "images": len(few.valid), "training_images": len(few.train), "probed": len(probed),
        "trainings": trainings, "seeds": "0",
    }  # fmt: skip


def _untrained(given: Bench) -> Any:
    """The bench's network with random weights by seed 0."""
    torch.manual_seed(0)
    architecture: Any = given.network.architecture
    return models.create(architecture["model"], **architecture["kwargs"])


def section(f: Fragment) -> str:
    lines = []
    for gradient, history in f["trainings"].items():
        epochs = shown(len(history))
        lines.append([gradient, "top-1, held-out %", "", *(percent(history[e]["valid_top1"]) for e in epochs)])
        for layer in history[0]["mu"]:
            for what, key in (("μ", "mu"), ("μ_G", "mu_g")):
                lines.append([gradient, layer, what, *(_number(history[e][key][layer]) for e in epochs)])
    heading = ["gradient", "layer", "", *(f"epoch {e + 1}" for e in shown(f["settings"]["epochs"]))]
    return f"""{f["model"]} from random weights, {f["training_images"]:,} training images, {f["settings"]["epochs"]}
epochs of the recipe `modern`, batch scope, L and H of TREC Table 3; μ and μ_G = ‖E[g]‖/‖∇F‖ on {f["probed"]:,} of the
images against the conventional network with the same weights; top-1 on {f["images"]:,} held-out training images.

{table(heading, lines)}

Theirs: a drawing; "consistently greater than zero", smaller in lower layers, rising towards 1 (App. B)."""


def shown(epochs: int) -> Sequence[int]:
    """From 0, evenly spread, the last among them."""
    columns = min(epochs, SHOWN)
    return [round((i + 1) * epochs / columns) - 1 for i in range(columns)]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _curves(f: Fragment, gradient: str) -> Mapping[str, list[float]]:
    """μ by layer over the epochs, where it exists."""
    history = f["trainings"][gradient]
    return {layer: [r["mu"][layer] for r in history if r["mu"][layer] is not None] for layer in history[0]["mu"]}


def claims(f: Fragment, gradient: str) -> list[bool]:
    """Whether μ is always positive, smaller in the first layer than in the last, larger at the end than at first."""
    curves = list(_curves(f, gradient).values())
    return [
        all(mu > 0 for curve in curves for mu in curve), mean(curves[0]) < mean(curves[-1]),
        all(curve[-1] > curve[0] for curve in curves),
    ]  # fmt: skip


def ours(f: Fragment) -> str:
    return "; ".join(
        f"{gradient}: "
        + ", ".join(f"{layer} {_number(min(c))} to {_number(max(c))}" for layer, c in _curves(f, gradient).items())
        for gradient in f["trainings"]
    )


def difference(f: Fragment) -> str:
    told = []
    for gradient in f["trainings"]:
        positive, lower, rises = ("holds" if found else "does not" for found in claims(f, gradient))
        last = percent(f["trainings"][gradient][-1]["valid_top1"])
        told.append(
            f"with `{gradient}` μ > 0 {positive}, smaller in the first layer {lower}, larger at the end than after "
            "the first "
            f"epoch in every layer {rises} (top-1 {last} %)"
        )
    return (
        f"{f['network']}: {'; '.join(told)}; {f['settings']['epochs']} epochs of {f['training_images']:,} images "
        "against the "
        "paper's 100 of all, and against the conventional network's gradient, for the paper does not name its ∇F: "
        "through "
        "`trec`'s relaxation, of slope 10,000, the gradient that reaches lower layers is not bounded by it."
    )


FIG7 = Reproduction(
    name="trec_fig7", paper="TREC", what="Fig. 7", title="sufficient direction constant μ", measure=measure,
    section=section, ours=ours, theirs="μ > 0 in every layer, smaller in lower ones, rising towards 1",
    difference=difference, full={"epochs": 20, "train": 45_000, "images": 5000, "probe": 512},
    quick={"epochs": 2, "train": 256, "images": 200, "probe": 64}, networks=("cifarnet-cifar10",),
)  # fmt: skip

if __name__ == "__main__":
    main(FIG7)
