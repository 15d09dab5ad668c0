"""Tasks in processes on this machine; one that dies is replaced, and its task begun again."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ostinato.search.context import Context
from ostinato.search.executors import RETRIES, died
from ostinato.search.settings import SearchError
from ostinato.search.tasks import Task, run_task

_ORPHAN_CHECK_S = 1.0
_context: Context | None = None  # of a worker


class ProcessExecutor:
    """`workers` fresh processes, each with its own copy of the context.

    Raises:
        SearchError: a network whose classes other processes cannot import.
    """

    def __init__(self, context: Context, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        try:
            self._payload = pickle.dumps(context)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise SearchError(
                f"the network cannot be handed to other processes ({error}); define its classes in a module, or use "
                "the executor local"
            ) from None
        self._pool: ProcessPoolExecutor | None = None

    def run(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        """The lines of all tasks, as they end.

        When a worker dies, the pool cannot say whose it was: all that were under way are begun again one at a time, so
        that only the task that kills is blamed.
        """
        waiting, deaths = list(tasks), Counter[str]()
        while waiting:
            suspects = [task for task in waiting if deaths[task.key]]
            turn = suspects[:1] or waiting
            done: set[str] = set()
            under_way: list[Task] = []
            try:
                for record in self._some(turn, under_way):
                    done.add(record["task"])
                    yield record
            except BrokenProcessPool:
                self.close()
                for task in under_way:
                    if task.key not in done:
                        deaths[task.key] += 1
                        if deaths[task.key] > RETRIES:
                            done.add(task.key)
                            yield died(task)
            waiting = [task for task in waiting if task.key not in done]

    def _some(self, tasks: Sequence[Task], under_way: list[Task]) -> Iterator[dict[str, Any]]:
        """Lines of `tasks`; `under_way` always holds those that workers have."""
        pool = self._started()
        left, running = list(reversed(tasks)), dict[Future[dict[str, Any]], Task]()
        while left or running:
            while left and len(running) < self._workers:
                task = left.pop()
                under_way.append(task)
                running[pool.submit(_work, task)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                record = future.result()
                under_way.remove(running.pop(future))
                yield record

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers, multiprocessing.get_context("spawn"), _begin, (self._payload, os.getpid())
            )
        return self._pool

    def close(self) -> None:
        """Stop all workers at once."""
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        self._pool = None


def _begin(payload: bytes, parent: int) -> None:
    global _context
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _context = pickle.loads(payload)


def _end_with(parent: int) -> None:
    """A worker whose search was killed would wait for ever."""
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK_S)
    os._exit(1)


def _work(task: Task) -> dict[str, Any]:
    assert _context is not None
    return run_task(_context, task)
