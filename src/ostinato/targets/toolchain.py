"""Compiling C and assembly: firmware for a core (an ELF file), or a shared library for the host.

Objects and results are kept in a build cache under the hash of their sources, every header in reach, the flags and the
compiler's version, so that a repeated build costs a few milliseconds. The recipes are those of DESIGN §6.
"""

from __future__ import annotations

import platform
import string
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ostinato.errors import ToolchainError
from ostinato.files import write_atomically
from ostinato.targets.boards import KIB, MIB, Board
from ostinato.targets.cache import BuildCache, content_key, copy_atomically
from ostinato.targets.compilers import Toolchain, find_host_compiler, find_toolchain
from ostinato.targets.cores import Core, get_core
from ostinato.targets.elf import Elf
from ostinato.targets.external_flash import SECTION, WINDOW_BYTES, WINDOW_ORIGIN
from ostinato.targets.objects import OBJECT_FOLDER, Defines, compile_objects, link

__all__ = [
    "Memory",
    "Toolchain",
    "compile_firmware",
    "compile_host_library",
    "find_host_compiler",
    "find_toolchain",
    "linker_script",
]

SUPPORT = Path(__file__).parent / "support"
_START_FILES = ("start.c", "memory.c", "aeabi.S", "default_main.c")

_WARNINGS = ("-Wall", "-Wextra", "-Werror")
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
_LEVELS = ("-O0", "-O1", "-O2", "-O3", "-Os")


@dataclass(frozen=True)
class Memory:
    """Where firmware lives: STM32's addresses, and how much there is.

    The default is larger than any microcontroller, for harnesses that keep their test data beside the kernel.
    `hot_bytes` is the RAM for hot code at address 0: the Cortex-M7's ITCM, or that much of an STM32F4's SRAM1.
    `external_bytes` is flash behind QUADSPI, for constants in the section `.external`.
    """

    flash_bytes: int = 32 * MIB
    sram_bytes: int = 32 * MIB
    flash_origin: int = 0x0800_0000
    sram_origin: int = 0x2000_0000
    hot_bytes: int = 16 * KIB
    external_bytes: int = 0

    @classmethod
    def of(cls, board: Board, *, external: bool = False) -> Memory:
        """The memory of a board, with its external flash if that is used: a network that does not fit fails to link."""
        outside = board.external_flash.size_bytes if external and board.external_flash else 0
        return cls(flash_bytes=board.flash_bytes, sram_bytes=board.sram_bytes, external_bytes=outside)

    @classmethod
    def unlimited(cls, *, external: bool = False) -> Memory:
        """The default, with all external flash that could be mapped if that is used."""
        return cls(external_bytes=WINDOW_BYTES if external else 0)


_HOT_ORIGIN = 0x40
"""Of hot code: not 0, so that no function's address is a null pointer."""


def linker_script(memory: Memory, *, keep_unused: bool = True, hot: Sequence[str] = (), core: str = "cortex-m4") -> str:
    """The text of a GNU linker script for that memory.

    With `keep_unused`, whatever the sources define is kept; only the compiler's own library is always cut to its use.
    The functions in `hot` are linked for the RAM at address 0, with their image in flash; on a Cortex-M4 that RAM is
    SRAM seen at a second address, and as much of it is left free of data.
    """
    kept = {
        f"keep_{name}": f"KEEP(*{OBJECT_FOLDER}*(.{name} .{name}.*))" if keep_unused else ""
        for name in ("text", "rodata", "data", "bss")
    }
    places, reserve = "__hot_start = 0; __hot_end = 0; __hot_load = 0;", ""
    if hot:
        # Before .text, whose pattern would take them too.
        sections = " ".join(f"KEEP(*(.text.{name}))" for name in hot)
        places = f".hot : {{ __hot_start = .; {sections} . = ALIGN(16); __hot_end = .; }} > HOT AT > FLASH"
        places += "\n  __hot_load = LOADADDR(.hot);"
        if core == "cortex-m4":
            reserve = f".hot_reserve (NOLOAD) : {{ . = . + {_HOT_ORIGIN} + SIZEOF(.hot); }} > SRAM"
    region, external = "", ""
    if memory.external_bytes:
        region = f"EXTERNAL (r) : ORIGIN = {WINDOW_ORIGIN:#x}, LENGTH = {memory.external_bytes}"
        arrays = f"*({SECTION} {SECTION}.*)"
        external = f"{SECTION} : {{ {f'KEEP({arrays})' if keep_unused else arrays} }} > EXTERNAL\n"
        external += "  __external_start = ORIGIN(EXTERNAL);\n  __external_end = ORIGIN(EXTERNAL) + LENGTH(EXTERNAL);"
    return string.Template((SUPPORT / "firmware.ld").read_text()).substitute(
        kept,
        external_region=region,
        external_section=external,
        flash_origin=hex(memory.flash_origin),
        flash_bytes=memory.flash_bytes,
        sram_origin=hex(memory.sram_origin),
        sram_bytes=memory.sram_bytes,
        hot_origin=hex(_HOT_ORIGIN),
        hot_bytes=memory.hot_bytes - _HOT_ORIGIN,
        hot_section=places,
        hot_reserve=reserve,
    )


