"""The build cache: compiled objects under the hash of everything that went into them. Safe to delete at any time."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from ostinato.errors import ToolchainError
from ostinato.files import write_atomically

CACHE_VARIABLE = "OSTINATO_CACHE_DIR"


def default_cache_dir() -> Path:
    """The user's cache directory for Ostinato: `$OSTINATO_CACHE_DIR`, or the platform's usual place."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ostinato"


class BuildCache:
    """Files by content hash in one directory; entries appear atomically and are never changed."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = Path(directory) if directory is not None else default_cache_dir()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolchainError(
                f"the build cache {self.directory} cannot be created ({error.strerror}); "
                f"set {CACHE_VARIABLE} to a directory that you can write to"
            ) from error

    def path(self, kind: str, key: str, suffix: str) -> Path:
        """Where the entry with that key lives, whether or not it exists."""
        folder = self.directory / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder / (key[:40] + suffix)

    def environment(self) -> dict[str, str]:
        """Environment for compilers: zig keeps its own caches inside ours, so that deleting ours deletes all."""
        return {
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": str(self.directory / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(self.directory / "zig-local"),
        }


def content_key(parts: Iterable[str | bytes]) -> str:
    """SHA-256 of a sequence of texts; each is preceded by its length, so that no two sequences run into one."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def copy_atomically(source: Path, destination: Path) -> None:
    """Copy a file so that `destination` is either the old file or the whole new one."""
    write_atomically(destination, source.read_bytes())
    destination.chmod(0o755)
