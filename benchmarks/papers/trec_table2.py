"""TREC Table 2: whole networks, conventional, with random hashes (Deep Reuse), with TREC's, and ours.

    python benchmarks/papers/trec_table2.py --data-root DIR
    python benchmarks/papers/trec_table2.py --data-root DIR --quick

Every layer of TREC Table 3 is reused with its L and H, in order c.kh.kw with one hash matrix for a layer, as in the
authors' artifact: in batch scope, which is the paper's accuracy, and in image scope, which is all that a device with
one image can have. TREC's rows start from ITQ hashes and a closed-form refit and are fine-tuned for --epochs (0:
calibrated only). Ours is the last row of `benchmarks/compile_tables.py`.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping
from functools import cache
from statistics import mean
from typing import Any

from fragments import BATCH, Bench, Fragment, Reproduction, compiled, cost, main, on_device, percent, spread, trained
from theirs import TREC_TABLE2, TREC_TABLE3
from torch import nn

from figures import PAPERS_ORDER, table
from ostinato.data import Split
from ostinato.nn import calibrate, convert, measure_reuse
from ostinato.pipeline.networks import FINE_TUNE_LR, calibration_images
from ostinato.reuse import Pattern
from ostinato.training import evaluate, fit

FULL = {"images": 10_000, "draws": 10, "calibration": 1000, "epochs": 5, "boards": "stm32f469i,stm32f767zi"}
QUICK = {"images": 200, "draws": 3, "calibration": 200, "epochs": 0, "boards": "stm32f469i"}


def patterns(model: str, scope: str, seed: int = 0, **fields: Any) -> dict[str, Pattern]:
    """TREC Table 3's L and H by layer."""
    chosen = {"gradient": "frozen", **fields}
    return {
        name: Pattern(row[0], row[1], PAPERS_ORDER, scope, "layer", seed=seed, **chosen)
        for name, row in TREC_TABLE3[model].items()
    }


def measured(network: nn.Module, split: Split) -> dict[str, Any]:
    """Top-1 and r_t over all vectors of all reused layers, in batches of BATCH images."""
    with measure_reuse(network) as stats:
        top1 = evaluate(network, split, batch_size=BATCH).top1
    vectors, clusters = (sum(getattr(s, key) for s in stats.values()) for key in ("vectors", "clusters"))
    return {"top1": top1, "r_t": 1 - clusters / vectors}


def deep_reuse(given: Bench, split: Split, scope: str, draws: int) -> list[dict[str, Any]]:
    """One entry for each draw of random hashes; the trained weights stay."""
    return [measured(convert(given.network, patterns(given.model, scope, seed)), split) for seed in range(draws)]


@cache
def trec(given: Bench, scope: str, calibration: int, epochs: int) -> nn.Module:
    """ITQ hashes, refitted weights, both fine-tuned in the scope if there are epochs."""
    chosen = patterns(given.model, scope, init="itq", gradient="flip" if epochs else "frozen")
    network = calibrate(
        convert(given.network, chosen), calibration_images(given.dataset, calibration, 0), batch_size=BATCH
    )
    return tuned(network, given, epochs, FINE_TUNE_LR[scope])


def tuned(network: nn.Module, given: Bench, epochs: int, lr: float) -> nn.Module:
    """Fine-tuned with the conventional network as teacher; as it is with no epochs."""
    if epochs:
        network = copy.deepcopy(network)
        fit(network, given.dataset, epochs=epochs, lr=lr, seed=0, teacher=given.network, progress=False)
    return network.eval()


def measure(given: Bench, s: argparse.Namespace) -> dict[str, Any]:
    split = given.test(s.images)
    rows: dict[str, dict[str, Any]] = {
        "conventional, CMSIS-NN style": {"device": on_device(given.network, given, split, s.boards, kernel="cmsis")},
        "conventional, best dense": {"device": on_device(given.network, given, split, s.boards)},
    }
    top1 = evaluate(given.network, split).top1
    for row in rows.values():
        row["runs"] = [{"top1": top1}]
    for scope in ("batch", "image"):
        rows[f"Deep Reuse, {scope} scope"] = {"runs": deep_reuse(given, split, scope, s.draws)}
        network = trec(given, scope, s.calibration, s.epochs)
        rows[f"TREC, {scope} scope"] = {"runs": [measured(network, split)]}
        if scope == "image":
            first = convert(given.network, patterns(given.model, scope))
            rows["Deep Reuse, image scope"]["device"] = on_device(first, given, split, s.boards)
            rows["TREC, image scope"]["device"] = on_device(network, given, split, s.boards)
    ours = tuned(compiled(given, s.calibration, 0), given, s.epochs, FINE_TUNE_LR["compiled"])
    top1 = evaluate(ours, split).top1
    rows["Ostinato, compiled scope"] = {"runs": [{"top1": top1}], "device": on_device(ours, given, split, s.boards)}
    return {
        "model": given.model, "images": len(split), "batch": BATCH, "rows": rows,
        "seeds": f"0 to {s.draws - 1} (random hashes), 0 (all others)",
    }  # fmt: skip


