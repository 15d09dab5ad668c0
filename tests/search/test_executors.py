"""The same lines everywhere; a worker's death is retried, and a task that kills is blamed alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import search_samples
from search_samples import DeadlyContext, small_context, small_net

from ostinato.search import SearchError, processes
from ostinato.search.context import Context
from ostinato.search.executors import LocalExecutor, make_executor
from ostinato.search.processes import ProcessExecutor
from ostinato.search.tasks import Task

PATTERNS = [{"length": 9, "hashes": 2, "order": "c.kh.kw", "init": "itq"}, {"length": 8, "hashes": 2, "init": "pca"}]
TASKS = [
    Task("profile:conv2", "profile", {"layer": "conv2", "patterns": PATTERNS}),
    Task("profile:conv1", "profile", {"layer": "conv1", "patterns": PATTERNS[:1]}),
    Task("wrong", "profile", {"layer": "conv9", "patterns": PATTERNS}),
]


def timeless(records: Any) -> list[dict[str, Any]]:
    kept = []
    for record in sorted(records, key=lambda r: r["task"]):
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in record.get("result", [])]
        kept.append({"task": record["task"], "rows": rows, "failed": record.get("failed")})
    return kept


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    return timeless(LocalExecutor(small_context()).run(TASKS))


def test_a_failing_task_is_a_line(expected: list[dict[str, Any]]) -> None:
    assert [bool(record["failed"]) for record in expected] == [False, False, True]
    assert all("failed" not in row for record in expected for row in record["rows"])


def test_processes_give_the_same_lines(expected: list[dict[str, Any]]) -> None:
    executor = ProcessExecutor(small_context(), 2)
    try:
        assert timeless(executor.run(TASKS)) == expected
    finally:
        executor.close()


@pytest.mark.parametrize(("times", "retries", "told"), [(1, 2, "survived"), (9, 0, "its worker died")])
def test_a_death_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, retries: int, told: str
) -> None:
    monkeypatch.setattr(processes, "RETRIES", retries)
    executor = ProcessExecutor(DeadlyContext(tmp_path, times), 1)  # type: ignore[arg-type]
    try:
        (record,) = executor.run([Task("t", "network", {"patterns": {}})])
    finally:
        executor.close()
    assert told in record["failed"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_network_that_others_cannot_import_is_one_sentence() -> None:
    class Here(type(small_net())):  # type: ignore[misc]
        pass

    context = small_context()
    with pytest.raises(SearchError, match="cannot be handed to other processes"):
        ProcessExecutor(Context(Here(), context.dataset, context.board, context.settings))


def test_a_ray_cluster_of_two_workers_gives_the_same_lines(expected: list[dict[str, Any]]) -> None:
    ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "ostinato[ray]"')
    ray.cloudpickle.register_pickle_by_value(search_samples)  # as the classes of a user's script are
    executor = make_executor("ray", small_context(), 2, "local")
    try:
        assert timeless(executor.run(TASKS)) == expected
    finally:
        executor.close()


def test_a_dead_ray_address_is_one_sentence() -> None:
    pytest.importorskip("ray", reason='Ray is not installed: pip install "ostinato[ray]"')
    began = time.monotonic()
    with pytest.raises(SearchError, match=r"no Ray cluster answers at '127\.0\.0\.1:9'"):
        make_executor("ray", small_context(), None, "127.0.0.1:9")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("name", "workers", "told"), [("slurm", None, "no executor 'slurm'"), ("local", 0, "workers is 0")]
)
def test_what_cannot_be(name: str, workers: int | None, told: str) -> None:
    with pytest.raises(SearchError, match=told):
        make_executor(name, small_context(), workers)
