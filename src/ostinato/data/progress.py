"""A progress bar that stays away from short work and from logs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
"""Work that ends sooner shows nothing."""


def track(items: Sequence[T], description: str, enabled: bool) -> Iterator[T]:
    """Iterate over `items`; after two seconds, show a bar on the terminal (stderr), if there is one."""
    console = Console(stderr=True)
    if not (enabled and console.is_terminal):
        yield from items
        return
    began = time.monotonic()
    bar = Progress(console=console, transient=True)
    task = bar.add_task(description, total=len(items))
    started = False
    try:
        for done, item in enumerate(items):
            yield item
            if not started and time.monotonic() - began > PATIENCE_SECONDS:
                bar.start()
                started = True
            if started:
                bar.update(task, completed=done + 1)
    finally:
        if started:
            bar.stop()
