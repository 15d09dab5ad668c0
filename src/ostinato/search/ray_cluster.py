"""Tasks on a Ray cluster: `pip install "ostinato[ray]"`, on every machine of it."""

from __future__ import annotations

import logging
import pickle
import socket
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from ostinato.search.context import Context
from ostinato.search.executors import RETRIES, died
from ostinato.search.settings import SearchError
from ostinato.search.tasks import Task, run_task

_REACHED_WITHIN_S = 5.0
_contexts: dict[bytes, Context] = {}  # of a worker, unpacked once


class RayExecutor:
    """One Ray task for each task, `workers` at a time (as many as the cluster has processors if None).

    Raises:
        SearchError: Ray is not installed, or nothing answers at `address`.
    """

    def __init__(self, context: Context, workers: int | None, address: str) -> None:
        self._ray: Any = _import_ray()
        _connect(self._ray, address, workers)
        self._workers = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        # Ray's pickler takes classes of the user's script along, which workers could not import.
        self._payload = self._ray.put(self._ray.cloudpickle.dumps(context))
        self._work = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_work)

    def run(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        """The lines of all tasks, as they end; Ray begins the task of a worker that died again."""
        left, running = list(reversed(tasks)), dict[Any, Task]()
        while left or running:
            while left and len(running) < self._workers:
                task = left.pop()
                running[self._work.remote(self._payload, task)] = task
            (reference,), _ = self._ray.wait(list(running), num_returns=1)
            task = running.pop(reference)
            try:
                record = self._ray.get(reference)
            except self._ray.exceptions.WorkerCrashedError:
                record = died(task)
            except self._ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, SearchError):
                    raise error.cause from None
                raise SearchError(
                    f"a Ray worker cannot begin ({error.cause}); the modules of the network, and Ostinato in this "
                    "version, must be installed on every machine of the cluster"
                ) from None
            yield record

    def close(self) -> None:
        """Leave the cluster; it ends if it was started here."""
        self._ray.shutdown()


def _work(payload: bytes, task: Task) -> dict[str, Any]:
    if payload not in _contexts:
        _contexts.clear()
        _contexts[payload] = pickle.loads(payload)
    return run_task(_contexts[payload], task)


def _import_ray() -> Any:
    try:
        return import_module("ray")
    except ImportError:
        raise SearchError('the executor ray needs Ray: pip install "ostinato[ray]"') from None


def _connect(ray: Any, address: str, workers: int | None) -> None:
    """Join the cluster, or start one here for `local`."""
    _refuse_dead(address)
    more = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, ignore_reinit_error=True, **more)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SearchError(
            f"no Ray cluster answers at {address!r} ({first}); start one with `ray start --head` and give its address, "
            "or use --executor processes"
        ) from None


def _refuse_dead(address: str) -> None:
    """Ray itself would try for a minute; a host:port that nobody listens at is known at once."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_REACHED_WITHIN_S).close()
    except OSError as error:
        raise SearchError(
            f"no Ray cluster answers at {address!r} ({error.strerror or error}); start one with `ray start --head` and "
            "give its address, or use --executor processes"
        ) from None
