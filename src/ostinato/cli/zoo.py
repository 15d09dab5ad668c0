"""`ostinato zoo`: the trained networks that come with the package."""

from __future__ import annotations

import dataclasses
import sys

from rich.console import Console
from rich.table import Table

from ostinato.cli import options
from ostinato.cli.common import print_result
from ostinato.models.zoo import entries

_PLAIN_WIDTH = 120


def zoo(json: options.Json = False) -> None:
    """List trained networks: `prune`, `convert` and `deploy` take their names for a folder, `train --start` too.

    [bold]Example[/]

      ostinato deploy cifarnet-cifar10 --data-dir data/cifar10 --out runs/firmware
    """
    found = entries().values()
    if json:
        print_result({"networks": [dataclasses.asdict(entry) for entry in found]}, True)
        return
    table, longest = Table(), max((len(entry.name) for entry in found), default=0)
    for column in ("name", "data", "top-1 %", "int8 %", "parameters", "M MACs", "KiB", "reuse"):
        left, whole = column in ("name", "data", "reuse"), column == "name"  # a name is copied from here
        table.add_column(column, justify="left" if left else "right", no_wrap=whole, min_width=longest if whole else 0)
    for entry in found:
        table.add_row(
            entry.name,
            entry.dataset,
            f"{100 * entry.test_top1:.2f}",
            f"{100 * entry.int8_test_top1:.2f}",
            f"{entry.parameters:,}",
            f"{entry.macs / 1e6:.1f}",
            f"{entry.bytes / 1024:.0f}",
            ", ".join(entry.reuse) or "–",
        )
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    console.print(table)
    for note in sorted({f"{entry.dataset}: {entry.data_note}" for entry in found if entry.data_note}):
        console.print(note, highlight=False)
