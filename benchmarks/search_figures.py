"""GR Fig. 9 to 13 and Tables 1 and 3 from one search, beside TREC's choice: one hand-set pattern in all layers.

    python benchmarks/search_figures.py
    python benchmarks/search_figures.py --data cifar10 --data-dir DIR --network runs/cifar/conventional

Searches for each board in runs/search-<network>-<data>-<board> (a search found there goes on, so that this program may
be stopped), then measures the conventional network and the hand-set ones likewise: calibrated, refitted, simulated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

import ostinato as ost
from figures import COLOURS, RUNS, Curve, Panel, Setup, Study, draw, parser, percent, run, table
from ostinato.reuse import Pattern, read_pattern
from ostinato.search import Settings
from ostinato.search.candidate import fields_of
from ostinato.search.context import Context
from ostinato.search.journal import Journal
from ostinato.search.tasks import Task, run_task
from ostinato.targets.boards import get_board

HASHES = (3, 4, 6)
"""Of the hand-set networks: TREC's slices are a channel's kernel; H is the one thing that is tuned."""


def measure(options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    torch.set_num_threads(1)
    boards = {name: _board(options, setup, name) for name in options.boards.split(",")}
    return {"boards": boards, "model": options.model, "seeds": f"0 of the search; the network's: {setup.seed}"}


def _board(options: argparse.Namespace, setup: Setup, board: str) -> dict[str, Any]:
    folder = RUNS / f"search-{options.model}-{setup.dataset.name}-{board}"
    settings = Settings(validation_images=options.images, front=options.front)
    result = ost.search(
        setup.network, setup.dataset, board, settings=settings, out=folder, space=options.scope,
        executor=options.executor, workers=options.workers,
    )  # fmt: skip
    context = Context.of(setup.network, setup.dataset, get_board(board), settings)
    with Journal(folder / "hand-set", {"of": "hand-set patterns"}) as journal:
        hand_set = [_hand_set(context, journal, hashes) for hashes in HASHES]
    return {"search": result.to_dict(), "hand_set": [one for one in hand_set if one], "rows": _rows(folder)}


def _hand_set(context: Context, journal: Journal, hashes: int) -> dict[str, Any] | None:
    """The network with TREC's slices, a kernel of one channel, in every layer that has one of more than a pixel."""
    chosen = {}
    for layer in context.layers:
        kh, kw = layer.geometry.kernel_size
        if kh * kw > 1:
            chosen[layer.name] = fields_of(Pattern(kh * kw, hashes, order="c.kh.kw", init="itq"))
    task = Task(f"hand-set:{hashes}", "network", {"patterns": chosen})
    if task.key not in journal.records:
        journal.add(run_task(context, task))
    found = journal.records[task.key].get("result")
    return None if found is None else {"hashes": hashes, **found}


def _rows(folder: Path) -> list[dict[str, Any]]:
    """All candidates, without what does not exist for them."""
    rows = pq.read_table(folder / "candidates.parquet").to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def dominance(board: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any], float]]:
    """(hand-set network, the fastest of the front that is as accurate, how many times faster that is)."""
    found = []
    for hand in board["hand_set"]:
        as_good = [entry for entry in board["search"]["front"] if entry["valid_top1"] >= hand["valid_top1"]]
        fastest = min(as_good, key=lambda entry: entry["cycles"])  # the conventional network or one better is there
        found.append((hand, fastest, hand["cycles"] / fastest["cycles"]))
    return found


def page(numbers: Mapping[str, Any]) -> str:
    parts = [
        """Validation top-1 on held-out training images, calibrated and refitted, without fine-tuning; modelled latency
of one image. Hand-set: order `c.kh.kw`, L = a channel's kernel, image scope, ITQ hashes, the same H in all layers with
kernels of more than one pixel."""
    ]
    for name, board in numbers["boards"].items():
        parts += [f"## {name}", _front(board),
                  "### Against the hand-set pattern (GR Fig. 9 and 10)", _dominance(board),
                  "### Layer by layer (GR Table 1)", _layers(board),
                  "### Order and direction (GR Fig. 11 to 13)", _orders(board),
                  "### Phases (GR Table 3)", _phases(board), "### Latency model", _model(board)]  # fmt: skip
    return "\n\n".join(parts)


def _front(board: Mapping[str, Any]) -> str:
    base = board["search"]["conventional"]
    rows = [
        [str(len(e["patterns"])) if e["patterns"] else "none: conventional", percent(e["valid_top1"]), f"{e['ms']:.2f}",
         f"{base['cmsis_cycles'] / e['cycles']:.2f}", f"{base['cycles'] / e['cycles']:.2f}",
         f"{e['flash_bytes'] / 1024:.0f}", f"{e['sram_bytes'] / 1024:.0f}", *_predicted(e)]
        for e in board["search"]["front"]
    ]  # fmt: skip
    heads = ["reused layers", "top-1 %", "ms", "× over CMSIS-NN style", "× over best dense", "flash KiB", "SRAM KiB",
             "predicted ms", "divergence, nats", "predicted"]  # fmt: skip
    return table(heads, rows)


