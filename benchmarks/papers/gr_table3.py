"""GR Table 3: where the time of a reused layer goes: transformation, clustering, GEMM, recovering.

    python benchmarks/papers/gr_table3.py --data-root DIR
    python benchmarks/papers/gr_table3.py --data-root DIR --quick

The same layers as in the table: with TREC Table 3's L and H in image scope (the paper's form of reuse; GR does not
print the patterns of its Table 3), and as `benchmarks/compile_tables.py` has them in compiled scope.
"""

from __future__ import annotations

import argparse
from typing import Any

from fragments import Bench, Fragment, Reproduction, compiled, main, on_device
from theirs import GR_TABLE3
from trec_table2 import trec

from figures import table

BOARD = "stm32f469i"
PHASES = ("transformation", "clustering", "gemm", "recovering")


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    few = given.test(1)
    networks = {
        "image scope": trec(given, "image", s.calibration, 0),
        "compiled scope": compiled(given, s.calibration, 0),
        "best dense": given.network,
    }
    devices = {name: on_device(network, given, few, BOARD) for name, network in networks.items()}
    return {"model": given.model, "images": 1, "devices": devices, "seeds": "0"}


def phases(f: Fragment, device: str, layer: str) -> list[float] | None:
    """ms by phase, and of the rest; None where the firmware does not fit."""
    found = f["devices"][device]["boards"][BOARD]
    if "layers" not in found:
        return None
    by_phase = found["layers"][layer]["phases"]
    per_cycle = found["ms"] / found["cycles"]
    return [by_phase.get(name, 0) * per_cycle for name in (*PHASES, "other")]


def section(f: Fragment) -> str:
    lines = []
    for layer, theirs in GR_TABLE3[f["model"]].items():
        for device in f["devices"]:
            found = phases(f, device, layer)
            cells = ["does not fit", *[""] * 5] if found is None else [f"{x:.2f}" for x in (sum(found), *found)]
            lines.append([layer, device, *cells])
        lines.append([layer, "theirs", f"{sum(theirs):.2f}", *(f"{x:.2f}" for x in theirs), ""])
    heading = ["layer", "how", "sum, ms", *PHASES, "other"]
    return f"""One image, modelled on {BOARD}; calibrated on {f["settings"]["calibration"]:,} images. For theirs the sum
of the four phases, which is not always the latency that the table prints.

{table(heading, lines)}"""


def shares(f: Fragment, device: str) -> list[float] | None:
    """Of the phases in all layers together."""
    found = [phases(f, device, layer) for layer in GR_TABLE3[f["model"]]]
    if None in found:
        return None
    sums = [sum(column) for column in zip(*[x for x in found if x], strict=True)]
    return [x / sum(sums) for x in sums]


def _in_words(values: list[float]) -> str:
    return ", ".join(f"{name} {100 * x:.0f} %" for name, x in zip(PHASES, values, strict=False))


def ours(f: Fragment) -> str:
    found = shares(f, "image scope")
    return f"{f['network']}, image scope: " + ("does not fit" if found is None else _in_words(found))


def difference(f: Fragment) -> str:
    theirs = [sum(column) for column in zip(*GR_TABLE3[f["model"]].values(), strict=True)]
    text = f"{f['network']}: theirs is {_in_words([x / sum(theirs) for x in theirs])}"
    found = shares(f, "image scope")
    return text + ("." if found is None else f"; with TREC's L and H our image-scope kernels spend {_in_words(found)}.")


TABLE3 = Reproduction(
    name="gr_table3", paper="GR", what="Table 3", title="phases of reuse", measure=measure, section=section, ours=ours,
    theirs="GEMM about a fifth, transformation up to half and more", difference=difference,
    full={"calibration": 1000}, quick={"calibration": 200},
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE3)
