"""The compiled-scope recipe: what each step of `ost.compile_tables` is worth, and where training ends.

    python benchmarks/compile_tables.py runs/cifar/conventional --data-dir DIR
    python benchmarks/compile_tables.py runs/squeezenet --data-dir DIR --seeds 0 --epochs 12 --lr 0.02

Steps are compared on held-out training images, calibrated only. Trained rows, and the conventional network fine-tuned
for equally long with the same recipe, are then measured once on the test images, as float networks and as int8
firmware. Finished rows are kept in --out, trainings go on from their last epoch, and `--rows` picks some. `--stage`
stops trained rows after calibration or training, which a machine with a GPU can do (`--device cuda`) and this one then
measures; `--finished` writes the page of the rows and seeds that there are. Writes
docs/results/compile-tables-<model>-<data>.md and .json.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from torch import nn

import ostinato as ost
from ostinato import data
from ostinato.checkpoints.models import HALF
from ostinato.data import ImageDataset
from ostinato.files import write_atomically
from ostinato.firmware import SimulationReport
from ostinato.models.zoo import checkpoint_path
from ostinato.nn import calibrate, convert
from ostinato.pipeline.networks import calibration_images, load_network, pattern_meta
from ostinato.training import compile_tables, evaluate, fit, save_model
from provenance import RESULTS, provenance
from recipe_rows import Patterns, Row, changed, rows_for


def compiled(row: Row, conventional: nn.Module, dataset: ImageDataset, seed: int, images: int) -> nn.Module:
    """The row's network, calibrated."""
    if not row.patterns:
        return copy.deepcopy(conventional)
    patterns = changed(row.patterns, seed=seed)
    if not row.independent:
        return compile_tables(conventional, dataset, patterns, images=images, seed=seed, **row.options)
    network = convert(conventional, patterns)
    shown = calibration_images(dataset, images, seed)
    for name, pattern in patterns.items():  # each as if it were the only one
        alone = calibrate(convert(conventional, {name: pattern}), shown, refit=row.options["refit"])
        network.get_submodule(name).load_state_dict(alone.get_submodule(name).state_dict())
    return network.eval()


