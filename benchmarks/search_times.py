"""GR Table 2: how long a search takes beside trying everything, for 100 patterns.

    python benchmarks/search_times.py --network runs/net
    python benchmarks/search_times.py --model squeezenet --data cifar10 --data-dir DIR --network runs/squeezenet

Profiling, pruning and simulating are measured as they are. Fine-tuning 100 networks would take days: an epoch on
--train-images images is measured on a few of the candidates and scaled to the whole training split and --epochs epochs.
Seconds are of one processor (`time.process_time`, of compilers too), since the machine may have other work.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

import ostinato as ost
from figures import COLOURS, Curve, Panel, Setup, Study, draw, parser, run, table
from ostinato.reuse import read_pattern
from ostinato.search import SearchSpace, Settings
from ostinato.search.candidate import AnyPattern, read_candidate
from ostinato.search.context import Context
from ostinato.search.generate import generate
from ostinato.search.halving import schedule
from ostinato.search.latency import LatencyModel, summary, unseen_layer_errors
from ostinato.search.layer_firmware import KernelProbe
from ostinato.search.measure import baseline, simulate_candidate
from ostinato.search.profile import profile_layer
from ostinato.search.prune import choose_samples, drop_profiled, fill_latencies, prune, samples
from ostinato.targets.boards import get_board

_SIMULATED, _TRAINED = 24, 3


def timed(action: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What it returned, and its seconds on the clock and of processors, child processes among them."""
    began, before = time.perf_counter(), os.times()
    result = action()
    after = os.times()
    fields = ("user", "system", "children_user", "children_system")
    processor = sum(getattr(after, field) - getattr(before, field) for field in fields)
    return result, {"wall": time.perf_counter() - began, "processor": processor}


def hundred(context: Context, count: int) -> dict[str, list[AnyPattern]]:
    """`count` patterns of the default space, in turn of the layers with kernels larger than a pixel."""
    layers = [layer for layer in context.layers if max(layer.geometry.kernel_size) > 1]
    found = generate(SearchSpace.default(), layers, context.board.flash_bytes, KernelProbe(context.board).refusal)
    longest = max(map(len, found.patterns.values()))
    turns = [(name, own[i]) for i in range(longest) for name, own in found.patterns.items() if i < len(own)][:count]
    return {name: [pattern for layer, pattern in turns if layer == name] for name in dict.fromkeys(n for n, _ in turns)}


def measure(options: argparse.Namespace, setup: Setup) -> dict[str, Any]:
    torch.set_num_threads(1)
    context = Context.of(setup.network, setup.dataset, get_board("stm32f469i"), Settings())
    patterns, generating = timed(lambda: hundred(context, options.patterns))
    print(f"{sum(map(len, patterns.values()))} patterns of {len(patterns)} layers", flush=True)
    rows, profiling = timed(
        lambda: [row for name, own in patterns.items() for row in profile_layer(context, name, own)]
    )
    print(f"profiled: {profiling}", flush=True)
    base = baseline(context)
    layers = {layer.name: layer for layer in context.layers}
    (kept, _), pruning = timed(lambda: drop_profiled(rows))
    chosen, simulating = choose_samples(kept, _SIMULATED), []
    for row in chosen:
        candidate = read_candidate(row["layer"], row["pattern"])
        found, seconds = timed(lambda candidate=candidate: simulate_candidate(context, candidate))
        row["cycles_simulated"] = found["cycles"]
        simulating.append(seconds)
    known = samples(kept, layers)
    fill_latencies(kept, layers, LatencyModel.fit(known), base)
    left, pruning_more = timed(lambda: prune(kept, base, [layers[name] for name in patterns]))
    training = [_epoch(options, setup, context, row) for row in _spread(kept)]
    return {
        "model": options.model, "patterns": len(rows), "epochs": options.epochs_full, "finalists": options.finalists,
        "train_images": len(setup.dataset.train), "measured_on": options.train_images,
        "generate": generating, "profile": profiling, "simulate": simulating, "train": training,
        "prune": {key: pruning[key] + pruning_more[key] for key in pruning},
        "left": sum(len(own) - 1 for own in left.options.values()),
        "latency_errors": summary(unseen_layer_errors(known)), "rows": rows,
        "seeds": f"0 of the search; the network's: {setup.seed}",
    }  # fmt: skip


