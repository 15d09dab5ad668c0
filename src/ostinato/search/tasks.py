"""What a worker does: one task, plain data in and out, the same result in every process and on every machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ostinato.search.candidate import read_candidate
from ostinato.search.context import Context
from ostinato.search.failures import reason
from ostinato.search.measure import baseline, measure_network, simulate_candidate
from ostinato.search.profile import profile_layer
from ostinato.search.train import train_network


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        key: unique in a search, and the same in every session.
        kind: `profile`, `simulate`, `baseline`, `network` or `train`.
        arguments: plain data.
    """

    key: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def run_task(context: Context, task: Task) -> dict[str, Any]:
    """The journal's line: `result`, or `failed` with the sentence if the candidate cannot be what was asked of it.

    Runs on one thread: sums in another order would be other numbers, and workers share the machine.

    Raises:
        SearchError: the disk or the memory is full.
    """
    began, cpu = time.perf_counter(), time.process_time()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        outcome: dict[str, Any] = {"result": _DO[task.kind](context, task.arguments)}
    except Exception as error:  # whatever it is: one candidate must not end a search
        outcome = {"failed": reason(error)}
    finally:
        torch.set_num_threads(threads)
    times = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    return {"task": task.key, **outcome, **times}


def _profile(context: Context, arguments: Mapping[str, Any]) -> Any:
    patterns = [read_candidate(arguments["layer"], fields).pattern for fields in arguments["patterns"]]
    return profile_layer(context, arguments["layer"], [pattern for pattern in patterns if pattern is not None])


_DO: dict[str, Callable[[Context, Mapping[str, Any]], Any]] = {
    "profile": _profile,
    "simulate": lambda context, given: simulate_candidate(context, read_candidate(given["layer"], given["pattern"])),
    "baseline": lambda context, given: baseline(context),
    "network": lambda context, given: measure_network(context, given["patterns"]),
    "train": lambda context, given: train_network(context, given["patterns"], given["epochs"]),
}
