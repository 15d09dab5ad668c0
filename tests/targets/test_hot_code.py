"""Functions that run from RAM: the same results and counts, less waiting for instructions, sizes that are told."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from ostinato.errors import ToolchainError
from ostinato.firmware.hot_code import as_many_as_fit
from ostinato.targets.elf import Elf
from ostinato.targets.hot import hot_functions
from ostinato.targets.memory import stm32f4_flash, stm32f7_axi
from ostinato.targets.profile import Profile
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import Memory, compile_firmware

SOURCE = Path(__file__).parent / "firmware_for_tests.c"
SMALL = Memory(flash_bytes=1 << 20, sram_bytes=1 << 16)
HOT = ("collatz", "fibonacci", "sort")


def build(folder: Path, hot: tuple[str, ...], core: str = "cortex-m4", toolchain: str = "zig") -> Path:
    out = folder / f"{len(hot)}-{core}-{toolchain}.elf"
    return compile_firmware([SOURCE], out, core=core, memory=SMALL, hot=hot, toolchain=toolchain)


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("toolchain", ["zig", "arm-none-eabi-gcc"])
def test_hot_code_computes_the_same_elsewhere(tmp_path: Path, core: str, toolchain: str) -> None:
    if toolchain != "zig" and shutil.which(toolchain) is None:
        pytest.skip(f"{toolchain} is not installed")
    cold = Simulator(build(tmp_path, (), core, toolchain), core=core)
    hot = Simulator(build(tmp_path, HOT, core, toolchain), core=core)
    assert all(0 < hot.symbols[name].address < 0x4000 for name in HOT)
    assert hot.symbols["choose"].address > 0x0800_0000
    for entry, args in (("everything", [25]), ("layers", [6])):
        a, b = cold.run(entry, args, marker="marker"), hot.run(entry, args, marker="marker")
        assert (a.result, a.stack_bytes, len(a.segments)) == (b.result, b.stack_bytes, len(b.segments))
        for name in HOT:  # each other function may reach them through a veneer
            if name in a.by_function:
                assert b.by_function[name].instructions == a.by_function[name].instructions
    # The code is in flash either way; the Cortex-M4 also gives up SRAM for it.
    taken = hot.elf.size.sram_bytes - cold.elf.size.sram_bytes
    assert (taken > sum(hot.symbols[name].size for name in HOT)) == (core == "cortex-m4")
    assert hot.elf.size.flash_bytes >= cold.elf.size.flash_bytes


def waits(profile: Profile, name: str) -> int:
    return profile.by_function[name].stalls.fetch


def test_hot_code_is_not_waited_for(tmp_path: Path) -> None:
    bare = stm32f4_flash(5, accelerator=False)
    cold = Simulator(build(tmp_path, ()), memory=bare).run("everything", [25])
    hot = Simulator(build(tmp_path, HOT), memory=bare).run("everything", [25])
    assert all(waits(cold, name) > 0 == waits(hot, name) for name in HOT)
    assert waits(hot, "choose") > 0
    # Code and data now come from one RAM: each access of `sort` waits a cycle.
    assert hot.by_function["sort"].stalls.data > cold.by_function["sort"].stalls.data
    assert hot.total.cycles < cold.total.cycles


def test_the_m7_runs_hot_code_from_itcm(tmp_path: Path) -> None:
    elf = build(tmp_path, HOT, "cortex-m7")
    profile = Simulator(elf, core="cortex-m7", memory=stm32f7_axi(7)).run("fibonacci", [9])
    assert profile.by_function["fibonacci"].stalls.total == 0


def test_the_functions_that_wait_most_per_byte_are_chosen(tmp_path: Path) -> None:
    elf = build(tmp_path, ())
    bare = stm32f4_flash(5, accelerator=False)
    profile = Simulator(elf, memory=bare).run("everything", [25])
    chosen = hot_functions(Elf(elf), profile, 1 << 14)
    sizes = {function.name: function.size for function in Elf(elf).functions}
    rates = [waits(profile, name) / sizes[name] for name in chosen]
    assert {"sort", "fibonacci"} <= set(chosen)
    assert rates == sorted(rates, reverse=True)
    few = hot_functions(Elf(elf), profile, sizes[chosen[0]] + 8)
    assert few[0] == chosen[0]
    assert sum(sizes[name] for name in few) <= sizes[chosen[0]]
    assert hot_functions(Elf(elf), Simulator(elf).run("everything", [25]), 1 << 14) == ()


def test_unknown_hot_functions_and_too_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="nothing cannot be placed in RAM"):
        build(tmp_path, ("sort", "nothing"))
    with pytest.raises(ToolchainError, match="HOT"):
        compile_firmware([SOURCE], tmp_path / "x.elf", memory=Memory(hot_bytes=128), hot=HOT)


@pytest.mark.parametrize("toolchain", ["zig", "arm-none-eabi-gcc"])
def test_what_does_not_fit_stays_in_flash(tmp_path: Path, toolchain: str) -> None:
    """Veneers included, which nobody counts before the linker does; other errors are told."""
    if toolchain != "zig" and shutil.which(toolchain) is None:
        pytest.skip(f"{toolchain} is not installed")
    sizes = {function.name: function.size for function in Elf(build(tmp_path, (), toolchain=toolchain)).functions}
    memory = Memory(flash_bytes=1 << 20, sram_bytes=1 << 16, hot_bytes=0x40 + sum(sizes[name] for name in HOT) - 8)

    def within(names: Sequence[str]) -> Path:
        out = tmp_path / f"{len(names)}.elf"
        return compile_firmware([SOURCE], out, core="cortex-m4", memory=memory, hot=names, toolchain=toolchain)

    names, elf = as_many_as_fit(within, HOT)
    assert elf is not None
    assert 0 < len(names) < len(HOT)
    assert names == HOT[: len(names)]
    assert Simulator(elf).symbols[names[0]].address < 0x4000

    def fails(names: Sequence[str]) -> Path:
        raise ToolchainError("no compiler")

    with pytest.raises(ToolchainError, match="no compiler"):
        as_many_as_fit(fails, HOT)
