"""GR Table 4: images of no known class, found by a largest softmax probability below 0.7.

    python benchmarks/papers/gr_table4.py --data-root DIR
    python benchmarks/papers/gr_table4.py --data-root DIR --quick

The strange images are those of DIR/ood (CIFAR-100 test images; the paper has SVHN). Networks: conventional; reused with
TREC Table 3's L and H in image scope, calibrated; and ours in compiled scope, calibrated. Beside the paper's rate, how
many images of known classes are reported just as well: a network that is less sure of everything finds more strangers.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fragments import Bench, Fragment, Reproduction, compiled, main, percent
from theirs import GR_TABLE4
from trec_table2 import trec

from figures import table
from ostinato.data.parquet import read_parquet_images
from ostinato.errors import DataError
from ostinato.training import detect, evaluate
from ostinato.training.out_of_distribution import THRESHOLD


def strangers(root: Path, side: int, images: int) -> Any:
    """The images of DIR/ood, at most so many."""
    found = sorted((root / "ood").glob("*.parquet"))
    if not found:
        raise DataError(f"{root / 'ood'}: there is no parquet file with images of no known class.")
    return read_parquet_images(found[0], side, progress=False)[:images]


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    return compare(given, s, strangers(given.root, given.dataset.image_size, s.outside))


def compare(given: Bench, s: argparse.Namespace, outside: Any) -> dict[str, Any]:
    split = given.test(s.images)
    networks = {
        "conventional": given.network,
        "TREC's L and H, image scope": trec(given, "image", s.calibration, 0),
        "Ostinato, compiled scope": compiled(given, s.calibration, 0),
    }
    rows = {
        name: {"top1": evaluate(network, split).top1, **asdict(detect(network, split.images, outside))}
        for name, network in networks.items()
    }
    return {"model": given.model, "images": len(split), "rows": rows, "seeds": "0"}


def section(f: Fragment) -> str:
    lines = [
        [name, percent(r["top1"]), percent(r["detected"]), percent(r["false_alarms"]), f"{r['auroc']:.3f}"]
        for name, r in f["rows"].items()
    ]
    heading = ["network", "top-1 known classes %", "strange images reported %", "known images reported %", "AUROC"]
    theirs = table(
        ["theirs (GR Table 4, CifarNet, SVHN)", "top-1 CIFAR-10 %", "top-1 SVHN %", "detected %"],
        [[n, percent(r["inside"]), percent(r["outside"]), percent(r["detected"])] for n, r in GR_TABLE4.items()],
    )
    outside = next(iter(f["rows"].values()))["outside"]
    return f"""{f["images"]:,} test images of known classes, {outside:,} CIFAR-100 images; threshold {THRESHOLD}; float
networks, calibrated on {f["settings"]["calibration"]:,} images, not trained.

{table(heading, lines)}

{theirs}"""


def ours(f: Fragment) -> str:
    rates = "; ".join(f"{name} {percent(r['detected'])} %" for name, r in f["rows"].items())
    return f"{f['network']}: {rates}"


def difference(f: Fragment) -> str:
    first, _, last = f["rows"].values()
    more, better = last["detected"] - first["detected"], last["auroc"] - first["auroc"]
    return (
        f"{f['network']}: compiled scope reports {100 * more:+.1f} points of the strange images and "
        f"{100 * (last['false_alarms'] - first['false_alarms']):+.1f} points of the known ones, which the paper does "
        f"not print; over all thresholds (AUROC) it separates them {'better' if better > 0 else 'worse'} "
        f"({better:+.3f}), on CIFAR-100 instead of SVHN."
    )


TABLE4 = Reproduction(
    name="gr_table4", paper="GR", what="Table 4", title="images of no known class", measure=measure, section=section,
    ours=ours, theirs="36.3 % of SVHN detected by the conventional CifarNet, 67.4 % with reuse", difference=difference,
    full={"images": 10_000, "outside": 10_000, "calibration": 1000},
    quick={"images": 200, "outside": 200, "calibration": 200},
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE4)