@dataclass(frozen=True)
class Bench:
    """Everything that all rows have in common."""

    conventional: nn.Module
    meta: dict[str, Any]
    dataset: ImageDataset
    out: Path
    options: argparse.Namespace

    def result(self, row: Row, seed: int) -> dict[str, Any] | None:
        """From the row's file, where an earlier call finished it; None if this call is to stop before there is one."""
        folder = self.out / f"{''.join(c if c.isalnum() else '-' for c in row.name)}-{seed}"
        path = folder / "result.json"
        if self.options.finished and not path.exists():
            return None
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text())
            return found
        made = self.trained(row, seed, folder) if row.trained else self.calibrated(row, seed)
        if made is not None:
            write_atomically(path, json.dumps(made, indent=1).encode())
        return made

    def calibrated(self, row: Row, seed: int) -> dict[str, Any] | None:
        """Validation top-1 of the row's network, not trained."""
        if self.options.stage != "all":
            return None
        network = compiled(row, self.conventional, self.dataset, seed, self.options.calibration_images)
        return {"row": row.name, "seed": seed, "valid_top1": evaluate(network, self.dataset.valid).top1}

    def trained(self, row: Row, seed: int, folder: Path) -> dict[str, Any] | None:
        """Calibrated, fine-tuned, tested, deployed, simulated; as far as `--stage` says."""
        start, end = folder / "calibrated.pt", folder / "trained.json"
        patterns = changed(row.patterns, seed=seed)
        if not start.exists():
            network = compiled(row, self.conventional, self.dataset, seed, self.options.calibration_images)
            folder.mkdir(parents=True, exist_ok=True)
            save_model(start, network, meta={**self.meta, "patterns": pattern_meta(patterns)})
        if self.options.stage == "calibrate":
            return None
        if not end.exists():
            self.fine_tune(load_network(start)[0], patterns, seed, folder, end)
        return None if self.options.stage == "train" else self.measured(row, seed, folder, json.loads(end.read_text()))

    def fine_tune(self, network: nn.Module, patterns: Patterns, seed: int, folder: Path, end: Path) -> None:
        """`model.pt` in the folder, and what the training was like in `end`."""
        o, dataset = self.options, self.dataset
        before = evaluate(network.to(o.device), dataset.valid).top1
        print(f"{folder.name}: calibrated {before:.4f}", flush=True)
        result = fit(
            network, dataset, epochs=o.epochs, lr=o.lr, batch_size=o.batch_size, seed=seed, run_dir=folder,
            average_share=o.average, table_lr_power=o.table_lr_power, precision="bfloat16",
            teacher=copy.deepcopy(self.conventional).eval().to(o.device), progress=False,
            meta={"patterns": pattern_meta(patterns)},
            on_epoch=lambda record: print(folder.name, record, flush=True),
        )  # fmt: skip
        made = {
            "calibrated_valid_top1": before, "valid_top1": result.history[-1]["valid_top1"],
            "best_valid_top1": result.valid_top1, "seconds": result.seconds, "device": o.device,
            "epochs": len(result.history),
        }  # fmt: skip
        write_atomically(end, json.dumps(made, indent=1).encode())

    def measured(self, row: Row, seed: int, folder: Path, training: dict[str, Any]) -> dict[str, Any]:
        """The trained network on test images, as it is and as firmware."""
        network, dataset = load_network(folder / "model.pt")[0], self.dataset
        firmware = ost.deploy(network, dataset, self.options.board)
        report = firmware.simulate()
        return {
            "row": row.name, "seed": seed, **training, "test_top1": evaluate(network, dataset.test).top1,
            "int8_test_top1": firmware.evaluate(dataset.test), "cycles": report.cycles, "ms": report.ms,
            "sram_bytes": report.sram_bytes, "flash_bytes": report.flash_bytes,
            "layers": {layer.name: layer.cycles for layer in report.layers},
        }  # fmt: skip


def spread(values: list[float], form: Callable[[float], str] = lambda v: f"{100 * v:.1f}") -> str:
    if len(values) == 1:
        return form(values[0])
    return f"{form(mean(values))} ({form(min(values))} to {form(max(values))})"


def baseline(bench: Bench) -> SimulationReport:
    """The conventional network on the kernels that users have; cycles do not depend on what its weights are."""
    return ost.deploy(bench.conventional, bench.dataset, bench.options.board, kernel="cmsis").simulate()


