"""The whole job on a data set, written to docs/results: both tables, the pictures, and how they were made.

    python benchmarks/end_to_end.py --data digits --out runs/demo
    python benchmarks/end_to_end.py --data cifar10 --data-dir DIR --precision bfloat16 --out runs/cifar

A run found in --out goes on (or is only reported, if it is finished), as with `ostinato run`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from ostinato.files import write_atomically
from ostinato.pipeline import RunConfig, run
from ostinato.report import Report, to_markdown
from provenance import RESULTS, machine

PICTURES = ("accuracy_latency", "latency_by_layer", "similar_tiles")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cifarnet")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--board", default="stm32f469i")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    config = RunConfig(
        model=options.model,
        data=options.data,
        data_dir=options.data_dir,
        board=options.board,
        precision=options.precision,
        seed=options.seed,
    )
    command = f"python benchmarks/end_to_end.py --model {config.model} --data {config.data}"
    command += " --data-dir DIR" if config.data_dir else ""
    command += f" --board {config.board} --precision {config.precision} --seed {config.seed} --out {options.out}"
    report = run(
        config,
        options.out,
        announce=lambda number, count, what: print(f"[{number}/{count}] {what}", file=sys.stderr, flush=True),
        command=command,
    )
    print(write_page(report, options.out / "plots"))


def write_page(report: Report, plots: Path) -> Path:
    """docs/results/<network>-<data>-<board>.md and its pictures."""
    name = f"{report.network}-{report.data}-{report.board}"
    for picture in PICTURES:
        if (plots / f"{picture}.png").exists():
            RESULTS.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(plots / f"{picture}.png", RESULTS / f"{name}-{picture}.png")
    shown = [p for p in PICTURES if (RESULTS / f"{name}-{p}.png").exists()]
    pictures = "\n\n".join(f"![{p.replace('_', ' ')}]({name}-{p}.png)" for p in shown)
    about = f"Machine: {machine()}. {training_times(plots.parent)}"
    page = "\n\n".join([to_markdown(report).rstrip(), pictures, about])
    write_atomically(RESULTS / f"{name}.md", (page + "\n").encode())
    return RESULTS / f"{name}.md"


def training_times(run_dir: Path) -> str:
    """How long each network's training took; the report's wall time leaves out those that were there already."""
    parts = []
    for metrics in sorted(run_dir.glob("*/metrics.jsonl")):
        epochs = [json.loads(line) for line in metrics.read_text().splitlines()]
        seconds = sum(epoch["seconds"] for epoch in epochs)
        parts.append(f"{metrics.parent.name} {seconds:.0f} s ({len(epochs)} epochs)")
    return f"Training: {', '.join(parts)}; networks found in the run's folder are not trained again."


if __name__ == "__main__":
    main()
