"""`ostinato train` and `ostinato prune`: the conventional network, whole and smaller."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ostinato import data as datasets
from ostinato.cli import options
from ostinato.cli.common import Network, accuracies, device_named, load_trained, print_result
from ostinato.models.zoo import checkpoint_path
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.networks import train_conventional
from ostinato.pipeline.recipe_files import Pruning, RecipeFile, read_recipe
from ostinato.pipeline.train import prune_and_tune, train_recipe
from ostinato.training import MODERN


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder of the network; a training found there goes on.")],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="A recipe file, or the name of one that comes along; other options override it."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", help="Weights to start from: a trained network's folder, or a name from `zoo`."),
    ] = None,
    model: options.Model = "cifarnet",
    data: options.Data = "digits",
    data_dir: options.DataDir = None,
    download: options.Download = False,
    epochs: options.Epochs = None,
    train_limit: options.TrainLimit = None,
    precision: options.Precision = "float32",
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a conventional network.

    [bold]Examples[/]

      ostinato train --model cifarnet --data digits --out runs/net

      ostinato train --recipe resnet8-cifar10 --data-dir data/cifar10 --out runs/resnet8
    """
    weights = None if start is None else checkpoint_path(start)
    where = device_named(device)
    if recipe is not None:
        chosen = _overridden(read_recipe(recipe), context)
        dataset = datasets.load(chosen.data, data_dir=data_dir, download=download, seed=seed)
        trained = train_recipe(
            chosen, dataset, out, seed=seed, train_limit=train_limit, progress=not quiet, start=weights, device=where
        )
        print_result(accuracies(trained, dataset, out), json)
        return
    config = RunConfig(model=model, data=data, epochs=epochs, train_limit=train_limit, precision=precision, seed=seed)
    dataset = datasets.load(data, data_dir=data_dir, download=download, seed=seed)
    network = train_conventional(config, dataset, out, progress=not quiet, start=weights, device=where)
    print_result(accuracies(network, dataset, out), json)


def _overridden(recipe: RecipeFile, context: typer.Context) -> RecipeFile:
    """The recipe with what was given on the command line, defaults not counted."""
    given = {
        name: context.params[name]
        for name in ("model", "data", "epochs", "precision")
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    if "model" in given:
        raise typer.BadParameter(f"the recipe says which network it trains: {recipe.network}", param_hint="--model")
    return dataclasses.replace(recipe, **given)


def prune(
    network: Network,
    out: Annotated[Path, typer.Option("--out", help="Folder of the pruned network.")],
    size: Annotated[float, typer.Option("--size", help="Share of the parameters to remain at most, such as 0.08.")],
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help="LAYER=SHARE of its outputs to keep, for example conv1=1.0; the rest share one."),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", help="Of fine-tuning.", min=1)] = 5,
    lr: Annotated[float, typer.Option("--lr", help="Of fine-tuning.")] = 0.01,
    data_dir: options.DataDir = None,
    train_limit: options.TrainLimit = None,
    precision: options.Precision = "float32",
    device: options.Device = "cpu",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Remove whole channels of a trained network and fine-tune what is left.

    [bold]Example[/]

      ostinato prune runs/net --size 0.3 --keep conv1=1.0 --epochs 5 --out runs/pruned
    """
    shares, where = dict(_share(text) for text in keep or []), device_named(device)
    model, dataset, meta = load_trained(network, data_dir)
    pruning = Pruning(size=size, epochs=epochs, keep=shares, lr=lr)
    pruned, report = prune_and_tune(
        model.to(where),
        dataset,
        out,
        pruning,
        MODERN,
        precision=precision,
        seed=int(meta["seed"]),
        train_limit=train_limit,
        progress=not quiet,
    )
    removed = {
        "parameters": report.parameters,
        "parameters_before": report.parameters_before,
        "macs": report.macs,
        "macs_before": report.macs_before,
        "layers": [dataclasses.asdict(layer) for layer in report.layers],
    }
    print_result({**accuracies(pruned, dataset, out), **removed}, json)


def _share(text: str) -> tuple[str, float]:
    layer, equals, share = text.partition("=")
    try:
        return layer, float(share if equals else "")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not LAYER=SHARE", param_hint="--keep") from None
