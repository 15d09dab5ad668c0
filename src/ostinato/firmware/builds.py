"""Compiling a generated project: for its board, and for this computer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ostinato.firmware.codegen.project import INCLUDE_DIRS
from ostinato.targets.boards import Board
from ostinato.targets.toolchain import Memory, compile_firmware, compile_host_library

_SUPPORT = Path(__file__).parent / "support"


@dataclass(frozen=True)
class Builder:
    """A project folder, and where its builds go."""

    project: Path
    out: Path
    board: Board
    toolchain: str
    hot: Sequence[str] = ()
    """Functions that run from RAM; not in plain C, which has no need to be fast."""
    external: bool = False
    """Whether constants are in external flash."""

    def firmware(self, *, plain_c: bool = False, trace: bool = False, unlimited: bool = False) -> Path:
        """The ELF file of the project with its example `main.c`.

        Args:
            plain_c: the kernels' plain C instead of DSP instructions.
            trace: with `traced_run`, which keeps each layer's output.
            unlimited: link for more memory than the board has, to measure what does not fit.

        Raises:
            ToolchainError: no compiler, or it refused the project.
        """
        name = "-".join(["firmware", "plain" if plain_c else "dsp", *(["trace"] if trace else [])])
        return compile_firmware(
            [*self._sources((".c", ".S")), self.project / "main.c", *([_SUPPORT / "trace.c"] if trace else [])],
            self.out / f"{name}.elf",
            core=self.board.core,
            include_dirs=self._include_dirs(),
            defines={"OST_PLAIN_C": 1} if plain_c else {},
            toolchain=self.toolchain,
            memory=Memory.unlimited(external=self.external)
            if trace or unlimited
            else Memory.of(self.board, external=self.external),
            hot=() if plain_c else self.hot,
        )

    def host_library(self, *, sanitize: bool = False) -> Path:
        """A shared library with `run_batch` and `traced_run`, by zig: the board's compiler may not build for here.

        Raises:
            ToolchainError: no compiler, or it refused the project.
        """
        return compile_host_library(
            [*self._sources((".c",)), _SUPPORT / "trace.c", _SUPPORT / "batch.c"],
            self.out / "network.so",
            include_dirs=self._include_dirs(),
            defines={"TRACE_THREAD_LOCAL": "_Thread_local"},
            sanitize=sanitize,
        )

    def _sources(self, suffixes: tuple[str, ...]) -> list[Path]:
        kernels = sorted(p for p in (self.project / "kernels" / "src").rglob("*") if p.suffix in suffixes)
        return [self.project / "model.c", self.project / "weights.c", *kernels]

    def _include_dirs(self) -> list[Path]:
        return [self.project / name for name in INCLUDE_DIRS]
