"""What the scripts that reproduce figures of the papers share: options, the network, drawing, and the files written.

Each script is a `Study`. It measures, then writes `<name>-<data>.json` (every number), `<name>-<data>.md` (the page)
and `figures/<name>-<data>.png` under docs/results, unless told otherwise; `--redraw` makes page and drawing again from
the JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from torch import nn

from ostinato import data, models
from ostinato.data import ImageDataset, Split
from ostinato.errors import OstinatoError
from ostinato.files import write_atomically
from ostinato.nn import convert, measure_reuse
from ostinato.pipeline.networks import load_network
from ostinato.report import style
from ostinato.reuse import Pattern, ReuseStats
from ostinato.training import evaluate, fit
from provenance import COMMIT, RESULTS, machine

LAYERS = ("conv1", "conv2")
PAPERS_ORDER = "c.kh.kw"  # im2col channel by channel, as in the papers
COLOURS = ("#0b5fa5", "#d55e00", "#009e73", "#a6588a", "#e69f00", "#56b4e9")
RUNS = Path("runs")
_DPI = 110
_WIDE = 1e3  # from here on, two labels for a decade rather than three


@dataclass(frozen=True)
class Setup:
    """The trained conventional CifarNet in evaluation mode, the data of its training, and its top-1 on `test`."""

    network: nn.Module
    dataset: ImageDataset
    seed: int

    def test(self, images: int) -> Split:
        """The first test images, at most `images`; a longer list begins with a shorter one."""
        return Split(self.dataset.test.images[:images], self.dataset.test.labels[:images])


def parser(doc: str | None, images: int) -> argparse.ArgumentParser:
    """Options that all have: which data, which network, how many test images, where to write."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", choices=data.names(), default="digits", help="default: the embedded digits")
    made.add_argument("--data-dir", help="where CIFAR-10 is")
    made.add_argument("--network", type=Path, help="folder of a trained conventional CifarNet; trained here if none")
    made.add_argument("--epochs", type=int, default=6, help="of the training here")
    made.add_argument("--images", type=int, default=images, help="test images, at most")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    made.add_argument("--redraw", action="store_true", help="measure nothing: page and drawing from the JSON there")
    return made


def prepare(options: argparse.Namespace) -> Setup:
    """The network given, or one trained in runs/figures-<data> (found there by later runs), and its data.

    What the user can put right ends the program with one sentence.
    """
    try:
        return _setup(options)
    except OstinatoError as error:
        raise SystemExit(str(error)) from None


def _setup(options: argparse.Namespace) -> Setup:
    if options.network is not None:
        network, meta = load_network(options.network / "model.pt")
        if meta["dataset"] != options.data:
            raise OstinatoError(f"{options.network} was trained on {meta['dataset']}; say --data {meta['dataset']}.")
        dataset = data.load(options.data, data_dir=options.data_dir, seed=int(meta["seed"]))
        return Setup(network, dataset, int(meta["seed"]))
    dataset = data.load(options.data, data_dir=options.data_dir)
    torch.manual_seed(0)
    kwargs = {"num_classes": dataset.num_classes, "image_size": dataset.image_size}
    network = models.create("cifarnet", **kwargs)
    result = fit(
        network, dataset, epochs=options.epochs, run_dir=RUNS / f"figures-{dataset.name}",
        progress=sys.stderr.isatty(), meta={"model": "cifarnet", "kwargs": kwargs},
    )  # fmt: skip
    if result.stopped:
        raise OstinatoError(result.message)
    return Setup(network.eval(), dataset, 0)


def reused(network: nn.Module, layer: str, pattern: Pattern, split: Split, batch: int) -> tuple[float, ReuseStats]:
    """Top-1 (0 ... 1) of the network with one layer reused, its own weights untouched, and what the layer reused."""
    model = convert(network, {layer: pattern})
    return measured(model, layer, split, batch)


def measured(model: nn.Module, layer: str, split: Split, batch: int) -> tuple[float, ReuseStats]:
    """Top-1 and what `layer` reused, in batches of `batch` images."""
    with measure_reuse(model) as stats:
        top1 = evaluate(model, split, batch_size=batch).top1
    return top1, stats[layer]


@dataclass(frozen=True)
class Curve:
    """A line through (x, y), y in percent where it is an accuracy, with a band from `low` to `high` if given."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: str = "-"
    marker: str = "o"
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `level` is a horizontal line with its name: the conventional network."""

    title: str
    xlabel: str
    ylabel: str
    curves: Sequence[Curve]
    level: tuple[float, str] | None = None
    log_x: bool = False
    log_y: bool = False
    ticks: Sequence[float] | None = None


