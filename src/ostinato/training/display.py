"""The progress bar of a training."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Display:
    """One line on the terminal (stderr): step, loss, training and validation accuracy. Silent without one."""

    def __init__(self, steps: int, epochs: int, enabled: bool) -> None:
        console = Console(stderr=True)
        self._epochs = epochs
        self._valid = "-"
        self._bar: Progress | None = None
        if enabled and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("Training", total=steps, numbers="")

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, done: int, epoch: int, loss: float, top1: float) -> None:
        """`done` steps of the whole training are done; loss and accuracy are the epoch's so far."""
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=done,
                description=f"Epoch {epoch}/{self._epochs}",
                numbers=f"loss {loss:.3f}  train {top1:.1%}  valid {self._valid}",
            )

    def validated(self, top1: float, best: float) -> None:
        """An epoch ended with this validation accuracy."""
        self._valid = f"{top1:.1%} (best {best:.1%})"
