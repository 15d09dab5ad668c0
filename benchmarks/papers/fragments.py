"""What the programs behind docs/results/README.md share: options, networks and data, costs of firmware, fragments.

Each program is a `Reproduction` of one table or figure. Run by hand, it measures one network after the other and writes
`<name>-<network>.json`, a fragment, of which `page.py` makes the page. Nothing but the papers' own numbers
(`theirs.py`) is typed in.

Programs here import this module before others: it makes those of benchmarks/ itself known.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # programs, not a package

from figures import percent
from named_data import dataset
from ostinato import models
from ostinato.data import ImageDataset, Split
from ostinato.errors import DoesNotFitError, OstinatoError
from ostinato.files import write_atomically
from ostinato.firmware import deploy
from ostinato.models.zoo import entries
from ostinato.training import compile_tables
from provenance import COMMIT, RESULTS, machine
from recipe_rows import rows_for, tree

FRAGMENTS = RESULTS / "papers"
QUICK = Path("runs") / "results-quick"
"""Where --quick writes, so that it never replaces a committed page."""
BATCH = 100
"""Images whose vectors share clusters in batch scope."""

Fragment = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Bench:
    """A trained conventional network in evaluation mode and its data. `root` has other data sets beside it."""

    name: str
    model: str
    network: nn.Module
    dataset: ImageDataset
    root: Path = Path()

    def test(self, images: int) -> Split:
        """The first test images, at most `images`; a longer list begins with a shorter one."""
        return Split(self.dataset.test.images[:images], self.dataset.test.labels[:images])


@dataclass(frozen=True)
class Reproduction:
    """One table or figure of a paper.

    Attributes:
        name: of the program's file and its fragments.
        paper: TREC, GR or DR.
        what: the table or figure.
        title: what it shows.
        measure: of a bench and the settings, all numbers, fit for JSON, `seeds` in words among them.
        section: of a fragment, markdown with ours beside theirs.
        ours: of a fragment, a few words for the page's first table, and
        theirs: the same of the paper, and
        difference: one sentence.
        networks: measured if none are named; what they are is for `bench`.
        quick_networks: those of them that `everything.py --quick` measures; all if None.
        full, quick: settings and their values without and with --quick.
    """

    name: str
    paper: str
    what: str
    title: str
    measure: Callable[[Bench, argparse.Namespace], dict[str, Any]]
    section: Callable[[Fragment], str]
    ours: Callable[[Fragment], str]
    theirs: str
    difference: Callable[[Fragment], str]
    full: Mapping[str, int | float | str]
    quick: Mapping[str, int | float | str] = field(default_factory=dict)
    networks: Sequence[str] = ("cifarnet-cifar10", "squeezenet-cifar10")
    quick_networks: Sequence[str] | None = None
    bench: Callable[[str, Path], Bench] | None = None


@cache
def bench(network: str, root: Path) -> Bench:
    """A network that comes along, and its data below `root`."""
    known = entries()
    if network not in known:
        raise OstinatoError(f"{network}: no trained network of this name; known: {', '.join(known)}.")
    entry = known[network]
    trained = models.pretrained(network)
    return Bench(network, papers_name(trained), trained, dataset(entry.dataset, root), root)


def papers_name(network: nn.Module) -> str:
    """The key of `theirs.py`'s tables: the model's name, and for SqueezeNet which of the two it is."""
    architecture: Any = network.architecture
    bypass = architecture["kwargs"].get("bypass")
    return f"{architecture['model']}-complex" if bypass == "complex" else str(architecture["model"])


def trained(*wanted: str) -> tuple[str, ...]:
    """Names of the trained conventional networks that come along, of these models."""
    return tuple(name for name, entry in entries().items() if entry.model in wanted and not entry.reuse)


@cache
def compiled(given: Bench, calibration: int, seed: int) -> nn.Module:
    """The network in compiled scope (`our_patterns`), calibrated, not trained."""
    options = {"refit_dense": False} if given.model == "cifarnet" else {}
    return compile_tables(given.network, given.dataset, our_patterns(given), images=calibration, seed=seed, **options)


def our_patterns(given: Bench) -> dict[str, Any]:
    """The last of `benchmarks/compile_tables.py`; for a network that it does not have, L=8, H=4 in every convolution
    larger than 1×1 whose channels are a multiple of 8."""
    if given.model in ("cifarnet", "squeezenet", "zfnet"):
        return rows_for(given.model)[-1].patterns
    return {
        name: tree(8, 4) for name, m in given.network.named_modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1) and m.in_channels % 8 == 0
    }  # fmt: skip


def on_device(
    model: nn.Module, given: Bench, split: Split, boards: str, *, kernel: str = "dense", **options: Any
) -> dict[str, Any]:
    """int8 top-1 of the firmware's own C on `split`, and modelled cost by board (comma-separated), also by layer."""
    found: dict[str, Any] = {"boards": {}}
    for board in boards.split(","):
        try:
            firmware = deploy(model.eval(), given.dataset, board, kernel=kernel, verify=False, **options)
        except DoesNotFitError as error:
            found["boards"][board] = {"problem": str(error)}
            continue
        if "int8_top1" not in found:
            found["int8_top1"] = firmware.evaluate(split)
        report = firmware.simulate()
        found["boards"][board] = {
            "cycles": report.cycles, "ms": report.ms, "sram_bytes": report.sram_bytes,
            "flash_bytes": report.flash_bytes,
            "layers": {la.name: {"kernel": la.kernel, "cycles": la.cycles, "phases": dict(la.phases)}
                       for la in report.layers},
        }  # fmt: skip
    return found


