"""`ostinato run`: the main job from end to end, one report."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

import ostinato
from ostinato import data
from ostinato.data import ImageDataset
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.methods import Method, methods_for
from ostinato.pipeline.networks import CONVENTIONAL, Say, check_external, reuse_network, train_conventional
from ostinato.pipeline.rows import make_row, read_row, write_row
from ostinato.pipeline.tiles import tile_picture
from ostinato.report import Report, Row, TilePicture, write_report
from ostinato.targets.boards import get_board

Announce = Callable[[int, int, str], None]
"""Called with (method's number from 1, methods, what is being done)."""


def run(
    config: RunConfig,
    out: Path,
    *,
    announce: Announce | None = None,
    progress: bool = True,
    command: str | None = None,
) -> Report:
    """Train, convert, fine-tune, deploy and simulate every method, and write the report into `out`.

    `out` gets `config.toml`, a folder per network and per firmware, `rows/`, `report.json`, `report.md`, `report.html`
    and `plots/`. What is finished there is not made again, so a run that was stopped goes on with the same call.

    Raises:
        OstinatoError: a mistake in the configuration or the data, or a folder that holds another run.
        InterruptedRunError: after Ctrl-C.
    """
    started = time.monotonic()
    methods, board = methods_for(config.model), get_board(config.board)
    dataset = data.load(config.data, data_dir=config.data_dir, download=config.download, seed=config.seed)
    check_external(config, dataset)
    config.write(out)
    tell = announce or (lambda number, count, what: None)
    tell(0, len(methods), f"training the conventional {config.model} on {len(dataset.train):,} images")
    conventional = train_conventional(config, dataset, out / CONVENTIONAL, progress=progress)
    found = sum(read_row(_row_path(out, method)) is not None for method in methods)
    networks: dict[str, nn.Module] = {}
    rows: list[Row] = []
    for number, method in enumerate(methods, start=1):
        say: Say = lambda what, number=number: tell(number, len(methods), what)  # type: ignore[misc]  # noqa: E731
        network = conventional
        if method.patterns:
            network = reuse_network(
                config, dataset, conventional, method, out / method.slug, say=say, progress=progress
            )
        networks[method.slug] = network
        rows.append(_row(config, dataset, network, method, out, say))
    report = Report(
        network=config.model,
        data=config.data,
        board=board.name,
        commit=commit(),
        seed=config.seed,
        rows=tuple(rows),
        test_images=len(dataset.test),
        command=command,
        ostinato_version=ostinato.__version__,
        wall_seconds=time.monotonic() - started,
        clock_hz=board.clock_hz,
        cycle_model=board.core,
        notes=_notes(config, dataset, found),
    )
    write_report(out, report, tile_picture=_picture(methods, networks, dataset))
    return report


def _row(config: RunConfig, dataset: ImageDataset, network: nn.Module, method: Method, out: Path, say: Say) -> Row:
    path = _row_path(out, method)
    row = read_row(path)
    if row is None:
        row = make_row(config, dataset, network, method, out / "firmware" / method.slug, say=say)
        write_row(path, row)
    return row


def _row_path(out: Path, method: Method) -> Path:
    return out / "rows" / f"{method.slug}.json"


def _picture(methods: Sequence[Method], networks: dict[str, nn.Module], dataset: ImageDataset) -> TilePicture | None:
    """Tiles of the first convolution of the last method that reuses it within an image."""
    for method in reversed(methods):
        if method.scope == "image":
            return tile_picture(networks[method.slug], dataset)
    return None


def _notes(config: RunConfig, dataset: ImageDataset, found: int) -> tuple[str, ...]:
    schedule = config.schedule
    seen = min(n for n in (len(dataset.train), config.train_limit) if n is not None)
    notes = [
        f"Conventional network: {schedule.epochs} epochs on {seen:,} images; reuse networks start from it and are "
        f"fine-tuned for {schedule.fine_tune_epochs} epochs.",
        "The epoch is chosen on held-out training images; the test set is used for the numbers above only.",
        "Deep Reuse keeps the trained weights; TREC starts from ITQ hashes and refitted weights and fine-tunes both "
        "(flip estimator); the tree is refitted and fine-tuned with its hash frozen; Ostinato also groups channels, "
        "has a transform-coded stem as its first layer, and learns what its tables' rows add to products. Rows thus "
        "differ in more than learned hashes.",
    ]
    if found:
        notes.append(f"{found} rows were measured by an earlier call, at the commit of that time.")
    if schedule.image_scope_images is not None and schedule.image_scope_images < seen:
        notes.append(f"Image-scope networks are fine-tuned on {schedule.image_scope_images:,} images an epoch.")
    return tuple(notes)


def commit() -> str | None:
    """Commit of the checkout this package runs from, with `-dirty` when it has changes; None elsewhere."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
