"""The steps of `ostinato run` as commands of their own."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from ostinato.cli import options
from ostinato.cli.common import Network, accuracies, load_trained, print_result, print_table, status
from ostinato.cli.patterns import read_patterns
from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT, ImageDataset
from ostinato.errors import DoesNotFitError
from ostinato.firmware import deploy as deploy_firmware
from ostinato.firmware import plan as plan_firmware
from ostinato.nn import conversion_report
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.networks import (
    MODEL_FILE,
    calibration_images,
    fine_tune,
    pattern_meta,
)
from ostinato.quant.ranges import Scales
from ostinato.report import Report, print_report, write_search_report
from ostinato.report import write_report as write_report_files
from ostinato.search import SearchResult
from ostinato.search.display import front_table
from ostinato.search.result import SEARCH_FILE
from ostinato.targets.boards import BOARDS
from ostinato.training import apply_patterns, save_model


def convert(
    network: Network,
    out: Annotated[Path, typer.Option("--out", help="Folder of the converted network.")],
    pattern: Annotated[
        list[str] | None,
        typer.Option("--pattern", help="LAYER:FIELD=VALUE,... for example conv2:L=8,H=4,scope=compiled,sharing=block."),
    ] = None,
    patterns: Annotated[Path | None, typer.Option("--patterns", help="TOML file, one table per layer.")] = None,
    data_dir: options.DataDir = None,
    refit: Annotated[
        bool, typer.Option(help="Solve weights and bias in closed form on the calibration images.")
    ] = True,
    fine_tune_epochs: options.FineTuneEpochs = None,
    calibration_images: options.CalibrationImages = 500,
    train_limit: options.TrainLimit = None,
    precision: options.Precision = "float32",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Give layers of a trained network reuse patterns, calibrate and fine-tune them.

    [bold]Example[/]

      ostinato convert runs/net --pattern conv2:L=8,H=4,scope=compiled,sharing=block,init=itq --out runs/reuse
    """
    chosen = read_patterns(patterns, pattern or [])
    conventional, dataset, meta = load_trained(network, data_dir)
    config = RunConfig(
        model=meta["model"],
        data=meta["dataset"],
        fine_tune_epochs=fine_tune_epochs,
        calibration_images=calibration_images,
        train_limit=train_limit,
        precision=precision,
        seed=int(meta["seed"]),
    )
    shown = _calibration(dataset, config)
    reuse = apply_patterns(conventional, shown, chosen, refit=refit)
    header = {
        "model": meta["model"],
        "kwargs": meta["kwargs"],
        "classes": meta["classes"],
        "patterns": pattern_meta(chosen),
    }
    if config.schedule.fine_tune_epochs:
        fine_tune(config, dataset, reuse, conventional, out, meta=header, progress=not quiet)
    else:
        save_model(out / MODEL_FILE, reuse, meta={**header, "dataset": meta["dataset"], "seed": config.seed})
    layers = [dataclasses.asdict(layer) for layer in conversion_report(reuse)]
    print_result({**accuracies(reuse.eval(), dataset, out), "layers": layers}, json)