def main(made: Reproduction, arguments: Sequence[str] | None = None) -> None:
    """The program: measure as the command line says, write a fragment for each network."""
    parser = argparse.ArgumentParser(description=f"{made.paper} {made.what}: {made.title}.")
    add_options(parser)
    parser.add_argument("--networks", nargs="+", default=list(made.networks))
    for name, value in made.full.items():
        quick = f" ({made.quick[name]} with --quick)" if name in made.quick else ""
        parser.add_argument(f"--{name}", type=type(value), help=f"default: {value}{quick}")
    options = parser.parse_args(arguments)
    try:
        for network in options.networks:
            chosen = {name: getattr(options, name) for name in made.full}
            print(reproduce(made, network, options, chosen), flush=True)
    except OstinatoError as error:
        raise SystemExit(str(error)) from None


def add_options(parser: argparse.ArgumentParser) -> None:
    root = os.environ.get("OSTINATO_DATA")
    parser.add_argument(
        "--data-root", type=Path, default=root, required=root is None,
        help="folder with cifar10/ and, for some, ood/ or tinyimagenet30/ (default: $OSTINATO_DATA)",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="few images, few draws, no training")
    parser.add_argument("--out", type=Path, help=f"folder of the fragments (docs/results/papers; {QUICK}/papers)")


def reproduce(
    made: Reproduction, network: str, options: argparse.Namespace, chosen: Mapping[str, Any] | None = None
) -> Path:
    """Measure one network and write its fragment."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    defaults = {**made.full, **(made.quick if options.quick else {})}
    settings = {name: value if (value := (chosen or {}).get(name)) is not None else default
                for name, default in defaults.items()}  # fmt: skip
    given = (made.bench or bench)(network, Path(options.data_root))
    start, cpu = time.monotonic(), time.process_time()
    numbers = made.measure(given, argparse.Namespace(**settings))
    words = " ".join(f"--{name} {value}" for name, value in settings.items())
    fragment = {
        "name": made.name, "network": network, "quick": options.quick,
        "command": f"python benchmarks/papers/{made.name}.py --data-root DIR --networks {network} {words}".rstrip(),
        "commit": COMMIT, "machine": machine(), "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1), "settings": settings, **numbers,
    }  # fmt: skip
    folder = options.out or (QUICK / "papers" if options.quick else FRAGMENTS)
    path: Path = folder / f"{made.name}-{network}.json"
    write_atomically(path, (json.dumps(fragment, indent=1) + "\n").encode())
    return path


def spread(values: Sequence[float]) -> str:
    """Percent: mean (lowest to highest)."""
    mean = percent(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({percent(min(values))} to {percent(max(values))})"


def cost(device: Mapping[str, Any] | None, board: str, key: str = "ms") -> float | None:
    """One cost on a board; None where there is none."""
    found = (device or {}).get("boards", {}).get(board, {})
    value: float | None = found.get(key)
    return value


def shown(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
