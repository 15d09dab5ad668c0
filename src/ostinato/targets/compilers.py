"""Finding a compiler for boards and for the host.

zig (clang with its own linker) comes with `pip install`, so it is the default for both; GCC is used when asked for.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ostinato.errors import ToolchainError

ZIG = "zig"
ARM_GCC = "arm-none-eabi-gcc"
HOST_GCC = "gcc"

_INSTALL = {
    ZIG: "install it with `pip install ziglang`",
    ARM_GCC: "install the GNU Arm Embedded Toolchain (package gcc-arm-none-eabi), or use the toolchain 'zig'",
    HOST_GCC: "install GCC, or use the toolchain 'zig'",
}


@dataclass(frozen=True)
class Toolchain:
    """A compiler driver: its kind (`zig`, `arm-none-eabi-gcc` or `gcc`), how to call it, and its version."""

    name: str
    command: tuple[str, ...]
    version: str

    @property
    def is_zig(self) -> bool:
        """Whether flags are clang's (zig) rather than GCC's."""
        return self.name == ZIG


def find_toolchain(name: str = ZIG) -> Toolchain:
    """Find a compiler for boards.

    Args:
        name: `zig`, `arm-none-eabi-gcc`, or `auto` (zig if present, else arm-none-eabi-gcc).

    Raises:
        ToolchainError: the name is unknown, or that compiler is not installed.
    """
    return _find(name, (ZIG, ARM_GCC))


def find_host_compiler(name: str = ZIG) -> Toolchain:
    """Find a compiler for this computer: `zig`, `gcc`, or `auto` (zig if present, else gcc).

    Raises:
        ToolchainError: the name is unknown, or that compiler is not installed.
    """
    return _find(name, (ZIG, HOST_GCC))


def _find(name: str, candidates: tuple[str, ...]) -> Toolchain:
    if name not in (*candidates, "auto"):
        raise ToolchainError(f"unknown toolchain {name!r}; supported: {', '.join(candidates)}, auto")
    for candidate in candidates if name == "auto" else (name,):
        executable = _zig_executable() if candidate == ZIG else shutil.which(candidate)
        if executable is not None:
            return Toolchain(candidate, _command(candidate, executable), _version(candidate, executable))
    if name == "auto":
        raise ToolchainError(f"no compiler found (looked for {' and '.join(candidates)}); {_INSTALL[ZIG]}")
    raise ToolchainError(f"the compiler {name} was not found; {_INSTALL[name]}")


def _zig_executable() -> str | None:
    """The binary inside the `ziglang` package (starting it directly saves a Python start per file), or one on PATH."""
    try:
        spec = importlib.util.find_spec("ziglang")
    except (ImportError, ValueError):
        spec = None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("zig", "zig.exe"):
            if (binary := Path(folder) / name).is_file():
                return str(binary)
    return shutil.which("zig")


def _command(name: str, executable: str) -> tuple[str, ...]:
    return (executable, "cc") if name == ZIG else (executable,)


@functools.cache
def _version(name: str, executable: str) -> str:
    arguments = [executable, "version"] if name == ZIG else [executable, "--version"]
    try:
        result = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"the compiler {executable} does not start ({error}); {_INSTALL[name]}") from error
    return f"{name} {result.stdout.splitlines()[0].strip()}"
