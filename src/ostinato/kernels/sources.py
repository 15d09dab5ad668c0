"""Where the C library's files are, inside the installed package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ostinato.kernels.binding import Binding

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


def compiled_sources(bindings: Iterable[Binding], folder: Path) -> list[Path]:
    """What a compiler is called for: the library's `.c` and `.S` files of these kernels, and the generated ones.

    Generated files are written into `folder`.
    """
    bindings = list(bindings)
    names = dict.fromkeys(name for binding in bindings for name in binding.sources)
    files = [source_path(name) for name in names if name.endswith((".c", ".S"))]
    for name, text in {name: text for binding in bindings for name, text in binding.generated.items()}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
        files.append(folder / name)
    return files
