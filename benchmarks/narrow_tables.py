"""Fewer channels and tables, together: what each is worth, and whether the sum beats either.

    python benchmarks/narrow_tables.py squeezenet-cifar10 --data-dir DIR
    python benchmarks/narrow_tables.py squeezenet-narrower-cifar10 --data-dir DIR

A trained network of the zoo loses channels (`prune_channels`) and is fine-tuned, distilled from the whole one; of what
remains, layers are compiled (`compile_tables`) and it is fine-tuned again, with the same teacher: benchmarks/
narrow_cases.py says what is done to which network. The flash that fewer channels free pays for finer codes. All rows
are measured as int8 firmware on the whole test set. Trainings are kept in --out and go on from their last epoch;
`--stage train` ends after them, `--stage measure` takes what is there. Writes docs/results/narrow-tables-<network>.md
and .json; narrower networks of benchmarks/rivals.py stand beside ours where its results are found.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from torch import nn

import ostinato as ost
from narrow_cases import CASES, Narrow, Tables
from ostinato import data
from ostinato.data import ImageDataset
from ostinato.files import write_atomically
from ostinato.models.stored import load_network
from ostinato.models.zoo import checkpoint_path
from ostinato.pipeline.networks import pattern_meta
from ostinato.pipeline.recipe_files import Pruning
from ostinato.pipeline.train import prune_and_tune
from ostinato.reuse import Pattern
from ostinato.training import MODERN, compile_tables, evaluate, fit, save_model
from provenance import RESULTS, provenance
from rivals import measured

_LEARN = {"frozen": "as calibrated", "soft": "that learn"}
AVERAGED = 0.35
"""Share of the last epochs whose mean weights are tried."""


def epochs_of(folder: Path) -> int:
    return len((folder / "metrics.jsonl").read_text().splitlines())


def narrowed(options: argparse.Namespace, case: Narrow, whole: nn.Module, dataset: ImageDataset) -> nn.Module:
    """The network of fewer channels, trained in --out or found there."""
    folder = options.out / "narrow"
    if not (folder / "model.pt").exists() or epochs_of(folder) < case.epochs:
        prune_and_tune(
            whole, dataset, folder, Pruning(size=case.size, epochs=case.epochs, lr=case.lr, keep=case.keep),
            dataclasses.replace(MODERN, average_share=AVERAGED), precision=options.precision,
        )  # fmt: skip
    return load_network(folder / "model.pt")[0]


def folder_of(options: argparse.Namespace, tables: Tables) -> Path:
    out: Path = options.out
    return out / "".join(c if c.isalnum() else "-" for c in tables.name)


def with_tables(
    options: argparse.Namespace, tables: Tables, whole: nn.Module, narrow: nn.Module, dataset: ImageDataset
) -> None:
    """`calibrated.pt` and, where it is to be trained, `model.pt` in a folder of --out."""
    folder = folder_of(options, tables)
    start = folder / "calibrated.pt"
    meta = {"patterns": pattern_meta(tables.patterns)}
    if not start.exists():
        network = compile_tables(narrow.eval(), dataset, tables.patterns, images=tables.images)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(start, network, meta={**load_network(options.out / "narrow" / "model.pt")[1], **meta})
    if tables.epochs:
        fit(
            load_network(start)[0], dataset, epochs=tables.epochs, lr=tables.lr, table_lr_power=tables.table_lr_power,
            average_share=AVERAGED, run_dir=folder, precision=options.precision, teacher=whole.eval(), progress=False,
            meta=meta, on_epoch=lambda record: print(tables.name, record, flush=True),
        )  # fmt: skip


def rows(options: argparse.Namespace, case: Narrow, whole: nn.Module, dataset: ImageDataset) -> list[dict[str, Any]]:
    """The whole network, the narrow one, and the narrow one with tables: before and after training."""
    narrow = options.out / "narrow"
    made = [
        ("conventional, whole", whole),
        (f"narrower, {case.size:.0%} of the parameters, {epochs_of(narrow)} epochs",
         load_network(narrow / "model.pt")[0]),
    ]  # fmt: skip
    for tables in case.tables:
        folder = folder_of(options, tables)
        made.append((f"and {tables.name}, calibrated only", load_network(folder / "calibrated.pt")[0]))
        if tables.epochs:
            made.append((f"and {tables.name}, {epochs_of(folder)} epochs", load_network(folder / "model.pt")[0]))
    found, splits = [], {"valid": dataset.valid, "test": dataset.test}
    for name, network in made:
        floats = {f"{k}_top1": evaluate(network, split).top1 for k, split in splits.items()}
        found.append({"row": name, **floats, **measured(network.eval(), dataset, options.board)})
        print({k: v for k, v in found[-1].items() if k != "layers"}, flush=True)
    return found


def told(tables: Tables) -> str:
    """What is compiled how, and how it was trained."""
    codes = [
        f"* `{name}`: "
        + (f"L={p.length} H={p.hashes}, ids {_LEARN[p.gradient]}" if isinstance(p, Pattern) else f"a stem, {p}")
        for name, p in tables.patterns.items()
    ]
    training = (
        f", trained for {tables.epochs} epochs at {tables.lr} in batches of {MODERN.batch_size}, rows of tables at "
        f"(2^H)^{tables.table_lr_power} times that" if tables.epochs else ""
    )  # fmt: skip
    head = f"With {tables.name} (polished trees, free tables): calibrated on {tables.images:,} images{training}."
    return "\n".join([head, "", *codes, ""])


def others(network: str) -> list[dict[str, Any]]:
    """Rows of benchmarks/rivals.py: tables alone, other widths."""
    path = RESULTS / f"rivals-{network}.json"
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return [r for r in rows if r["row"] != "conventional"]


def line(row: dict[str, Any], dense: float, cmsis: float, accuracy: float) -> str:
    loss = 100 * (accuracy - row["int8_test_top1"])
    of_float = f"{100 * row['test_top1']:.1f}" if "test_top1" in row else "–"
    return (
        f"| {row['row']} | {of_float} | {100 * row['int8_test_top1']:.1f} | {loss:+.1f} | {row['cycles'] / 1e6:.2f} | "
        f"{dense / row['cycles']:.2f} | {cmsis / row['cycles']:.2f} | {row['ms']:.1f} | "
        f"{row['flash_bytes'] / 1000:.0f} | {row['sram_bytes'] / 1000:.0f} |"
    )


def page(options: argparse.Namespace, case: Narrow, made: dict[str, Any], dataset: ImageDataset) -> str:
    whole = made["rows"][0]
    numbers = whole["cycles"], made["cmsis_cycles"], whole["int8_test_top1"]
    head = [
        "| network | top-1, float | int8 | loss | M cycles | × best dense | × CMSIS style | ms | flash, KB | "
        "SRAM, KB |",
        "| --- | " + "---: | " * 9,
    ]
    network = case.network or options.network
    elsewhere = [line(r, *numbers) for r in others(network)]
    beside = ["", f"From [the page of its rivals](rivals-{network}.md):", "", *head, *elsewhere]
    return f"""# Fewer channels and tables: {options.network}

