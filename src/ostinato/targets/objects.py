"""Calling the compiler: sources to cached objects, objects to a cached ELF file or shared library."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ostinato.errors import ToolchainError
from ostinato.targets.cache import BuildCache, content_key
from ostinato.targets.compilers import Toolchain

Defines = Mapping[str, str | int | None]

JOBS = 2
OBJECT_FOLDER = "ostinato-objects"  # in the cache; linker scripts tell our objects from libraries by it
_SOURCE_SUFFIXES = {".c", ".S"}
_HEADER_SUFFIXES = {".h", ".inc"}
_ERROR_LINE = re.compile(r"\b(?:error|undefined (?:symbol|reference)|multiple definition|duplicate symbol)\b")


def compile_objects(
    tools: Toolchain,
    sources: Sequence[Path],
    flags: Sequence[str],
    include_dirs: Sequence[Path],
    defines: Defines,
    cache: BuildCache,
    extra_key: str = "",
) -> list[Path]:
    """Compile every source to an object in the cache, a few at a time; what is there already is not compiled again.

    Raises:
        ToolchainError: a source is missing or of an unknown kind, or the compiler refused one.
    """
    if not sources:
        raise ToolchainError("there is nothing to compile: the list of sources is empty")
    paths = [Path(source) for source in sources]
    for path in paths:
        if path.suffix not in _SOURCE_SUFFIXES:
            raise ToolchainError(f"cannot compile {path.name}: only .c and .S files are supported")
        if not path.is_file():
            raise ToolchainError(f"the source file {path} does not exist")
    headers = _headers([*include_dirs, *dict.fromkeys(path.parent for path in paths)])
    macros = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in defines.items()]

    def build(path: Path) -> Path:
        parts = [tools.version, *flags, *macros, extra_key, path.suffix, path.read_bytes(), *headers]
        target = cache.path(OBJECT_FOLDER, content_key(parts), ".o")
        if not target.exists():
            includes = [argument for folder in include_dirs for argument in ("-I", str(folder))]
            _run([*tools.command, *flags, *macros, *includes, "-c", str(path)], target, path.name, cache)
        return target

    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        return list(pool.map(build, paths))


def link(
    tools: Toolchain,
    objects: Sequence[Path],
    flags: Sequence[str],
    libraries: Sequence[str],
    extra_key: str,
    suffix: str,
    cache: BuildCache,
) -> Path:
    """Link objects (named by their content) into a cached file.

    Raises:
        ToolchainError: the linker refused (an undefined symbol, a section that does not fit).
    """
    names = [path.name for path in objects]
    # Flags hold the path of the linker script inside the cache; its text is the caller's extra key.
    keyed = [flag for flag in flags if not flag.startswith(str(cache.directory))]
    target = cache.path("bin", content_key([tools.version, *keyed, *libraries, extra_key, *names]), suffix)
    if not target.exists():
        _run([*tools.command, *flags, *map(str, objects), *libraries], target, "linking", cache)
    return target


def _headers(folders: Sequence[Path]) -> list[str | bytes]:
    """Names and contents of every header that a source could include from these folders."""
    parts: list[str | bytes] = []
    for number, folder in enumerate(folders):
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in _HEADER_SUFFIXES and path.is_file():
                parts += [f"{number}:{path.relative_to(folder)}", path.read_bytes()]
    return parts


def _run(command: Sequence[str], target: Path, what: str, cache: BuildCache) -> None:
    """Run the compiler into a temporary file beside `target` and move it there when it succeeded."""
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        result = subprocess.run(
            [*command, "-o", name],
            capture_output=True,
            text=True,
            errors="replace",
            env=cache.environment(),
            check=False,
        )
        if result.returncode != 0:
            raise ToolchainError(f"{what}: {_first_error(result.stderr + result.stdout, result.returncode)}")
        temporary.replace(target)
    except OSError as error:
        raise ToolchainError(f"{what}: the compiler {command[0]} could not be run ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _first_error(output: str, status: int) -> str:
    """GCC's driver only says that the linker failed; the linker itself, which says why, calls it no error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if _ERROR_LINE.search(line) and not line.startswith("collect2:"):
            return line
    lines = [line for line in lines if "warning:" not in line] or lines
    return lines[0] if lines else f"the compiler ended with status {status} and said nothing"