def compile_firmware(
    sources: Sequence[Path],
    out: Path,
    *,
    core: str | Core = "cortex-m4",
    include_dirs: Sequence[Path] = (),
    defines: Defines | None = None,
    optimise: str = "-O3",
    toolchain: str | Toolchain = "zig",
    memory: Memory | Board | None = None,
    keep_unused: bool = True,
    hot: Sequence[str] = (),
    cache_dir: Path | None = None,
) -> Path:
    """Compile C and assembly into an ELF file with our start-up code, linker script and memory helpers.

    By default all non-static functions and variables are kept, so that a harness can be called and filled by symbol.

    Args:
        sources: `.c` and `.S` files. A `main` is optional (for harnesses whose functions are called by name).
        out: the ELF file to write (atomically).
        core: `cortex-m4` or `cortex-m7`.
        include_dirs: searched in this order.
        defines: preprocessor names; `None` as a value defines the bare name.
        optimise: `-O0`, `-O1`, `-O2`, `-O3` or `-Os`.
        toolchain: a name for `find_toolchain`, or its result.
        memory: where to link: a `Memory`, a `Board`'s own, or by default one larger than any microcontroller.
        keep_unused: keep functions and variables that `main` does not reach. Switch it off for a product's size.
        hot: functions that start-up copies to RAM and that run there: ITCM on a Cortex-M7, SRAM1 on an STM32F4.
        cache_dir: another place for the build cache.

    Raises:
        ToolchainError: no compiler; a missing source; a compile or link error (with the compiler's first error line); a
            function in `hot` that does not exist.
    """
    core = get_core(core)
    tools = toolchain if isinstance(toolchain, Toolchain) else find_toolchain(toolchain)
    place = Memory.of(memory) if isinstance(memory, Board) else memory or Memory()
    cache = BuildCache(cache_dir)
    target = _firmware_target(tools, core)
    flags = (*target, "-std=gnu11", _level(optimise), *_WARNINGS, *_firmware_flags(tools))
    objects = compile_objects(tools, sources, flags, (*include_dirs, SUPPORT / "include"), defines or {}, cache)
    # Start-up and helpers are always -O2, so that the caller's flags cannot spoil or change them.
    start_flags = (*target, "-std=gnu11", "-O2", *_WARNINGS, "-fno-builtin", *_firmware_flags(tools))
    start_files = [*_START_FILES, *(["map_sram1.c"] if hot and core.name == "cortex-m4" else [])]
    objects += compile_objects(tools, [SUPPORT / name for name in start_files], start_flags, (), {}, cache)

    script_text = linker_script(place, keep_unused=keep_unused, hot=hot, core=core.name)
    script = cache.path("ld", content_key([script_text]), ".ld")
    write_atomically(script, script_text.encode())  # another process may be linking with it
    flags = (*target, "-static", "-Wl,-e,Reset_Handler", "-Wl,--gc-sections", "-T", str(script))
    elf = _link_firmware(tools, objects, flags, script_text, cache)
    _check_hot(elf, hot)
    copy_atomically(elf, Path(out))
    return Path(out)