def deploy(
    network: Network,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the firmware.")] = None,
    board: options.Board = "stm32f469i",
    kernel: Annotated[
        str,
        typer.Option("--kernel", help="Of conventional convolutions: auto (the fastest that fits), dense or cmsis."),
    ] = "auto",
    hot_code: Annotated[
        bool, typer.Option(help="Run from RAM what waits most for the flash, where that pays and fits.")
    ] = True,
    external_flash: options.ExternalFlash = "never",
    data_dir: options.DataDir = None,
    calibration_images: options.CalibrationImages = 500,
    scales: Annotated[
        str, typer.Option("--scales", help="Of int8 tensors: real, or power_of_two (the papers' 8-bit fixed point).")
    ] = "real",
    softmax: Annotated[bool, typer.Option("--softmax", help="End in probabilities rather than logits.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Show every layer: equal bits, and signal-to-noise beside the float model."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what it would need: SRAM, flash and stack, layer by layer.")
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Quantise a network to int8, plan its memory, and generate and compile its C project.

    [bold]Example[/]

      ostinato deploy runs/reuse --board stm32f469i --out runs/firmware --verify
    """
    model, dataset, meta = load_trained(network, data_dir)
    config = RunConfig(data=meta["dataset"], calibration_images=calibration_images, seed=int(meta["seed"]))
    if dry_run:
        _dry_run(
            model, _calibration(dataset, config), board, kernel, external_flash, meta["model"], scales, softmax, json
        )
        return
    if out is None:
        raise typer.BadParameter("a folder is needed, unless with --dry-run", param_hint="--out")
    with status(not (json or quiet)) as progress:
        firmware = deploy_firmware(
            model,
            _calibration(dataset, config),
            board=board,
            kernel=kernel,
            hot_code=hot_code,
            external_flash=external_flash,
            out_dir=out,
            input_scale=INPUT_SCALE,
            input_zero_point=INPUT_ZERO_POINT,
            classes=dataset.classes,
            name=meta["model"],
            scales=cast(Scales, scales),  # checked there
            softmax=softmax,
            progress=progress,
        )
    sizes = {"board": firmware.board.name, "sram_bytes": firmware.sram_bytes, "flash_bytes": firmware.flash_bytes}
    if firmware.external_bytes:
        sizes["external_bytes"] = firmware.external_bytes
    if firmware.warnings:
        sizes["warnings"] = " ".join(firmware.warnings)
    checked = firmware.verification if verify else None
    if checked is not None and not json:
        print_table(checked)
    shown = {"verification": checked.to_dict()} if checked is not None and json else {}
    print_result({"firmware": str(out), **sizes, **shown}, json)


def _dry_run(
    model: Any,
    calibration: Any,
    board: str,
    kernel: str,
    external_flash: str,
    name: str,
    scales: str,
    softmax: bool,
    json: bool,
) -> None:
    """Print the plan; one that does not fit is the same error as without --dry-run."""
    planned = plan_firmware(
        model,
        calibration,
        board=board,
        kernel=kernel,
        external_flash=external_flash,
        input_scale=INPUT_SCALE,
        input_zero_point=INPUT_ZERO_POINT,
        name=name,
        scales=cast(Scales, scales),  # checked there
        softmax=softmax,
    )
    if json:
        print_result(planned.to_dict(), True)
    else:
        print_table(dataclasses.replace(planned, problem=None))
    if planned.problem is not None:
        raise DoesNotFitError(planned.problem)


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run with its report.json, or of a search.")],
    json: options.Json = False,
) -> None:
    """Print a run's tables again, and write its report.html, report.md and plots from report.json (or search.json).

    [bold]Example[/]

      ostinato report runs/demo
    """
    if (run / SEARCH_FILE).is_file():
        _report_search(run, json)
        return
    found = Report.read(run / "report.json")
    write_report_files(run, found)
    if json:
        sys.stdout.write(found.to_json())
    else:
        print_report(found)


def _report_search(run: Path, json: bool) -> None:
    result = SearchResult.read(run)
    write_search_report(run, result)
    if json:
        print_result(result.to_dict(), True)
    else:
        print_table(front_table(result.front, result.chosen))


def boards(json: options.Json = False) -> None:
    """List the boards."""
    rows = [
        {"name": b.name, "core": b.core, "MHz": b.clock_hz // 10**6, "SRAM KiB": b.sram_bytes // 1024,
         "flash KiB": b.flash_bytes // 1024,
         "external flash KiB": b.external_flash.size_bytes // 1024 if b.external_flash else 0}
        for b in BOARDS.values()
    ]  # fmt: skip
    if json:
        print_result({"boards": rows}, True)
        return
    table = Table()
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _calibration(dataset: ImageDataset, config: RunConfig) -> Any:
    return calibration_images(dataset, config.calibration_images, config.seed)
