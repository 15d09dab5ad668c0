"""TREC Table 1: parameters and FLOPs of conventional and reused layers.

    python benchmarks/papers/trec_table1.py --data-root DIR
    python benchmarks/papers/trec_table1.py --data-root DIR --quick

The table is two formulas. They are evaluated (`ost.theory`) for TREC Table 3's layers, L and H: with the r_t that the
paper prints, and with that of random hashes measured here in batch and in image scope. Beside them the full count
(`ost.reuse.layer_cost`), which has the additions that form centroids and recover outputs, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from fragments import BATCH, Bench, Fragment, Reproduction, main, percent, trained
from theirs import TREC_TABLE3
from trec_table2 import patterns

from figures import table
from ostinato.data import to_input
from ostinato.nn import convert, measure_reuse
from ostinato.nn.convert import reuse_layers
from ostinato.reuse import layer_cost
from ostinato.theory import conventional_complexity, reuse_complexity, saves_computation

SCOPES = ("batch", "image")


@torch.no_grad()
def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    layers: dict[str, dict[str, Any]] = {name: {} for name in TREC_TABLE3[given.model]}
    images = to_input(given.test(s.images).images)
    for scope in SCOPES:
        network = convert(given.network, patterns(given.model, scope)).eval()
        sizes = _input_sizes(network)
        with measure_reuse(network) as stats:
            for start in range(0, len(images), BATCH):
                network(images[start : start + BATCH])
        for name, row in layers.items():
            row[scope] = stats[name].r_t
            if scope == "image":
                row |= _counts(given.model, name, reuse_layers(network)[name], sizes[name], row)
    return {"model": given.model, "images": len(images), "layers": layers, "seeds": "0"}


def _input_sizes(network: Any) -> dict[str, tuple[int, int]]:
    """Height and width that each layer sees, filled in when the network runs."""
    sizes: dict[str, tuple[int, int]] = {}
    for name, layer in reuse_layers(network).items():
        layer.register_forward_pre_hook(lambda _, args, name=name: sizes.update({name: tuple(args[0].shape[2:])}))
    return sizes


def _counts(model: str, name: str, layer: Any, size: tuple[int, int], r_t: Mapping[str, float]) -> dict[str, Any]:
    """Sizes, parameters and FLOPs for one image of one layer."""
    geometry, pattern = layer.geometry, layer.pattern
    rows, columns = geometry.output_size(*size)
    n, k, m = rows * columns, geometry.K, geometry.out_channels
    length, hashes = pattern.length, pattern.hashes
    ratios = {"printed": TREC_TABLE3[model][name][2], **{scope: r_t[scope] for scope in SCOPES}}
    return {
        "N": n, "K": k, "M": m, "L": length, "H": hashes, "conventional": asdict(conventional_complexity(n, k, m)),
        "reuse": {
            how: {
                **asdict(reuse_complexity(n, k, m, length=length, hashes=hashes, r_t=value)), "r_t": value,
                "all_flops": layer_cost(geometry, pattern, *size, r_c=1 - value).flops_remaining * n * k * m,
                "condition": saves_computation(hashes, m, value),
            }
            for how, value in ratios.items()
        },
        "hash_parameters": layer.hash_vectors.numel() + layer.thresholds.numel(),
    }  # fmt: skip


def section(f: Fragment) -> str:
    lines = [
        [
            name, *(str(r[key]) for key in ("N", "K", "M", "L", "H")), f"{r['conventional']['parameters']:,}",
            f"{r['reuse']['image']['parameters']:,}", *(_ratio(r, how, "flops") for how in ("printed", *SCOPES)),
            *(_ratio(r, how, "all_flops") for how in SCOPES),
        ]
        for name, r in f["layers"].items()
    ]  # fmt: skip
    total = ["all", "", "", "", "", "", *(f"{x:,}" for x in _parameters(f))]
    total += [f"{_total(f, how, 'flops'):.3f}" for how in ("printed", *SCOPES)]
    total += [f"{_total(f, how, 'all_flops'):.3f}" for how in SCOPES]
    heading = ["layer", "N", "K", "M", "L", "H", "parameters K·M", "K·M + L·H", "FLOPs, r_t printed", "r_t batch",
               "r_t image", "every term, batch", "every term, image"]  # fmt: skip
    return f"""Table 1 evaluated for Table 3's layers: FLOPs are those of reuse over conventional, H/M + 1 − r_t, with
the paper's r_t and with that of random hashes on {f["images"]:,} test images (batch scope: of {BATCH}). "Every term"
adds the additions of centroids and recovery.

{table(heading, [*lines, total])}"""


def _ratio(row: Mapping[str, Any], how: str, what: str) -> str:
    return f"{row['reuse'][how][what] / row['conventional']['flops']:.3f}"


def _total(f: Fragment, how: str, what: str) -> float:
    """FLOPs with reuse over conventional ones, all layers together."""
    layers = f["layers"].values()
    return float(sum(r["reuse"][how][what] for r in layers) / sum(r["conventional"]["flops"] for r in layers))


def _parameters(f: Fragment) -> tuple[int, int]:
    """Conventional, and with hash matrices."""
    layers = f["layers"].values()
    return sum(r["conventional"]["parameters"] for r in layers), sum(r["reuse"]["image"]["parameters"] for r in layers)


def ours(f: Fragment) -> str:
    return (
        f"{f['network']}: the formula leaves {percent(_total(f, 'printed', 'flops'))} % of the FLOPs with the paper's "
        "r_t, "
        f"{percent(_total(f, 'image', 'flops'))} % with image scope's; every term counted "
        f"{percent(_total(f, 'image', 'all_flops'))} %"
    )


def difference(f: Fragment) -> str:
    layers = f["layers"].values()
    met = sum(r["reuse"]["image"]["condition"] for r in layers)
    paying = sum(r["reuse"]["image"]["all_flops"] < r["conventional"]["flops"] for r in layers)
    plain, more = _parameters(f)
    return (
        f"{f['network']}: the formulas are the paper's; H < M·r_t holds in image scope for {met} of {len(layers)} "
        "layers, and "
        f"with every term counted {paying} do fewer FLOPs than conventional ones; hashes add "
        f"{percent(more / plain - 1)} % "
        "to these layers' parameters."
    )


TABLE1 = Reproduction(
    name="trec_table1", paper="TREC", what="Table 1", title="parameters and FLOPs", measure=measure, section=section,
    ours=ours, theirs="K·M + L·H parameters, (H/M + 1 − r_t)·N·K·M FLOPs", difference=difference,
    full={"images": 1000}, quick={"images": 100}, networks=trained("cifarnet", "squeezenet", "zfnet", "resnet34"),
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE1)
