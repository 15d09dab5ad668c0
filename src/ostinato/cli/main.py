"""`ostinato`: the commands, and what happens when one of them fails."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

import ostinato
from ostinato.cli import run as run_command
from ostinato.cli import search as search_command
from ostinato.cli import simulate as simulate_command
from ostinato.cli import steps
from ostinato.cli import train as train_commands
from ostinato.cli import zoo as zoo_command
from ostinato.errors import OstinatoError

app = typer.Typer(
    name="ostinato",
    help="Convolutional networks that compute every repeating tile once: from PyTorch to int8 Cortex-M firmware.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)
app.command("run")(run_command.run)
app.command("train")(train_commands.train)
app.command("prune")(train_commands.prune)
app.command("convert")(steps.convert)
app.command("deploy")(steps.deploy)
app.command("simulate")(simulate_command.simulate)
app.command("search")(search_command.search)
app.command("report")(steps.report)
app.command("boards")(steps.boards)
app.command("zoo")(zoo_command.zoo)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"ostinato {ostinato.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point. Mistakes of the user: one sentence on stderr and exit code 2; Ctrl-C: exit code 130."""
    try:
        app()
    except OstinatoError as error:
        Console(stderr=True, highlight=False).print(f"[bold red]ostinato:[/] {_plain(error)}", soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("ostinato: stopped; the same command goes on with what is finished.\n")
        sys.exit(130)


def _plain(error: OstinatoError) -> str:
    return str(error).replace("[", r"\[")  # rich would take brackets for markup


if __name__ == "__main__":
    main()
