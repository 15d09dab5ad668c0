"""`ostinato simulate`: a deployed firmware on the simulated core, or beside what a board printed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli import options
from ostinato.cli.common import print_result, print_table
from ostinato.errors import DataError
from ostinato.firmware import Firmware, MeasuredReport, compare_with_board


def simulate(
    firmware: Annotated[Path, typer.Argument(help="Folder that `deploy` wrote.")],
    plain_c: Annotated[
        bool, typer.Option("--plain-c", help="The portable C twins instead of the DSP kernels.")
    ] = False,
    flash_wait_states: Annotated[
        int,
        typer.Option("--flash-wait-states", help="Of the board's flash, behind its accelerator or caches; 0: ideal."),
    ] = 0,
    guards: Annotated[
        bool, typer.Option("--guards", help="Refuse every access of a layer to memory that is not its own.")
    ] = False,
    measured: Annotated[
        Path | None,
        typer.Option("--measured", help="What the board program printed: show it beside the model, layer by layer."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Run a firmware on the simulated core: exact instructions, modelled cycles, by layer and phase.

    [bold]Examples[/]

      ostinato simulate runs/firmware

      ostinato simulate runs/firmware --flash-wait-states 5

      ostinato simulate runs/firmware --measured serial-port.txt
    """
    if measured is not None:
        _print_measured(compare_with_board(Firmware.load(firmware), _text(measured)), json)
        return
    report = Firmware.load(firmware).simulate(plain_c=plain_c, flash_wait_states=flash_wait_states, guards=guards)
    if json:
        fields = dataclasses.asdict(report)
        fields["logits"] = report.logits.tolist()
        print_result(fields, True)
    else:
        print_table(report)


def _print_measured(found: MeasuredReport, json: bool) -> None:
    if json:
        print_result(found.to_dict(), True)
    else:
        print_table(found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}.") from problem