Channels are removed from the trained network by their weights' norm and the rest is fine-tuned; then layers of it are
compiled, and it is fine-tuned again, both with the whole network as teacher. Loss and speed are against the whole
network, int8, on the best dense kernels and on CMSIS-NN style ones. {len(dataset.test):,} test images; validation
images chose epochs and patterns; modelled cycles on {options.board}, zero wait states. One seed.

{chr(10).join([*head, *(line(r, *numbers) for r in made["rows"])])}
{chr(10).join(beside) if elsewhere else ""}

{chr(10).join(told(tables) for tables in case.tables)}
{options.note}

{provenance(f"python benchmarks/narrow_tables.py {options.network} --data-dir DIR", "0")}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(CASES), help="one of narrow_cases.py")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, help="folder of trainings (runs/narrow-tables-<network>)")
    parser.add_argument("--stage", choices=("train", "measure", "all"), default="all")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16", help="of training")
    parser.add_argument("--board", default="stm32f469i")
    parser.add_argument("--note", default="", help="a sentence for the page")
    options = parser.parse_args()
    options.out = options.out or Path("runs") / f"narrow-tables-{options.network}"
    case = CASES[options.network]
    whole, meta = load_network(checkpoint_path(case.network or options.network))
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    if options.stage != "measure":
        narrow = narrowed(options, case, whole, dataset)
        for tables in case.tables:
            with_tables(options, tables, whole, narrow, dataset)
    if options.stage == "train":
        return
    made: dict[str, Any] = {"rows": rows(options, case, whole, dataset)}
    made["cmsis_cycles"] = ost.deploy(whole, dataset, options.board, kernel="cmsis").simulate().cycles
    write_atomically(RESULTS / f"narrow-tables-{options.network}.json", (json.dumps(made, indent=1) + "\n").encode())
    text = page(options, case, made, dataset)
    write_atomically(RESULTS / f"narrow-tables-{options.network}.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
