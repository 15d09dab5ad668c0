"""Which files of the kernel library a project needs: the sources of its kernels and every header in their reach."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ostinato.errors import UnsupportedError
from ostinato.kernels.binding import Binding

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)

PUBLIC_HEADER = "ostinato_nn.h"


@dataclass(frozen=True)
class KernelLibrary:
    """Where the kernels' public headers and sources are."""

    include_dir: Path
    source_dir: Path

    def files(self, bindings: Iterable[Binding]) -> dict[str, Path]:
        """Project path (`include/…` or `src/…`) → file, sources first.

        Raises:
            UnsupportedError: a kernel's source, or a header that it includes, is missing.
        """
        sources = dict.fromkeys(source for binding in bindings for source in binding.sources)
        found: dict[str, Path] = {}
        pending = [self._existing(self.source_dir / source) for source in sources]
        pending.append(self._existing(self.include_dir / PUBLIC_HEADER))
        while pending:
            path = pending.pop(0)
            key = self._project_path(path)
            if key not in found:
                found[key] = path
                pending += [self._resolve(name, path) for name in _INCLUDE.findall(path.read_text())]
        return found

    def _resolve(self, name: str, includer: Path) -> Path:
        for folder in (includer.parent, self.include_dir, self.source_dir):
            if (folder / name).is_file():
                return (folder / name).resolve()
        raise UnsupportedError(f"{includer.name} includes {name}, which is not part of the kernel library.")

    def _existing(self, path: Path) -> Path:
        if not path.is_file():
            raise UnsupportedError(f"The kernel library has no file {path.name}.")
        return path.resolve()

    def _project_path(self, path: Path) -> str:
        for folder, prefix in ((self.include_dir, "include"), (self.source_dir, "src")):
            if path.is_relative_to(folder.resolve()):
                return f"{prefix}/{path.relative_to(folder.resolve()).as_posix()}"
        raise UnsupportedError(f"{path.name} is outside the kernel library.")


def compiled_files(paths: Iterable[str]) -> Sequence[str]:
    """Those that a compiler is called for."""
    return [path for path in paths if path.endswith((".c", ".S"))]
