"""The project's build files and example programs: Makefile, CMake, a board's bring-up, a program for the desktop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

from ostinato.targets.boards import Board
from ostinato.targets.toolchain import SUPPORT, Memory, linker_script

TEMPLATES = Path(__file__).parent.parent / "templates"

_START_FILES = ("start.c", "memory.c", "aeabi.S")


def build_files(
    kernel_sources: Sequence[str], board: Board, hot: Sequence[str] = (), *, external: bool = False
) -> dict[str, str]:
    """Project path → text.

    Args:
        kernel_sources: paths within the project.
        board: decides compiler flags; one that is known gets its bring-up code in `board/`.
        hot: functions that the board's linker script places in RAM.
        external: constants are in external flash.
    """
    texts = {name: (TEMPLATES / name).read_text() for name in ("main.c", "host.c")}
    texts["freestanding/string.h"] = (SUPPORT / "include" / "string.h").read_text()
    texts |= {
        "Makefile": _makefile(kernel_sources, board),
        "CMakeLists.txt": _cmake(kernel_sources, board),
        "cmake/gcc.cmake": _filled("cmake/gcc.cmake", board),
        "cmake/zig.cmake": _filled("cmake/zig.cmake", board),
    }
    return texts | (_board_files(board, hot, external) if has_bring_up(board) else {})


def has_bring_up(board: Board) -> bool:
    """Whether there is start-up code, clock and serial port for this board."""
    return (TEMPLATES / "board" / f"{board.name}.c").is_file()


def _board_files(board: Board, hot: Sequence[str], external: bool) -> dict[str, str]:
    """Everything between reset and `main` of `benchmark.c`."""
    folder = TEMPLATES / "board"
    headers = ("board.h", "stm32.h", *(["stm32f7.h"] if board.core == "cortex-m7" else []))
    texts = {f"board/{name}": (folder / name).read_text() for name in (*headers, "benchmark.c")}
    texts["board/board.c"] = (folder / f"{board.name}.c").read_text()
    start_files = [*_START_FILES, *(["map_sram1.c"] if hot and board.core == "cortex-m4" else [])]
    texts |= {f"board/{name}": (SUPPORT / name).read_text() for name in start_files}
    mapping = folder / f"{board.name}_external.c"
    if external and mapping.is_file():
        texts["board/quadspi.h"] = (folder / "quadspi.h").read_text()
        texts["board/map_external.c"] = mapping.read_text()
    memory = Memory.of(board, external=external)
    texts["board/board.ld"] = linker_script(memory, keep_unused=False, hot=hot, core=board.core)
    return texts


def _makefile(kernel_sources: Sequence[str], board: Board) -> str:
    known = has_bring_up(board)
    return _filled(
        "Makefile",
        board,
        sources=" \\\n".join(f"    {path}" for path in kernel_sources) + "\n",
        board_help=f"#   make board             build/board.elf: times every layer on {board.name}\n" if known else "",
        board_phony=" board" if known else "",
        board_rules=(TEMPLATES / "Makefile.board").read_text() if known else "",
    )


def _cmake(kernel_sources: Sequence[str], board: Board) -> str:
    def lines(suffix: str, indent: str) -> str:
        return "\n".join(f"{indent}{path}" for path in kernel_sources if path.endswith(suffix))

    return _filled(
        "CMakeLists.txt",
        board,
        c_sources=lines(".c", "  "),
        asm_sources=lines(".S", "    "),
        board_program=(TEMPLATES / "CMakeLists.board").read_text().rstrip() if has_bring_up(board) else "",
    )


def _filled(template: str, board: Board, **more: str) -> str:
    core = board.core_data
    return Template((TEMPLATES / template).read_text()).substitute(
        core=core.name, zig_cpu=core.zig_cpu, gcc_flags=" ".join(core.gcc_flags), **more
    )
