"""GR Fig. 16: int8 with linear (affine) quantisation, beside 8-bit fixed point (power-of-two scales).

    python benchmarks/papers/gr_fig16.py --data-root DIR
    python benchmarks/papers/gr_fig16.py --data-root DIR --quick

The same float networks are deployed twice: scales and zero points as calibrated (§5.3.8's INT8 linear quantisation),
and powers of two (the fixed point of §5.1). The last network also has its first fully connected layer in compiled scope
(`ReuseLinear`), which the paper does not reuse.
"""

from __future__ import annotations

import argparse
from typing import Any

from fragments import Bench, Fragment, Reproduction, compiled, cost, main, on_device, percent, shown
from torch import nn
from trec_table2 import trec

from figures import table
from ostinato.training import compile_tables, evaluate
from recipe_rows import rows_for, tree

SCALES = {"linear": "real", "fixed point": "power_of_two"}
LINEAR = ("fc1", 16, 4)
"""Layer, L and H of the fully connected layer: a table as large as its weights, since 2^H is L."""


def with_linear(given: Bench, calibration: int) -> nn.Module:
    name, length, hashes = LINEAR
    patterns = {**rows_for(given.model)[-1].patterns, name: tree(length, hashes)}
    return compile_tables(given.network, given.dataset, patterns, images=calibration, refit_dense=False)


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    split = given.test(s.images)
    networks = {
        "conventional": given.network,
        "TREC's L and H, image scope": trec(given, "image", s.calibration, 0),
        "Ostinato, compiled scope": compiled(given, s.calibration, 0),
        f"the same and {LINEAR[0]}": with_linear(given, s.calibration),
    }
    rows = {
        name: {
            "top1": evaluate(network, split).top1,
            **{scales: on_device(network, given, split, s.boards, scales=how) for scales, how in SCALES.items()},
        }
        for name, network in networks.items()
    }
    return {"model": given.model, "images": len(split), "rows": rows, "seeds": "0"}


def section(f: Fragment) -> str:
    boards = f["settings"]["boards"].split(",")
    lines = [
        [
            name, percent(row["top1"]), *(_int8(row, scales) for scales in SCALES),
            *(shown(cost(row["linear"], board)) for board in boards),
            *(shown(_layer(row, board), 3) for board in boards),
        ]
        for name, row in f["rows"].items()
    ]  # fmt: skip
    heading = ["network", "top-1 float %", "int8 linear %", "8-bit fixed point %", *(f"{b}, ms" for b in boards),
               *(f"{LINEAR[0]} alone, ms" for _ in boards)]  # fmt: skip
    return f"""Top-1 on the first {f["images"]:,} test images, calibrated on {f["settings"]["calibration"]:,}, not
trained; modelled ms of the linear form. {LINEAR[0]}: L={LINEAR[1]}, H={LINEAR[2]}.

{table(heading, lines)}

Theirs: a drawing without numbers in its text; "consistently outperforms" TREC (§5.3.8)."""


def _layer(row: dict[str, Any], board: str) -> float | None:
    """ms of the fully connected layer."""
    found = row["linear"]["boards"][board]
    if "layers" not in found:
        return None
    return float(found["layers"][LINEAR[0]]["cycles"] * found["ms"] / found["cycles"])


def _int8(row: dict[str, Any], scales: str) -> str:
    """Percent, where a firmware fits."""
    top1 = row[scales].get("int8_top1")
    return "–" if top1 is None else percent(top1)


def ours(f: Fragment) -> str:
    board = f["settings"]["boards"].split(",")[0]
    return "; ".join(
        f"{name} {_int8(r, 'linear')} %, {shown(cost(r['linear'], board))} ms" for name, r in f["rows"].items()
    )


def difference(f: Fragment) -> str:
    board = f["settings"]["boards"].split(",")[0]
    _, trec_row, compiled_row, linear = f["rows"].values()
    fitting = [r for r in f["rows"].values() if "int8_top1" in r["linear"]]
    worst = max(abs(r["linear"]["int8_top1"] - r["top1"]) for r in fitting)
    before, after = (_layer(r, board) for r in (compiled_row, linear))
    text = f"Linear quantisation moves no network's top-1 by more than {100 * worst:.1f} points here"
    ours_ms, trec_ms = cost(compiled_row["linear"], board), cost(trec_row["linear"], board)
    if ours_ms is not None and trec_ms is not None:
        text += (
            f"; compiled scope is {trec_ms / ours_ms:.1f} times faster than TREC's L and H in image scope, and "
            f"{100 * (compiled_row['linear']['int8_top1'] - trec_row['linear']['int8_top1']):+.1f} points from it"
        )
    if before is not None and after is not None:
        change = linear["linear"]["int8_top1"] - compiled_row["linear"]["int8_top1"]
        text += f"; reusing {LINEAR[0]} takes it from {before:.2f} to {after:.2f} ms for {100 * change:+.1f} points"
    return text + "."


FIG16 = Reproduction(
    name="gr_fig16", paper="GR", what="Fig. 16", title="INT8 linear quantisation", measure=measure, section=section,
    ours=ours, theirs="a drawing: reuse above TREC in accuracy at the same latency", difference=difference,
    full={"images": 10_000, "calibration": 1000, "boards": "stm32f469i,stm32f767zi"},
    quick={"images": 200, "calibration": 200, "boards": "stm32f469i"}, networks=("cifarnet-cifar10",),
)  # fmt: skip

if __name__ == "__main__":
    main(FIG16)