def page(model: str, rows: dict[str, list[dict[str, Any]]], bench: Bench, start: float, command: str) -> str:
    o, cmsis = bench.options, baseline(bench)
    devices = sorted({r["device"] for made in rows.values() for r in made if "device" in r})
    steps = ["| calibrated only | validation top-1, % |", "| --- | ---: |", f"| conventional | {100 * start:.1f} |"]
    trained = [
        "| trained | calibrated | validation | test, float | test, int8 | M cycles | × best dense | flash, KB | "
        "SRAM, KB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    dense = next((found[0]["cycles"] for name, found in rows.items() if name == "conventional"), None)
    for name, found in rows.items():
        if "test_top1" not in found[0]:
            name += f" (seed {found[0]['seed']})" if len(found) < len(o.seeds) else ""
            steps.append(f"| {name} | {spread([r['valid_top1'] for r in found])} |")
            continue
        name += f", {found[0]['epochs']} epochs" if found[0].get("epochs", o.epochs) != o.epochs else ""
        name += f" (seed {found[0]['seed']})" if len(found) < len(o.seeds) else ""
        cells = [spread([r[key] for r in found]) for key in
                 ("calibrated_valid_top1", "valid_top1", "test_top1", "int8_test_top1")]  # fmt: skip
        cycles = mean(r["cycles"] for r in found)
        cells += [f"{cycles / 1e6:.2f}", f"{dense / cycles:.2f}" if dense else "–"]
        cells += [f"{found[0][key] / 1000:.0f}" for key in ("flash_bytes", "sram_bytes")]
        trained.append(f"| {name} | " + " | ".join(cells) + " |")
    seeds = ", ".join(map(str, o.seeds))
    return f"""# Compiled scope by recipe: {model} on {bench.dataset.name}

One conventional network; calibration on {o.calibration_images} training images, drawn by the seed. Steps are each on
top of the one above and are compared on {len(bench.dataset.valid):,} held-out training images. Trained rows: {o.epochs}
epochs of {len(bench.dataset.train):,} images in batches of {o.batch_size} at learning rate {o.lr}, distilled from
the conventional network, which is itself trained for as long; weights of the epoch best on validation images;
{len(bench.dataset.test):,} test images; modelled cycles on {o.board}, zero wait states. Mean (smallest to largest)
where there are several seeds.

{chr(10).join(steps)}

{chr(10).join(trained)}

On CMSIS-NN style kernels the conventional network takes {cmsis.cycles / 1e6:.2f} M cycles ({cmsis.ms:.1f} ms), with
{cmsis.flash_bytes / 1000:.0f} KB of flash and {cmsis.sram_bytes / 1000:.0f} KB of SRAM, and has the same outputs.

Trained on: {", ".join(devices)}; measured on the machine below. {o.note}

{provenance(command, seeds)}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="folder of a trained conventional network, or its name in `ostinato zoo`")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, help="folder of finished rows (runs/compile-tables-<model>)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", help="numbers of rows to make, from 0; all if left out")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--average", type=float, default=0.0, help="share of the last epochs whose mean is tried")
    parser.add_argument("--table-lr-power", type=float, default=1.0, help="rows of free tables: (2^H)^p times the rate")
    parser.add_argument("--device", default="cpu", help="where to train")
    parser.add_argument("--finished", action="store_true", help="make nothing, write the page of what there is")
    parser.add_argument("--stage", choices=("calibrate", "train", "all"), default="all")
    parser.add_argument("--calibration-images", type=int, default=1000)
    parser.add_argument("--note", default="", help="a sentence for the page")
    parser.add_argument("--board", default="stm32f469i")
    options = parser.parse_args()
    conventional, meta = load_network(checkpoint_path(options.network))
    meta.pop(HALF, None)
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    out = options.out or Path("runs") / f"compile-tables-{meta['model']}"
    bench = Bench(conventional, meta, dataset, out, options)
    found: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows_for(meta["model"])):
        if options.rows is None or str(number) in options.rows:
            made = [bench.result(row, seed) for seed in options.seeds]
            if not any(made):
                continue
            found[row.name] = [r for r in made if r is not None]
            print(row.name, [round(r["valid_top1"], 4) for r in found[row.name]], flush=True)
    if options.rows is not None or options.stage != "all":
        return
    start = evaluate(conventional, dataset.valid).top1
    seeds = " ".join(map(str, options.seeds))
    command = (
        f"python benchmarks/compile_tables.py {options.network} --data-dir DIR --seeds {seeds} --epochs "
        f"{options.epochs} --lr {options.lr} --batch-size {options.batch_size} "
        f"--calibration-images {options.calibration_images}"
        + (f" --average {options.average}" if options.average else "")
        + (f" --table-lr-power {options.table_lr_power}" if options.table_lr_power != 1 else "")
    )
    name = f"compile-tables-{meta['model']}-{meta['dataset']}"
    write_atomically(RESULTS / f"{name}.json", (json.dumps(found, indent=1) + "\n").encode())
    path = RESULTS / f"{name}.md"
    write_atomically(path, page(meta["model"], found, bench, start, command).encode())
    print(path)


if __name__ == "__main__":
    main()
