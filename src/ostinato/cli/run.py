"""`ostinato run`: the whole job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ostinato.cli import options
from ostinato.cli.command_line import command_line
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.job import run as run_pipeline
from ostinato.report import print_report


def run(
    model: options.Model = "cifarnet",
    data: options.Data = "digits",
    board: options.Board = "stm32f469i",
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; a run found there goes on.")] = Path(
        "runs/run"
    ),
    data_dir: options.DataDir = None,
    download: options.Download = False,
    epochs: options.Epochs = None,
    fine_tune_epochs: options.FineTuneEpochs = None,
    calibration_images: options.CalibrationImages = 500,
    train_limit: options.TrainLimit = None,
    precision: options.Precision = "float32",
    external_flash: options.ExternalFlash = "never",
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train, convert, fine-tune, quantise, generate C, compile, simulate, and report what was gained and lost.

    [bold]Examples[/]

      ostinato run --model cifarnet --data digits --board stm32f469i --out runs/demo

      ostinato run --data cifar10 --data-dir data/cifar10 --epochs 20 --out runs/cifar
    """
    config = RunConfig(
        model=model,
        data=data,
        board=board,
        data_dir=None if data_dir is None else str(data_dir),
        download=download,
        epochs=epochs,
        fine_tune_epochs=fine_tune_epochs,
        calibration_images=calibration_images,
        train_limit=train_limit,
        precision=precision,
        external_flash=external_flash,
        seed=seed,
    )
    errors = Console(stderr=True, highlight=False)

    def announce(number: int, count: int, what: str) -> None:
        if not quiet:
            errors.print(f"[dim]\\[{number}/{count}][/] {what}")

    report = run_pipeline(config, out, announce=announce, progress=not quiet, command=command_line())
    if json:
        sys.stdout.write(report.to_json())
        return
    print_report(report)
    Console().print(
        f"Report: {out / 'report.html'}  ·  {out / 'report.json'}  ·  plots: {out / 'plots'}", soft_wrap=True
    )
