"""Where the C library's files are, inside the installed package."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def include_dir() -> Path:
    """The public headers; an include path of every build."""
    return _HERE / "include"


def source_dir() -> Path:
    """The sources and private headers; an include path of every build, so that build caches see the headers."""
    return _HERE / "src"


def source_path(name: str) -> Path:
    """The file of a name in `Binding.sources`.

    Raises:
        FileNotFoundError: the library has no such file.
    """
    path = source_dir() / name
    if not path.is_file():
        raise FileNotFoundError(f"the kernel library has no source {name!r}")
    return path