def _spread(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step = max(1, len(rows) // _TRAINED)
    return rows[step // 2 :: step][:_TRAINED]


def _epoch(options: argparse.Namespace, setup: Setup, context: Context, row: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of an epoch on the whole training split, scaled from fewer images; validation not counted."""
    pattern = read_pattern(row["pattern"])
    network = ost.calibrate(ost.convert(setup.network, {row["layer"]: pattern}), context.calibration, refit=False)
    few = setup.dataset.train.subset(options.train_images, 0)
    short = ost.data.ImageDataset(
        setup.dataset.name, setup.dataset.classes, few, setup.dataset.valid.subset(1), setup.dataset.test
    )
    _, seconds = timed(
        lambda: ost.fit(network, short, epochs=1, lr=0.003, teacher=copy.deepcopy(setup.network), progress=False)
    )
    scale = len(setup.dataset.train) / options.train_images
    print(f"an epoch of {pattern}: {scale * seconds['processor']:.0f} s of processor", flush=True)
    return {key: scale * value for key, value in seconds.items()}


def totals(numbers: Mapping[str, Any], kind: str) -> dict[str, dict[str, float]]:
    """Seconds by phase of the search and of trying everything."""
    epoch = sum(one[kind] for one in numbers["train"]) / len(numbers["train"])
    one = sum(each[kind] for each in numbers["simulate"]) / len(numbers["simulate"])
    count, epochs = numbers["patterns"], numbers["epochs"]
    trained = sum(size * length for size, length in schedule(numbers["finalists"], epochs, 2))
    ours = {"profile": numbers["profile"][kind] + numbers["generate"][kind], "prune": numbers["prune"][kind],
            "train": trained * epoch, "simulate": (len(numbers["simulate"]) + numbers["finalists"]) * one}  # fmt: skip
    everything = {"profile": 0.0, "prune": 0.0, "train": count * epochs * epoch, "simulate": count * one}
    return {"search": ours, "all": everything}


def page(numbers: Mapping[str, Any]) -> str:
    both = totals(numbers, "processor")
    ours, everything = both["search"], both["all"]
    saved = 1 - sum(ours.values()) / sum(everything.values())
    rows = [[phase, f"{ours[phase]:,.0f}", f"{everything[phase]:,.0f}"] for phase in ours]
    rows.append(["total", f"{sum(ours.values()):,.0f}", f"{sum(everything.values()):,.0f}"])
    profile = numbers["profile"]
    model = [[k, str(e["samples"]), f"{100 * e['mean']:.1f}", f"{100 * e['largest']:.1f}"]
             for k, e in numbers["latency_errors"].items()]  # fmt: skip
    halved, wall = profile["processor"] / 2, profile["wall"]
    return f"""{numbers["patterns"]} patterns, the search's successive halving from {numbers["finalists"]} networks to
{numbers["epochs"]} epochs against {numbers["epochs"]} epochs for each pattern. **Fine-tuning is estimated**: an epoch
was measured on {numbers["measured_on"]:,} images with {len(numbers["train"])} candidates and scaled to the
{numbers["train_images"]:,} of training; the exhaustive search's simulations are scaled from {len(numbers["simulate"])}.
Everything else is measured.

{table(["seconds of one processor", "search", "everything"], rows)}

Saved: {100 * saved:.1f} % (the paper: 80 %). Profiling took {profile["processor"]:.0f} s of processor for
{numbers["patterns"]} patterns, {wall:.0f} s on the clock of a machine with other work, on one thread; half of
the former is what two idle cores would need: {halved:.0f} s. Pruning left {numbers["left"]} patterns.

{table(["kernel", "simulated", "mean error of cycles on unseen layers, %", "largest, %"], model)}
"""


def drawing(numbers: Mapping[str, Any]) -> bytes:
    both = totals(numbers, "processor")
    phases = list(both["search"])
    curves = [
        Curve(label, list(range(len(phases))), [max(both[key][p], 0.01) for p in phases], COLOURS[i], dashes="")
        for i, (key, label) in enumerate((("search", "search"), ("all", "every pattern")))
    ]
    title = " · ".join(f"{i} {phase}" for i, phase in enumerate(phases))
    panel = Panel(title, "phase", "seconds of one processor", curves, log_y=True, ticks=[0, 1, 2, 3])
    subtitle = f"{numbers['model']}, {numbers['patterns']} patterns"
    return draw("Time of a search (GR Table 2)", subtitle, [[panel]], width=6.0)


if __name__ == "__main__":
    made = parser(__doc__, images=1000)
    made.add_argument("--model", default="cifarnet", help="of --network")
    made.add_argument("--patterns", type=int, default=100)
    made.add_argument("--finalists", type=int, default=4)
    made.add_argument("--epochs-full", type=int, default=40, help="of a full fine-tuning, as in GR §5.1")
    made.add_argument("--train-images", type=int, default=256)
    run(Study("search-times", "Time of a search (GR Table 2)", measure, page, drawing), made)
