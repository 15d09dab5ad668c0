"""Compiling for boards and host: results, cache, and what a user is told when it fails."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ostinato.errors import ToolchainError
from ostinato.targets.boards import get_board
from ostinato.targets.elf import Elf
from ostinato.targets.toolchain import (
    Memory,
    compile_firmware,
    compile_host_library,
    find_host_compiler,
    find_toolchain,
)


def source(folder: Path, text: str, name: str = "unit.c") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_zig_is_found_and_says_its_version() -> None:
    found = find_toolchain()
    assert found.name == "zig"
    assert found.version.startswith("zig 0.")
    assert find_toolchain("auto") == found


def test_a_host_library_computes(tmp_path: Path) -> None:
    unit = source(tmp_path, "int twice(int x) { return FACTOR * x; }")
    library = compile_host_library([unit], tmp_path / "twice.so", defines={"FACTOR": 2})
    assert ctypes.CDLL(str(library)).twice(21) == 42


def test_gcc_builds_the_same_host_library(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    unit = source(tmp_path, "int twice(int x) { return 2 * x; }")
    library = compile_host_library([unit], tmp_path / "gcc.so", toolchain=find_host_compiler("gcc"))
    assert ctypes.CDLL(str(library)).twice(-4) == -8


@pytest.mark.parametrize("sanitize", [False, True])
def test_sanitize_traps_undefined_behaviour(tmp_path: Path, sanitize: bool) -> None:
    unit = source(tmp_path, "int shift(int x, int n) { return x << n; }")
    library = compile_host_library([unit], tmp_path / f"shift{sanitize}.so", sanitize=sanitize)
    call = f"import ctypes; ctypes.CDLL({str(library)!r}).shift(1, 40)"
    result = subprocess.run([sys.executable, "-c", call], capture_output=True, check=False)
    assert (result.returncode != 0) == sanitize


def test_a_second_build_calls_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = source(tmp_path, "int answer(void) { return 42; }")
    first = compile_firmware([unit], tmp_path / "first.elf").read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the compiler was called")

    monkeypatch.setattr("ostinato.targets.objects.subprocess.run", refuse)
    assert compile_firmware([unit], tmp_path / "second.elf").read_bytes() == first


def test_a_changed_header_is_noticed(tmp_path: Path) -> None:
    include = tmp_path / "include"
    include.mkdir()
    unit = source(tmp_path, '#include "value.h"\nint value(void) { return VALUE; }')
    for value in (1, 2):
        source(include, f"#define VALUE {value}", "value.h")
        library = compile_host_library([unit], tmp_path / f"value{value}.so", include_dirs=[include])
        assert ctypes.CDLL(str(library)).value() == value


def test_the_cache_may_be_deleted(tmp_path: Path) -> None:
    unit = source(tmp_path, "int answer(void) { return 42; }")
    cache = tmp_path / "cache"
    host = find_host_compiler("gcc") if shutil.which("gcc") else find_host_compiler()
    for name in ("before.so", "after.so"):
        compile_host_library([unit], tmp_path / name, cache_dir=cache, toolchain=host)
        shutil.rmtree(cache)
    assert ctypes.CDLL(str(tmp_path / "after.so")).answer() == 42


def test_bare_defines_and_both_cores(tmp_path: Path) -> None:
    unit = source(tmp_path, "#ifndef FLAG\n#error no flag\n#endif\nint answer(void) { return 42; }")
    for core in ("cortex-m4", "cortex-m7"):
        assert Elf(compile_firmware([unit], tmp_path / f"{core}.elf", core=core, defines={"FLAG": None})).symbols[
            "answer"
        ]


def test_an_own_main_replaces_the_default_one(tmp_path: Path) -> None:
    unit = source(tmp_path, "int main(void) { return 7; }")
    elf = Elf(compile_firmware([unit], tmp_path / "main.elf"))
    assert elf.symbols["main"].is_function


def test_long_division_finds_its_helper(tmp_path: Path) -> None:
    unit = source(tmp_path, "unsigned long long q(unsigned long long a, unsigned long long b) { return a / b; }")
    elf = Elf(compile_firmware([unit], tmp_path / "q.elf"))
    assert "q" in elf.symbols
    assert elf.size.code_bytes < 8192  # of the compiler's library only what is used


def test_unused_functions_are_kept_for_harnesses_only(tmp_path: Path) -> None:
    unit = source(tmp_path, "int unused(void) { return 3; }\nint table[100] = {1};\nint main(void) { return 7; }")
    assert {"unused", "table"} <= set(Elf(compile_firmware([unit], tmp_path / "all.elf")).symbols)
    lean = Elf(compile_firmware([unit], tmp_path / "lean.elf", keep_unused=False))
    assert not {"unused", "table"} & set(lean.symbols)
    assert "main" in lean.symbols


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int f(void) { return missing; }", r"unit\.c.*missing"),
        ("int f(int unused) { return 0; }", r"unit\.c.*unused"),  # a warning is an error
        ("int g(void); int f(void) { return g(); }", r"linking: .*\bg\b"),
    ],
)
def test_a_compilers_first_error_is_quoted(tmp_path: Path, text: str, said: str) -> None:
    out = tmp_path / "broken.elf"
    with pytest.raises(ToolchainError, match=said):
        compile_firmware([source(tmp_path, text)], out)
    assert not out.exists()
    assert list(tmp_path.glob(".broken*")) == []


def test_firmware_larger_than_the_board_does_not_link(tmp_path: Path) -> None:
    unit = source(tmp_path, "char arena[400 * 1024]; int main(void) { return arena[5]; }")
    with pytest.raises(ToolchainError, match="SRAM"):
        compile_firmware([unit], tmp_path / "large.elf", memory=get_board("stm32f469i"))
    assert compile_firmware([unit], tmp_path / "large.elf", memory=Memory(sram_bytes=1 << 20)).exists()


def test_missing_and_unknown_sources(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"nowhere\.c does not exist"):
        compile_firmware([tmp_path / "nowhere.c"], tmp_path / "x.elf")
    with pytest.raises(ToolchainError, match=r"notes\.txt: only \.c and \.S"):
        compile_firmware([source(tmp_path, "", "notes.txt")], tmp_path / "x.elf")
    with pytest.raises(ToolchainError, match="list of sources is empty"):
        compile_firmware([], tmp_path / "x.elf")


def test_an_unknown_optimisation_level(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"'-Ofast'.*-O3"):
        compile_firmware([source(tmp_path, "int x;")], tmp_path / "x.elf", optimise="-Ofast")


def test_no_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostinato.targets.compilers.importlib.util.find_spec", lambda *_: None)
    monkeypatch.setattr("ostinato.targets.compilers.shutil.which", lambda *_: None)
    for find, name, advice in (
        (find_toolchain, "zig", "pip install ziglang"),
        (find_toolchain, "auto", "pip install ziglang"),
        (find_toolchain, "arm-none-eabi-gcc", "gcc-arm-none-eabi"),
        (find_host_compiler, "gcc", "install GCC"),
    ):
        with pytest.raises(ToolchainError, match=advice):
            find(name)


def test_a_compiler_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = source(tmp_path, "not a program", "gcc")
    broken.chmod(0o755)
    monkeypatch.setattr("ostinato.targets.compilers.shutil.which", lambda *_: str(broken))
    with pytest.raises(ToolchainError, match="does not start"):
        find_host_compiler("gcc")


def test_an_unknown_toolchain_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ToolchainError, match=r"'keil'.*zig, arm-none-eabi-gcc, auto"):
        find_toolchain("keil")


def test_a_cache_that_cannot_be_created(tmp_path: Path) -> None:
    blocked = source(tmp_path, "", "file")
    with pytest.raises(ToolchainError, match="OSTINATO_CACHE_DIR"):
        compile_host_library([source(tmp_path, "int x;")], tmp_path / "x.so", cache_dir=blocked / "cache")
