"""What several commands do with a trained network: load it, measure it, print what came out."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from ostinato import data as datasets
from ostinato.data import ImageDataset
from ostinato.errors import CheckpointError, OstinatoError
from ostinato.models.stored import load_network
from ostinato.models.zoo import checkpoint_path
from ostinato.training import evaluate

Network = Annotated[
    Path, typer.Argument(help="Folder that `train` or `convert` wrote, or a name that `ostinato zoo` lists.")
]


_PLAIN_WIDTH = 120
"""Of tables that go to a file or a pipe."""


def load_trained(network: Path, data_dir: Path | None) -> tuple[Any, ImageDataset, dict[str, Any]]:
    """A trained network, the data set that it was trained on, and its checkpoint's header."""
    path = checkpoint_path(network)
    model, meta = load_network(path)
    for key in ("dataset", "seed"):
        if key not in meta:
            raise CheckpointError(f"{path}: its header has no {key!r}, so its data set is unknown.")
    return model, datasets.load(meta["dataset"], data_dir=data_dir, seed=int(meta["seed"])), meta


def device_named(name: str) -> torch.device:
    """A device that is there, by PyTorch's name, and has the float64 that training adds up in.

    Raises:
        OstinatoError: PyTorch knows no such device, sees none, or it has no float64 (as Apple's `mps`).
    """
    try:
        device = torch.device(name)
        torch.empty(0, dtype=torch.float64, device=device)
    # What each backend says of what it lacks.
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise OstinatoError(f"--device {name}: PyTorch cannot use it here ({first}); leave it out.") from None
    return device


def accuracies(network: Any, dataset: ImageDataset, out: Path) -> dict[str, Any]:
    """Top-1 on the validation and the test split, and where the network is."""
    return {
        "network": str(out),
        "valid_top1": evaluate(network, dataset.valid).top1,
        "test_top1": evaluate(network, dataset.test).top1,
    }


def print_result(result: Mapping[str, Any], as_json: bool) -> None:
    """A result for people, one value a line, or as JSON on stdout."""
    if as_json:
        sys.stdout.write(json_module.dumps(dict(result), indent=2) + "\n")
        return
    console = Console(highlight=False)
    for key, value in result.items():
        if isinstance(value, list):
            for item in value:
                console.print("  " + "  ".join(str(part) for part in item.values()))
        elif isinstance(value, float):
            console.print(f"{key:>12}  {value:.2%}")
        elif isinstance(value, int):
            console.print(f"{key:>12}  {value:,}")
        else:
            console.print(f"{key:>12}  {value}")


def print_table(table: object) -> None:
    """Something of rich's on stdout, wide where there is no terminal."""
    Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH).print(table)


@contextmanager
def status(enabled: bool) -> Iterator[Callable[[str], None]]:
    """What takes a line on what is going on and shows it on the terminal (stderr), if there is one."""
    console = Console(stderr=True)
    if not (enabled and console.is_terminal):
        yield lambda _: None
        return
    with console.status("") as shown:
        yield shown.update
