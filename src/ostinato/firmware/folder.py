"""Putting a finished project in its place: a folder is either the old one or the whole new one.

A project carries a manifest with the digest of every file that was generated. A folder without it is not ours, and one
whose files were edited holds somebody's work: both are refused rather than replaced.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ostinato.errors import CheckpointError, OstinatoError

MANIFEST = "ostinato.json"
FORMAT = "ostinato-firmware"
VERSION = 2
_BUILD = "build"
"""Where the project's Makefile puts objects: made by running it, and free to go."""


class FolderError(OstinatoError):
    """The folder for a project is in use for something else."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place if the body succeeds, and disappears if it does not.

    Raises:
        FolderError: `target` exists and is not an unedited project of ours, or cannot be written.
    """
    target = Path(target)
    check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as problem:
        raise FolderError(f"{target} cannot be written ({problem.strerror}); choose another folder.") from problem
    try:
        work.chmod(0o755)
        yield work
        _swap(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """Refuse a folder that holds anything but an unedited project.

    Raises:
        FolderError: says what is in the way.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir():
        raise FolderError(f"{target} is a file, not a folder; choose another place for the firmware.")
    try:
        files: dict[str, str] = read_manifest(target)["files"]
    except (CheckpointError, KeyError) as problem:
        raise FolderError(
            f"{target} exists and is not a firmware project of ours; choose another folder, or remove it."
        ) from problem
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        if path.is_dir() or name == MANIFEST or name.split("/")[0] == _BUILD:
            continue
        if files.get(name) != digest(path):
            kind = "was edited" if name in files else "was added"
            raise FolderError(
                f"{target / name} {kind} after the project was generated, so the folder is not replaced; "
                "move your work, or choose another folder."
            )


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest last: it has the digests of all other files."""
    files = {p.relative_to(folder).as_posix(): digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    document = {"format": FORMAT, "version": VERSION, **content, "files": files}
    (folder / MANIFEST).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a project.

    Raises:
        CheckpointError: there is none, it is damaged, or of another version.
    """
    path = Path(folder) / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} holds no firmware project ({MANIFEST} is missing); make one with `deploy`."
        ) from None
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{path} cannot be read ({problem}); deploy again.") from problem
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not the manifest of a firmware project.")
    if document.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has version {document.get('version')}, this Ostinato reads {VERSION}; deploy again."
        )
    return document


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _swap(work: Path, target: Path) -> None:
    """Two renames; if the second fails the first is undone."""
    if not target.exists():
        work.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    old = aside / target.name
    try:
        target.rename(old)
        work.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)