def compile_host_library(
    sources: Sequence[Path],
    out: Path,
    *,
    include_dirs: Sequence[Path] = (),
    defines: Defines | None = None,
    optimise: str = "-O3",
    sanitize: bool = False,
    toolchain: str | Toolchain = "zig",
    cache_dir: Path | None = None,
) -> Path:
    """Compile C into a shared library for this computer's own CPU, to be loaded with `ctypes`.

    Args:
        sources: `.c` files.
        out: the library to write (atomically). Loading it twice in one process needs two names.
        include_dirs: searched in this order.
        defines: preprocessor names; `None` as a value defines the bare name.
        optimise: `-O0`, `-O1`, `-O2`, `-O3` or `-Os`.
        sanitize: trap on undefined behaviour (the process dies of SIGILL: run it in a child process).
        toolchain: a name for `find_host_compiler`, or its result.
        cache_dir: another place for the build cache.

    Raises:
        ToolchainError: no compiler; a missing source; a compile or link error (with the compiler's first error line).
    """
    tools = toolchain if isinstance(toolchain, Toolchain) else find_host_compiler(toolchain)
    cache = BuildCache(cache_dir)
    native = "-mcpu=native" if tools.is_zig else "-march=native"
    flags = ("-std=gnu11", _level(optimise), native, "-fPIC", *_WARNINGS, *_sanitizer(tools, sanitize))
    # "native" means another thing on another computer that shares this cache.
    objects = compile_objects(tools, sources, flags, tuple(include_dirs), defines or {}, cache, extra_key=_this_cpu())
    # On Linux the C library is found when the library is loaded, and zig need not build its own support code for it.
    shared = ("-shared", "-nostdlib") if tools.is_zig and sys.platform == "linux" else ("-shared",)
    library = link(tools, objects, shared, (), _this_cpu(), ".so", cache)
    copy_atomically(library, Path(out))
    return Path(out)


def _check_hot(elf: Path, hot: Sequence[str]) -> None:
    functions = {symbol.name: symbol.section for symbol in Elf(elf).functions} if hot else {}
    missing = [name for name in hot if functions.get(name) != ".hot"]
    if missing:
        raise ToolchainError(
            f"{', '.join(missing)} cannot be placed in RAM: the firmware has no function of that name in a section of "
            f"its own (.text.NAME)"
        )


def _link_firmware(
    tools: Toolchain, objects: Sequence[Path], flags: Sequence[str], script_text: str, cache: BuildCache
) -> Path:
    if not tools.is_zig:
        return link(tools, objects, (*flags, "-nostartfiles", "-nodefaultlibs"), ("-lgcc",), script_text, ".elf", cache)
    try:
        return link(tools, objects, (*flags, "-nostdlib"), (), script_text, ".elf", cache)
    except ToolchainError:
        # Something needs the compiler's own library (64-bit division, double precision). zig compiles it on first use,
        # seconds that most firmware is spared.
        return link(tools, objects, (*flags, "-nostartfiles"), (), script_text, ".elf", cache)


def _firmware_target(tools: Toolchain, core: Core) -> tuple[str, ...]:
    if tools.is_zig:
        return ("-target", "thumb-freestanding-eabihf", f"-mcpu={core.zig_cpu}")
    return core.gcc_flags


def _firmware_flags(tools: Toolchain) -> tuple[str, ...]:
    common = (
        "-fomit-frame-pointer",
        "-fno-unwind-tables",
        "-fno-asynchronous-unwind-tables",
        "-fno-common",
        *_SECTIONS,
    )
    if tools.is_zig:
        return (*common, "-fno-sanitize=undefined")
    # Without -ffreestanding: GCC would turn a small memcpy into a call, five times slower (DESIGN §6).
    return (*common, "-fno-tree-loop-distribute-patterns")


def _sanitizer(tools: Toolchain, wanted: bool) -> tuple[str, ...]:
    if not wanted:
        return ("-fno-sanitize=undefined",)  # zig's own default is to check in C
    trap = "-fsanitize-trap=undefined" if tools.is_zig else "-fsanitize-undefined-trap-on-error"
    return ("-fsanitize=undefined", trap)


def _level(optimise: str) -> str:
    if optimise not in _LEVELS:
        raise ToolchainError(f"unknown optimisation level {optimise!r}; supported: {', '.join(_LEVELS)}")
    return optimise


def _this_cpu() -> str:
    info = Path("/proc/cpuinfo")
    features = ""
    if info.is_file():
        lines = info.read_text(errors="replace").splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.system()} {platform.machine()} {platform.processor()} {features}"
