"""The honest rival of tables: the same network made narrower, conventional, on the best dense kernels, trained as long.

    python benchmarks/rivals.py cifarnet-cifar10 --data-dir DIR --sizes 0.26 0.18 --epochs 20 --lr 0.02

Channels are removed from the trained network (`prune_channels`) until a share of its parameters is left; what remains
is fine-tuned, distilled from the whole network, with the recipe of benchmarks/compile_tables.py, whose finished rows
(--ours) stand beside it. All are measured as int8 firmware on the whole test set. Trainings are kept in --out and go on
from their last epoch; `--stage train` ends after them (`--device cuda`), `--stage measure` takes what is there. Writes
docs/results/rivals-<network>.md and .json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from statistics import mean
from typing import Any

from torch import nn

import ostinato as ost
from ostinato import data
from ostinato.data import ImageDataset
from ostinato.files import write_atomically
from ostinato.models.stored import load_network
from ostinato.models.zoo import checkpoint_path
from ostinato.pipeline.recipe_files import Pruning
from ostinato.pipeline.train import prune_and_tune
from ostinato.training import MODERN
from provenance import RESULTS, provenance


def train(options: argparse.Namespace, dataset: ImageDataset) -> None:
    """Each size's training, in a folder of its own; one that has ended is left alone."""
    for size in options.sizes:
        network, _ = load_network(checkpoint_path(options.network))
        prune_and_tune(
            network.to(options.device), dataset, options.out / f"size-{size}",
            Pruning(size=size, epochs=options.epochs, lr=options.lr),
            dataclasses.replace(MODERN, batch_size=options.batch_size), precision="bfloat16",
        )  # fmt: skip


def measured(network: nn.Module, dataset: ImageDataset, board: str) -> dict[str, Any]:
    """A trained network as int8 firmware on the best kernels."""
    firmware = ost.deploy(network, dataset, board)
    report = firmware.simulate()
    return {
        "int8_test_top1": firmware.evaluate(dataset.test), "cycles": report.cycles, "ms": report.ms,
        "flash_bytes": report.flash_bytes, "sram_bytes": report.sram_bytes,
        "layers": {layer.name: layer.cycles for layer in report.layers},
    }  # fmt: skip


def rivals(options: argparse.Namespace, dataset: ImageDataset) -> list[dict[str, Any]]:
    """The narrower networks, by size."""
    found = []
    for size in sorted(options.sizes, reverse=True):
        folder = options.out / f"size-{size}"
        epochs = len((folder / "metrics.jsonl").read_text().splitlines())
        found.append(
            {"row": f"narrower, {size:.0%} of the parameters, {epochs} epochs", "seeds": 1, "rival": True,
             **measured(load_network(folder / "model.pt")[0], dataset, options.board)}
        )  # fmt: skip
        print(found[-1], flush=True)
    return found


def ours(folder: Path) -> list[dict[str, Any]]:
    """Trained rows of benchmarks/compile_tables.py, means over seeds."""
    by_row: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/result.json")):
        made = json.loads(path.read_text())
        if "int8_test_top1" in made:
            by_row.setdefault(made["row"], []).append(made)
    keys = ("int8_test_top1", "cycles", "ms", "flash_bytes", "sram_bytes")
    return [
        {"row": row, "seeds": len(made), "rival": row == "conventional", **{k: mean(m[k] for m in made) for k in keys}}
        for row, made in by_row.items()
    ]


def dominates(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """At least as accurate, and at least as fast."""
    return bool(one["int8_test_top1"] >= other["int8_test_top1"] and one["cycles"] <= other["cycles"])


def verdict(rows: list[dict[str, Any]]) -> str:
    """Who wins in both axes."""
    conventional, tables = ([r for r in rows if r["rival"] is kind] for kind in (True, False))
    sentences = []
    for table in tables:
        beaten = [r for r in conventional if dominates(table, r)]
        better = [r for r in conventional if dominates(r, table)]
        if better:
            best = max(better, key=lambda r: r["int8_test_top1"])
            gain = 100 * (best["int8_test_top1"] - table["int8_test_top1"])
            sentences.append(
                f"**The rival wins** against “{table['row']}”: “{best['row']}” is {gain:.1f} points more accurate in "
                f"{best['cycles'] / table['cycles']:.2f} times its cycles."
            )
        elif beaten:
            names = ", ".join(f"“{r['row']}”" for r in beaten)
            sentences.append(f"“{table['row']}” is at least as accurate and as fast as {names}.")
        else:
            sentences.append(f"“{table['row']}” neither beats a rival here in both axes nor is beaten.")
    return " ".join(sentences)


def page(options: argparse.Namespace, rows: list[dict[str, Any]], dataset: ImageDataset) -> str:
    lines = ["| network | int8 top-1 | M cycles | ms | flash, KB | SRAM, KB | seeds |", "| --- | " + "---: | " * 6]
    lines += [
        f"| {r['row']} | {100 * r['int8_test_top1']:.1f} % | {r['cycles'] / 1e6:.2f} | {r['ms']:.1f} | "
        f"{r['flash_bytes'] / 1000:.0f} | {r['sram_bytes'] / 1000:.0f} | {r['seeds']} |"
        for r in rows
    ]
    sizes = " ".join(map(str, options.sizes))
    command = (
        f"python benchmarks/rivals.py {options.network} --data-dir DIR --sizes {sizes} --epochs {options.epochs} "
        f"--lr {options.lr} --batch-size {options.batch_size}"
    )
    return f"""# Tables against narrower networks: {options.network}

The same network with fewer channels, conventional, int8 on the best dense kernels: what anybody would try first.
Channels were removed by their weights' norm from the trained network (`ostinato prune`), the rest fine-tuned with the
whole network as teacher. {len(dataset.test):,} test images; modelled cycles on {options.board}, zero wait states.

{chr(10).join(lines)}

{verdict(rows)}

{options.note}

{provenance(command, "0")}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="a trained network's folder, or its name in `ostinato zoo`")
    parser.add_argument("--data-dir")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.3])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", default="cpu", help="where to train")
    parser.add_argument("--out", type=Path, help="folder of trainings (runs/rivals-<network>)")
    parser.add_argument("--ours", type=Path, help="finished rows (runs/compile-tables-<model>)")
    parser.add_argument("--stage", choices=("train", "measure", "all"), default="all")
    parser.add_argument("--board", default="stm32f469i")
    parser.add_argument("--note", default="", help="a sentence for the page")
    options = parser.parse_args()
    _, meta = load_network(checkpoint_path(options.network))
    name = Path(options.network).name
    options.out = options.out or Path("runs") / f"rivals-{name}"
    options.ours = options.ours or Path("runs") / f"compile-tables-{meta['model']}"
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    if options.stage != "measure":
        train(options, dataset)
    if options.stage == "train":
        return
    rows = [*ours(options.ours), *rivals(options, dataset)]
    made = {"rows": rows, "verdict": verdict(rows)}
    write_atomically(RESULTS / f"rivals-{name}.json", (json.dumps(made, indent=1) + "\n").encode())
    write_atomically(RESULTS / f"rivals-{name}.md", page(options, rows, dataset).encode())
    print(page(options, rows, dataset))


if __name__ == "__main__":
    main()