def section(f: Fragment) -> str:
    s, rows = f["settings"], f["rows"]
    boards = s["boards"].split(",")
    lines = []
    for name, row in rows.items():
        device = row.get("device")
        r_t = [run["r_t"] for run in row["runs"] if "r_t" in run]
        int8 = (device or {}).get("int8_top1")
        lines.append([
            name, spread([run["top1"] for run in row["runs"]]), "–" if int8 is None else percent(int8),
            f"{mean(r_t):.3f}" if r_t else "–", *(_ms(device, rows, board) for board in boards),
            _memory(device, boards[0]),
        ])  # fmt: skip
    trained = f"fine-tuned {s['epochs']} epochs" if s["epochs"] else "calibrated only, not trained"
    heading = ["method", "top-1 float %", "top-1 int8 %", "r_t in scope", *(f"{b}, ms (× dense)" for b in boards),
               "SRAM / flash, KiB"]  # fmt: skip
    printed = [[name, f"{ms:.0f}", top1] for name, ms, top1 in TREC_TABLE2[f["model"]]]
    theirs = table(["theirs (TREC Table 2)", "ms", "top-1 %"], printed)
    return f"""Top-1 on the first {f["images"]:,} test images (batch scope: of {f["batch"]}); Deep Reuse:
mean and range of {s["draws"]} draws of random hashes, weights untouched, firmware of the first draw; TREC and Ostinato:
{trained}, {s["calibration"]:,} calibration images. Modelled ms for one image, zero wait states.

{table(heading, lines)}

{theirs}"""


def _ms(device: Mapping[str, Any] | None, rows: Mapping[str, Any], board: str) -> str:
    ms, dense = cost(device, board), cost(rows["conventional, best dense"]["device"], board)
    if ms is None or dense is None:
        return "does not fit" if device else "–"
    return f"{ms:.1f} ({dense / ms:.2f})"


def _memory(device: Mapping[str, Any] | None, board: str) -> str:
    sram, flash = (cost(device, board, f"{kind}_bytes") for kind in ("sram", "flash"))
    return "–" if sram is None or flash is None else f"{sram / 1024:.0f} / {flash / 1024:.0f}"


def _time(row: Mapping[str, Any], board: str) -> str:
    ms = cost(row["device"], board)
    return f"does not fit {board}" if ms is None else f"{ms:.1f} ms"


def ours(f: Fragment) -> str:
    batch, image, ostinato = (f["rows"][name] for name in (
        "TREC, batch scope", "TREC, image scope", "Ostinato, compiled scope"))  # fmt: skip
    board = f["settings"]["boards"].split(",")[0]
    return (
        f"{f['network']}: TREC {percent(batch['runs'][0]['top1'])} % in batch scope, "
        f"{percent(image['runs'][0]['top1'])} %, {_time(image, board)} in image scope; "
        f"Ostinato {percent(ostinato['runs'][0]['top1'])} %, {_time(ostinato, board)}; "
        f"conventional {percent(f['rows']['conventional, best dense']['runs'][0]['top1'])} %"
    )


def difference(f: Fragment) -> str:
    rows, board = f["rows"], f["settings"]["boards"].split(",")[0]
    reuse, cmsis = (cost(rows[name].get("device"), board) for name in (
        "TREC, image scope", "conventional, CMSIS-NN style"))  # fmt: skip
    batch, image = (rows[f"TREC, {scope} scope"]["runs"][0]["top1"] for scope in ("batch", "image"))
    draws = [run["top1"] for run in rows["Deep Reuse, batch scope"]["runs"]]
    printed = TREC_TABLE2[f["model"]]
    trained = "" if f["settings"]["epochs"] else " without the paper's 100 epochs of training"
    speed = ""
    if reuse is not None and cmsis is not None:
        way = "faster" if reuse < cmsis else "slower"
        speed = f", where its modelled time is {max(reuse / cmsis, cmsis / reuse):.1f} times {way} than conventional"
    return (
        f"{f['network']}: the authors' artifact forms clusters over a batch, a device within one image; TREC's L and "
        f"H{trained} give {percent(batch)} % in batches of {f['batch']} and {percent(image)} % image by image{speed} "
        f"(CMSIS-NN style); random hashes in a network not trained with them give {spread(draws)} % in batches "
        f"(theirs: {printed[1][2]} %)."
    )


def _theirs() -> str:
    return "; ".join(f"{model} {rows[2][2]} % at {rows[2][1]:.0f} ms" for model, rows in TREC_TABLE2.items())


TABLE2 = Reproduction(
    name="trec_table2", paper="TREC", what="Table 2", title="whole networks", measure=measure, section=section,
    ours=ours, theirs=_theirs(), difference=difference, full=FULL, quick=QUICK,
    networks=trained("cifarnet", "squeezenet", "zfnet", "resnet34"),
    quick_networks=("cifarnet-cifar10", "squeezenet-cifar10"),
)  # fmt: skip

if __name__ == "__main__":
    main(TABLE2)