def _predicted(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """Before the network was made: its latency from layers simulated alone, its divergence from their divergences."""
    guess = entry.get("predicted")
    if guess is None:
        return "", "", ""
    return f"{guess['ms']:.2f}", f"{entry['kl']:.4f}", f"{guess['kl']:.4f}"


def _dominance(board: Mapping[str, Any]) -> str:
    rows = [
        [str(hand["hashes"]), percent(hand["valid_top1"]), f"{hand['ms']:.2f}", percent(ours["valid_top1"]),
         f"{ours['ms']:.2f}", f"{times:.2f}"]
        for hand, ours, times in dominance(board)
    ]  # fmt: skip
    return table(["H of all layers", "top-1 %", "ms", "the front's top-1 %", "its ms", "times faster"], rows)


def _layers(board: Mapping[str, Any]) -> str:
    """The Pareto-optimal patterns of every layer by divergence, beside both baselines."""
    base, lines = board["search"]["conventional"]["layers"], []
    for row in board["rows"]:
        if "dropped" in row or "failed" in row:
            continue
        pattern = read_pattern(json.loads(row["pattern"]))
        own = base[row["layer"]]
        lines.append(
            [row["layer"], str(pattern), f"{row['r_t']:.3f}", f"{row['kl']:.4f}", f"{row['error']:.3f}",
             f"{own['cmsis_cycles'] / row['cycles']:.2f}", f"{own['cycles'] / row['cycles']:.2f}"]
        )  # fmt: skip
    heads = ["layer", "pattern", "r_t", "divergence, nats", "output error", "× over CMSIS-NN style", "over best dense"]
    return table(heads, lines)


def _orders(board: Mapping[str, Any]) -> str:
    """Patterns that differ in order, or in direction, alone."""
    groups: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for row in board["rows"]:
        fields = json.loads(row["pattern"])
        if fields.get("scope") != "image" or "kl" not in row:
            continue
        way = f"{fields['order']}, {'M-1' if fields['direction'] == 'vertical' else 'M-2'}"
        same = (row["layer"], fields["length"] * fields["block_rows"], fields["hashes"])
        groups.setdefault(same, {})[way] = row
    ways = sorted({way for rows in groups.values() for way in rows})
    lines = [
        [layer, str(size), str(hashes), *(_cell(rows.get(way)) for way in ways)]
        for (layer, size, hashes), rows in groups.items()
    ]
    return "Divergence in nats / Mcycles of the layer.\n\n" + table(["layer", "b·L", "H", *ways], lines)


def _cell(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else f"{row['kl']:.3f} / {row['cycles'] / 1e6:.2f}"


def _phases(board: Mapping[str, Any]) -> str:
    """Of the chosen network and the hand-set one with the most hashes, in ms."""
    clock, lines = board["search"]["clock_hz"], []
    networks = [("chosen", board["search"]["chosen"])]
    networks += [(f"hand-set, H={one['hashes']}", one) for one in board["hand_set"][-1:]]
    for label, network in networks:
        for layer, phases in network.get("phases", {}).items():
            if set(phases) - {"other"}:
                names = ("transformation", "clustering", "gemm", "recovering", "other")
                lines.append([label, layer, *(f"{1e3 * phases.get(name, 0) / clock:.2f}" for name in names)])
    return table(["network", "layer", "transformation, ms", "clustering", "GEMM", "recovering", "other"], lines)


def _model(board: Mapping[str, Any]) -> str:
    found = board["search"]["latency_errors_on_unseen_layers"]
    if not found:
        return "No kernel was simulated on three layers of different shape: nothing can be said of unseen ones."
    rows = [[k, str(e["samples"]), percent(e["mean"]), percent(e["largest"])] for k, e in found.items()]
    return table(["kernel", "simulated", "mean error on unseen layers, %", "largest, %"], rows)


def drawing(numbers: Mapping[str, Any]) -> bytes:
    return draw("Accuracy against latency (GR Fig. 9 and 10)", "modelled latency, validation accuracy",
                [[_panel(name, board) for name, board in numbers["boards"].items()]], width=6.0)  # fmt: skip


def _panel(name: str, board: Mapping[str, Any]) -> Panel:
    search = board["search"]
    hand = sorted(board["hand_set"], key=lambda one: one["ms"])
    reused: Sequence[Mapping[str, Any]] = [e for e in search["front"] if e["patterns"]]
    curves = [
        Curve("found by the search", [e["ms"] for e in reused], [100 * e["valid_top1"] for e in reused], COLOURS[0]),
        Curve("hand-set in all layers", [e["ms"] for e in hand], [100 * e["valid_top1"] for e in hand], COLOURS[1]),
        Curve("conventional, best dense kernel", [1e3 * search["conventional"]["cycles"] / search["clock_hz"]],
              [100 * search["conventional"]["valid_top1"]], "#22272e", marker="s"),
    ]  # fmt: skip
    level = (100 * search["conventional"]["valid_top1"], "conventional")
    return Panel(name, "ms per image", "top-1 on validation images, %", curves, level=level)


if __name__ == "__main__":
    made = parser(__doc__, images=1000)
    made.add_argument("--model", default="cifarnet", help="of --network")
    made.add_argument("--boards", default="stm32f469i,stm32f767zi")
    made.add_argument("--scope", help="TOML file of the pattern space")
    made.add_argument("--front", type=int, default=6)
    made.add_argument("--executor", default="local")
    made.add_argument("--workers", type=int)
    run(Study("search", "The search's front", measure, page, drawing), made)
