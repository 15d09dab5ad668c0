"""The one record of a search: a line for every finished task, forced to disk, so that nothing is done twice."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ostinato.search.failures import disk_is_full
from ostinato.search.settings import SearchError

JOURNAL = "journal.jsonl"
_VERSION = 1


class Journal:
    """`journal.jsonl` in a search's folder.

    The first line says what is searched; another search is refused. Every other line is {"task", "result"} or {"task",
    "failed"}, and "seconds". A line that was cut short by a kill is dropped when the journal is opened.

    Raises:
        SearchError: the folder holds another search, is damaged, or cannot be written.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self.path = folder / JOURNAL
        self.records: dict[str, dict[str, Any]] = {}
        wanted = {"ostinato-search": _VERSION, **json.loads(json.dumps(header))}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self.path.open("ab+")
        except OSError as error:
            raise SearchError(f"the search folder {folder} cannot be written: {error.strerror}") from None
        try:
            self._read(wanted)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a finished task; when this returns, it is on disk.

        Raises:
            SearchError: it cannot be written, for example because the disk is full; nothing is lost that was there.
        """
        self._append(record)
        self.records[record["task"]] = dict(record)

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, allow_nan=True).encode() + b"\n"
        before = os.fstat(self._file.fileno()).st_size
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._undo(before)
            reason = "the disk is full" if disk_is_full(error) else (error.strerror or str(error))
            raise SearchError(
                f"{self.path} cannot be written: {reason}; what is finished is kept: make room, and the same command "
                "goes on"
            ) from None

    def _undo(self, size: int) -> None:
        """Take back a line of which only a part was written."""
        try:
            os.ftruncate(self._file.fileno(), size)
        except OSError:
            return  # it is dropped when the journal is opened again

    def _read(self, wanted: Mapping[str, Any]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):  # a kill came in the middle of a line
            self._file.truncate(len(whole))
        if not whole:
            self._append(wanted)
            return
        try:
            header, *lines = [json.loads(line) for line in whole.splitlines()]
            self.records = {line["task"]: line for line in lines}
        except (ValueError, KeyError, TypeError):
            raise SearchError(f"{self.path} is damaged; delete the folder, or give another one") from None
        _same(header, wanted, self.path.parent)


def _same(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            shown = (
                f" ({found.get(key)!r}, not {wanted.get(key)!r})"
                if all(len(repr(each.get(key))) < 80 for each in (found, wanted))
                else ""
            )
            raise SearchError(
                f"{folder} holds another search: its {key} differs{shown}; give another folder, or delete this one"
            )


def without_times(path: Path) -> list[dict[str, Any]]:
    """A journal's lines without what a clock measured, in the order of their tasks: equal for equal searches."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted((_timeless(line) for line in lines), key=lambda line: line.get("task", ""))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if "seconds" not in key}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
