"""Where tasks run: in this process, in processes on this machine, or on a Ray cluster.

All give the journal's lines as tasks end, in whatever order; the lines themselves are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ostinato.search.context import Context
from ostinato.search.settings import SearchError
from ostinato.search.tasks import Task, run_task

EXECUTORS = ("local", "processes", "ray")
RETRIES = 2
"""A task whose worker dies is begun again so many times; then it has failed."""


class Executor(Protocol):
    """Runs tasks."""

    def run(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        """The lines of all tasks, as they end."""
        ...

    def close(self) -> None:
        """Stop all workers at once."""
        ...


class LocalExecutor:
    """One task after the other in this process."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def run(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        """The lines of all tasks, in their order."""
        for task in tasks:
            yield run_task(self._context, task)

    def close(self) -> None:
        """Nothing to stop."""


def make_executor(name: str, context: Context, workers: int | None = None, address: str | None = None) -> Executor:
    """An executor by name.

    Args:
        name: `local`, `processes` or `ray`.
        context: of the search.
        workers: processes, or Ray tasks at a time; as many as there are processors if None.
        address: of the Ray cluster: `auto`, `local` (start one here) or host:port.

    Raises:
        SearchError: an unknown name, a number of workers below 1, Ray not installed, or no cluster at the address.
    """
    if name not in EXECUTORS:
        raise SearchError(f"there is no executor {name!r}; choose one of {', '.join(EXECUTORS)}")
    if workers is not None and workers < 1:
        raise SearchError(f"workers is {workers}; at least 1 is needed")
    if name == "local":
        return LocalExecutor(context)
    if name == "processes":
        from ostinato.search.processes import ProcessExecutor

        return ProcessExecutor(context, workers)
    from ostinato.search.ray_cluster import RayExecutor

    return RayExecutor(context, workers, address or "auto")


def died(task: Task) -> dict[str, Any]:
    """The line of a task that its workers did not survive."""
    return {"task": task.key, "failed": f"its worker died {RETRIES + 1} times", "seconds": 0.0, "cpu_seconds": 0.0}