def draw(title: str, subtitle: str, rows: Sequence[Sequence[Panel]], width: float = 4.4, height: float = 3.5) -> bytes:
    """PNG of rows of panels, each with its legend."""
    with style.applied():
        columns = max(map(len, rows))
        across, down = width * columns, height * len(rows) + 0.7
        made = style.figure(across, down)
        style.headline(made, title, subtitle)
        grid = made.subplots(len(rows), columns, squeeze=False)
        made.subplots_adjust(
            left=0.62 / across, right=1 - 0.15 / across, top=1 - 1.05 / down, bottom=0.5 / down,
            hspace=0.36, wspace=0.2,
        )  # fmt: skip
        for panels, places in zip(rows, grid, strict=True):
            for panel, axes in zip(panels, places, strict=True):
                _fill(axes, panel)
        file = io.BytesIO()
        made.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
        return file.getvalue()


def _fill(axes: Axes, panel: Panel) -> None:
    for curve in panel.curves:
        axes.plot(
            curve.x, curve.y, curve.dashes, marker=curve.marker, markersize=4, linewidth=1.5, color=curve.colour,
            label=curve.label,
        )  # fmt: skip
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=curve.colour, alpha=0.15, linewidth=0)
    if panel.level is not None:
        axes.axhline(panel.level[0], color=style.MUTED, linewidth=1, linestyle=(0, (4, 3)), label=panel.level[1])
    for log, which, name in ((panel.log_x, axes.xaxis, "x"), (panel.log_y, axes.yaxis, "y")):
        if log:
            axes.set(**{f"{name}scale": "log"})
            limits = axes.get_xlim() if name == "x" else axes.get_ylim()
            wide = limits[0] > 0 and limits[1] / limits[0] > _WIDE
            which.set_major_locator(LogLocator(subs=(1.0, 3.0) if wide else (1.0, 2.0, 5.0)))
            which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            which.set_minor_locator(NullLocator())
    if panel.ticks is not None:
        axes.set_xticks(panel.ticks, [f"{tick:g}" for tick in panel.ticks])
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
    axes.grid(axis="both")
    axes.tick_params(length=0)
    axes.legend(fontsize=7, handlelength=2.2, labelspacing=0.3)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def percent(share: float) -> str:
    """0.7815 as 78.2."""
    return f"{100 * share:.1f}"


@dataclass(frozen=True)
class Study:
    """A figure of a paper.

    Attributes:
        name: of its files.
        title: of its page, which continues with network and data.
        measure: all numbers, fit for JSON, with `seeds` said in words.
        page: of these numbers, in markdown without heading, drawing and provenance.
        drawing: of these numbers, a PNG.
    """

    name: str
    title: str
    measure: Callable[[argparse.Namespace, Setup], dict[str, Any]]
    page: Callable[[Mapping[str, Any]], str]
    drawing: Callable[[Mapping[str, Any]], bytes]


def run(study: Study, made: argparse.ArgumentParser) -> None:
    """Measure as the command line says (or read what was measured), write JSON, drawing and page, name the page."""
    options = made.parse_args()
    model = getattr(options, "model", "cifarnet")
    stem = f"{study.name}-{options.data}" if model == "cifarnet" else f"{study.name}-{model}-{options.data}"
    path = options.out / f"{stem}.json"
    if options.redraw:
        numbers = json.loads(path.read_text(encoding="utf-8"))
    else:
        origin = {"command": _command(), "commit": COMMIT, "machine": machine(), "data": options.data}
        numbers = origin | study.measure(options, prepare(options))
        write_atomically(path, (json.dumps(numbers, indent=1) + "\n").encode())
    write_atomically(options.out / "figures" / f"{stem}.png", study.drawing(numbers))
    title = f"{study.title}: {model} on {options.data}"
    text = f"""# {title}

![{title}](figures/{stem}.png)

{wrapped(study.page(numbers))}

Every number is in [{stem}.json]({stem}.json).

* command: `{numbers["command"]}`
* commit: `{numbers["commit"]}`
* seeds: {numbers["seeds"]}
* machine: {numbers["machine"]}
"""
    write_atomically(path.with_suffix(".md"), text.encode())
    print(path.with_suffix(".md"))


def wrapped(page: str) -> str:
    """The page with the lines of its paragraphs, not of its tables, of one width."""
    parts = page.strip().split("\n\n")
    return "\n\n".join(
        part if part.startswith("|") else textwrap.fill(part, 118, break_long_words=False, break_on_hyphens=False)
        for part in parts
    )


def _command() -> str:
    """The command line that is running, without folders that are this machine's own."""
    words = ["python", f"benchmarks/{Path(sys.argv[0]).name}"]
    hidden = {"--data-dir": "DIR", "--out": "OUT"}
    for before, word in zip(sys.argv, sys.argv[1:], strict=False):
        option, equals, _ = word.partition("=")
        words.append(f"{option}={hidden[option]}" if equals and option in hidden else hidden.get(before, word))
    return shlex.join(words)
