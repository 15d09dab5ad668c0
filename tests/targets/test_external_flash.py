"""External flash on QUADSPI: where it is linked, and waits that are known by hand from its clocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ostinato.errors import BoardError, SimulationError, ToolchainError
from ostinato.targets.boards import get_board
from ostinato.targets.elf import Elf
from ostinato.targets.external_flash import WINDOW_ORIGIN, ExternalFlash
from ostinato.targets.memory import MemorySystem, memory_of
from ostinato.targets.profile import MemoryStalls, Profile
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import Memory, compile_firmware

F4, F7 = get_board("stm32f469i"), get_board("stm32f769i")
CORES = {"cortex-m4": F4, "cortex-m7": F7}

# r0 points to 256 bytes of external flash, at a multiple of 32; r1 to as many of internal flash.
FUNCTIONS = {
    "word": "ldr r2, [r0]",
    "next_word": "ldr r2, [r0]; nop; ldr r2, [r0, #4]",
    "late_words": "ldr r2, [r0]; " + "nop; " * 200 + "ldr r2, [r0, #4]; " + "nop; " * 4 + "ldr r2, [r0, #8]",
    "far_word": "ldr r2, [r0]; nop; ldr r2, [r0, #64]",
    "same_word": "ldr r2, [r0]; nop; ldr r2, [r0]",
    "bytes": "ldrb r2, [r0, #3]; nop; ldrb r2, [r0, #4]",
    "next_line": "ldr r2, [r0]; nop; ldr r2, [r0, #4]; nop; ldr r2, [r0, #32]",
    "line_before": "ldr r2, [r0, #32]; nop; ldr r2, [r0]",
    "internal": "ldr r2, [r1]; ldr r2, [r1, #64]; nop; nop",
}


def compiled(folder: Path, core: str, memory: Memory) -> Path:
    text = ".syntax unified\n.thumb\n"
    for name, body in FUNCTIONS.items():
        text += f".section .text.{name}, \"ax\", %progbits\n.global {name}\n.type {name}, %function\n.thumb_func\n"
        text += f"{name}:\n" + body.replace("; ", "\n") + f"\nbx lr\n.size {name}, . - {name}\n"
    (folder / "cases.S").write_text(text)
    (folder / "data.c").write_text(
        '__attribute__((section(".external"), aligned(32))) const char outside[256] = {7, 8, 9};\n'
        "const char inside[256] __attribute__((aligned(32))) = {1};\n"
    )
    return compile_firmware([folder / "cases.S", folder / "data.c"], folder / "out.elf", core=core, memory=memory)


@pytest.fixture(scope="module", params=sorted(CORES))
def core(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def elf(core: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("external"), core, Memory.of(CORES[core], external=True))


def run(elf: Path, core: str, name: str, memory: MemorySystem | None) -> Profile:
    return Simulator(elf, core=core, memory=memory).run(name, ["outside", "inside"])


def ideal(core: str) -> MemorySystem:
    memory = memory_of(CORES[core], 0, external=True)
    assert memory is not None
    return memory


def test_constants_are_linked_where_the_flash_is_mapped(elf: Path) -> None:
    size = Elf(elf).size
    assert Elf(elf).symbol("outside").address == WINDOW_ORIGIN
    assert size.external_bytes == 256
    assert 256 <= size.constant_bytes < 512
    assert size.by_symbol["outside"] == (".external", 256)
    simulator = Simulator(elf)
    assert simulator.read("outside", np.uint8, 3).tolist() == [7, 8, 9]


BURST = {"cortex-m4": 2 * (2 + 8 + 6 + 10), "cortex-m7": 2 * (1 + 2 + 8 + 10)}
BYTE = 4  # two serial clocks of two core clocks each


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("word", BURST["cortex-m4"] + 4 * BYTE),
        # A nop and the load's own two cycles have passed meanwhile.
        ("next_word", BURST["cortex-m4"] + 8 * BYTE - 3),
        ("late_words", BURST["cortex-m4"] + 4 * BYTE),  # the FIFO has them
        ("far_word", 2 * (BURST["cortex-m4"] + 4 * BYTE)),
        ("same_word", 2 * (BURST["cortex-m4"] + 4 * BYTE)),
        ("bytes", BURST["cortex-m4"] + 2 * BYTE - 3),
        ("internal", 0),
    ],
)
def test_the_cortex_m4_waits_for_every_word(tmp_path: Path, name: str, waits: int) -> None:
    elf = compiled(tmp_path, "cortex-m4", Memory.of(F4, external=True))
    profile = run(elf, "cortex-m4", name, ideal("cortex-m4"))
    assert profile.total.stalls == MemoryStalls(external=waits)
    assert profile.total.cycles == run(elf, "cortex-m4", name, None).total.cycles + waits


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("word", 1, 0),
        ("next_word", 1, 0),
        ("next_line", 1, 1),
        ("line_before", 2, 0),
        ("far_word", 2, 0),
        ("internal", 0, 0),
    ],
)
def test_the_cortex_m7_reads_lines(tmp_path: Path, name: str, first: int, second: int) -> None:
    """`first` lines that start a burst, `second` that go on with one: those wait less by the cycles in between."""
    elf = compiled(tmp_path, "cortex-m7", Memory.of(F7, external=True))
    profile = run(elf, "cortex-m7", name, ideal("cortex-m7"))
    waits = first * BURST["cortex-m7"] + (first + second) * 32 * BYTE
    assert waits - 8 * second <= profile.total.stalls.total <= waits
    assert profile.memory is not None
    assert (profile.memory.external_bursts, profile.memory.external_bytes) == (first, 32 * (first + second))


def test_it_comes_on_top_of_the_boards_flash(elf: Path, core: str) -> None:
    board = CORES[core]
    plain, both = memory_of(board, 5), memory_of(board, 5, external=True)
    inside, outside = run(elf, core, "internal", plain), run(elf, core, "internal", both)
    assert inside.total == outside.total
    assert inside.total.stalls.data > 0
    stalls = run(elf, core, "word", both).total.stalls
    assert stalls.external == run(elf, core, "word", ideal(core)).total.stalls.external
    assert stalls.fetch > 0


def test_two_passes_cost_the_same(elf: Path, core: str) -> None:
    simulator = Simulator(elf, core=core, memory=ideal(core))
    assert simulator.run("next_line", ["outside", "inside"]) == simulator.run("next_line", ["outside", "inside"])


def test_double_rate_halves_the_data() -> None:
    flash = ExternalFlash("X", 1, divider=2, deselect_clocks=1, instruction_clocks=2, address_clocks=3, dummy_clocks=4)
    fast = replace(flash, double_rate=True)
    assert (flash.burst_cycles, flash.byte_cycles) == (20, 4)
    assert (fast.burst_cycles, fast.byte_cycles) == (20, 2)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="stm32f767zi has no external flash"):
        memory_of(get_board("stm32f767zi"), 0, external=True)
    with pytest.raises(BoardError, match="no memory model"):
        memory_of(replace(F4, memory=""), 0, external=True)
    small = replace(Memory.of(F4, external=True), external_bytes=128)
    with pytest.raises(ToolchainError, match="EXTERNAL"):
        compiled(tmp_path, "cortex-m4", small)


def test_it_cannot_be_written_or_read_beyond_its_end(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text(
        '__attribute__((section(".external"))) const char outside[16] = {7};\n'
        "void put(volatile char *p) { *p = 1; }\n"
        "int get(const volatile char *p) { return *p; }\n"
    )
    elf = compile_firmware([tmp_path / "bad.c"], tmp_path / "bad.elf", memory=Memory.of(F4, external=True))
    simulator = Simulator(elf)
    with pytest.raises(SimulationError, match=r"put.*which is flash"):
        simulator.run("put", ["outside"])
    with pytest.raises(SimulationError, match=r"get.*no memory"):
        Simulator(elf).run("get", [WINDOW_ORIGIN + (16 << 20)])
