"""What a search shows while it runs: a line of progress, and the front as it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


class Display:
    """On the terminal (stderr); one plain line for each phase where there is none; silent if not enabled."""

    def __init__(self, enabled: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._enabled = enabled
        self._live: Live | None = None
        self._front: Sequence[Mapping[str, Any]] = ()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self._console,
        )  # fmt: skip
        self._task = self._bar.add_task("Searching", total=None)

    def __enter__(self) -> Display:
        if self._enabled and self._console.is_terminal:
            self._live = Live(self._picture(), console=self._console, transient=True, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def phase(self, what: str, total: int, done: int = 0) -> None:
        """A phase begins, of which an earlier session did `done`."""
        self._bar.update(self._task, description=what, total=total, completed=done)
        found = f" ({done} found in the journal)" if done else ""
        if self._enabled and self._live is None:
            self._console.print(f"{what}: {total}{found}")
        self._draw()

    def advance(self) -> None:
        """One more task is done."""
        self._bar.advance(self._task)
        self._draw()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._enabled:
            self._console.print(text, markup=False)

    def show(self, front: Sequence[Mapping[str, Any]]) -> None:
        """The front as it is known now."""
        self._front = front
        self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._picture())

    def _picture(self) -> Group:
        return Group(self._bar, front_table(self._front)) if self._front else Group(self._bar)


def front_table(front: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any] | None = None) -> Table:
    """Networks of a front, fastest first."""
    table = Table(title="Front", title_justify="left")
    outside = uses_external(front)
    external = ("ext. flash, KiB",) if outside else ()
    for heading in (
        "", "ms", "top-1, %", "loss, points", "flash, KiB", *external, "SRAM, KiB", "layers reused", "epochs",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for entry in front:
        mark = "→" if chosen is not None and entry["patterns"] == chosen["patterns"] else ""
        table.add_row(
            mark, f"{entry['ms']:.2f}", f"{100 * entry['valid_top1']:.2f}", f"{entry['loss_points']:.2f}",
            f"{entry['flash_bytes'] / 1024:.0f}", *((f"{entry['external_bytes'] / 1024:.0f}",) if outside else ()),
            f"{entry['sram_bytes'] / 1024:.0f}", str(len(entry["patterns"])), str(entry["epochs"]),
        )  # fmt: skip
    return table


def uses_external(front: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any network has constants in external flash."""
    return any(entry.get("external_bytes") for entry in front)
