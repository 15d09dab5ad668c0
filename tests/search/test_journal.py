"""The journal survives kills, full disks and other people's folders."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ostinato.errors import ToolchainError
from ostinato.search.failures import reason
from ostinato.search.journal import JOURNAL, Journal, without_times
from ostinato.search.settings import SearchError

HEADER = {"network": "n", "settings": {"seed": 0}}


def line(task: str, seconds: float = 1.0) -> dict[str, object]:
    return {"task": task, "result": {"rows": [{"x": 1, "seconds": seconds}]}, "seconds": seconds, "cpu_seconds": 2.0}


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    with Journal(tmp_path, HEADER) as journal:
        assert not journal.records
        journal.add(line("a"))
    with Journal(tmp_path, HEADER) as journal:
        assert journal.records == {"a": line("a")}


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    with Journal(tmp_path, HEADER) as journal:
        journal.add(line("a"))
        journal.add(line("b"))
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(tmp_path, HEADER) as journal:
        assert list(journal.records) == ["a"]
        journal.add(line("c"))
    with Journal(tmp_path, HEADER) as journal:
        assert list(journal.records) == ["a", "c"]


def test_another_search_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path, HEADER).__exit__(None, None, None)
    with pytest.raises(SearchError, match=r"another search: its network differs \('n', not 'm'\)"):
        Journal(tmp_path, {**HEADER, "network": "m"})


def test_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("not json\n")
    with pytest.raises(SearchError, match="damaged"):
        Journal(tmp_path, HEADER)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SearchError, match="cannot be written"):
        Journal(tmp_path / "file" / "folder", HEADER)


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path, HEADER) as journal:
        journal.add(line("a"))
        whole = (tmp_path / JOURNAL).read_bytes()

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(SearchError, match="the disk is full; what is finished is kept"):
                journal.add(line("b"))
        assert (tmp_path / JOURNAL).read_bytes() == whole
        assert list(journal.records) == ["a"]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), ToolchainError("zig: No space left on device"), MemoryError()],
)
def test_a_full_machine_is_no_failure_of_a_candidate(error: Exception) -> None:
    with pytest.raises(SearchError, match="the same command goes on"):
        reason(error)
    assert reason(ValueError("x")) == "ValueError: x"


def test_times_are_no_difference(tmp_path: Path) -> None:
    for name, seconds, tasks in (("one", 1.0, "ab"), ("two", 2.0, "ba")):
        with Journal(tmp_path / name, HEADER) as journal:
            for task in tasks:
                journal.add(line(task, seconds))
    one, two = (without_times(tmp_path / name / JOURNAL) for name in ("one", "two"))
    assert one == two
    assert one[1] == {"task": "a", "result": {"rows": [{"x": 1}]}}
