"""`ostinato search`: the pattern of every layer."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ostinato.cli import options
from ostinato.cli.sizes import parse_bytes
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.search_job import search_network
from ostinato.search import Budgets, SearchSpace, Settings
from ostinato.search.display import front_table
from ostinato.search.space import default_text

_DEFAULTS = Settings()
_PLAIN_WIDTH = 120


def search(
    out: Annotated[Path, typer.Option("--out", help="Folder of the search; one found there goes on.")] = Path(
        "runs/search"
    ),
    model: options.Model = "cifarnet",
    data: options.Data = "digits",
    board: options.Board = "stm32f469i",
    data_dir: options.DataDir = None,
    download: options.Download = False,
    network: Annotated[
        Path | None, typer.Option("--network", help="Folder of a trained conventional network, instead of --model.")
    ] = None,
    scope: Annotated[Path | None, typer.Option("--scope", help="TOML file of the pattern space.")] = None,
    print_scope: Annotated[
        bool, typer.Option("--print-scope", help="Print the default pattern space, to copy and change, and exit.")
    ] = False,
    layer: Annotated[list[str] | None, typer.Option("--layer", help="Only this layer; may be repeated.")] = None,
    budget_ms: Annotated[float | None, typer.Option("--budget-ms", help="Latency of one image, modelled.")] = None,
    budget_flash: Annotated[str | None, typer.Option("--budget-flash", help="For example 1.5MB or 900KiB.")] = None,
    budget_sram: Annotated[str | None, typer.Option("--budget-sram", help="For example 128KiB.")] = None,
    max_loss: Annotated[
        float | None, typer.Option("--max-loss", help="Points of top-1 that may be lost. 1 if no latency is given.")
    ] = None,
    external_flash: options.ExternalFlash = "never",
    executor: Annotated[str, typer.Option("--executor", help="local, processes or ray.")] = "local",
    workers: Annotated[int | None, typer.Option("--workers", help="Default: one for each processor.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Of the Ray cluster: auto, local or host:port.")
    ] = None,
    epochs: options.Epochs = None,
    train_epochs: Annotated[
        int, typer.Option("--train-epochs", help="Of the full check: the longest fine-tuning; 0: none.", min=0)
    ] = _DEFAULTS.train_epochs,
    finalists: Annotated[int, typer.Option("--finalists", help="Networks that enter it.")] = _DEFAULTS.finalists,
    front: Annotated[int, typer.Option("--front", help="Networks measured in each round.")] = _DEFAULTS.front,
    simulate: Annotated[
        int, typer.Option("--simulate", help="Candidates simulated, to fit the latency model.")
    ] = _DEFAULTS.simulate,
    calibration_images: Annotated[
        int, typer.Option("--calibration-images", help="Training images to fit to.")
    ] = _DEFAULTS.calibration_images,
    profile_images: Annotated[
        int, typer.Option("--profile-images", help="Other training images to measure on.")
    ] = _DEFAULTS.profile_images,
    validation_images: Annotated[
        int, typer.Option("--validation-images", help="At most, for accuracies.")
    ] = _DEFAULTS.validation_images,
    train_limit: options.TrainLimit = None,
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the reuse pattern of every layer: the front of accuracy and latency under budgets.

    [bold]Examples[/]

      ostinato search --model cifarnet --data cifar10 --data-dir DIR --board stm32f469i --out runs/s1

      ostinato search --network runs/net --scope my_space.toml --budget-ms 30 --budget-flash 1.5MB --out runs/s2

      ostinato convert runs/s1/conventional --patterns runs/s1/patterns.toml --out runs/reuse
    """
    if print_scope:
        sys.stdout.write(default_text())
        return
    errors = Console(stderr=True, highlight=False)
    result = search_network(
        RunConfig(
            model=model, data=data, board=board, data_dir=None if data_dir is None else str(data_dir),
            download=download, epochs=epochs, train_limit=train_limit, external_flash=external_flash, seed=seed,
        ),
        out,
        network=network,
        announce=lambda text: None if quiet else errors.print(text),
        progress=not quiet,
        space=SearchSpace.default() if scope is None else SearchSpace.read(scope),
        budgets=Budgets(
            ms=budget_ms, flash_bytes=parse_bytes(budget_flash, "--budget-flash"),
            sram_bytes=parse_bytes(budget_sram, "--budget-sram"), max_loss=max_loss,
        ),
        settings=Settings(
            calibration_images=calibration_images, profile_images=profile_images, simulate=simulate, front=front,
            validation_images=validation_images, train_epochs=train_epochs, finalists=finalists,
            train_limit=train_limit, seed=seed,
        ),
        layers=layer or None, executor=executor, workers=workers, address=address,
    )  # fmt: skip
    if json:
        sys.stdout.write(json_module.dumps(result.to_dict(), indent=1) + "\n")
        return
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    console.print(front_table(result.front, result.chosen))
    if not result.chosen["meets_budgets"]:
        console.print("No measured network meets all budgets; the nearest is marked.")
    console.print(
        f"Patterns: {out / 'patterns.toml'}  ·  report: {out / 'report.html'}  ·  candidates: {out / 'candidates.csv'}",
        soft_wrap=True,
    )
