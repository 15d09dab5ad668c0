"""Stall cycles of hand-written code on the STM32's memories, known by hand from docs/boards.md."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ostinato.errors import BoardError, SimulationError
from ostinato.targets import hook
from ostinato.targets.boards import Board, get_board
from ostinato.targets.memory import MemorySystem, memory_of, stm32f4_flash, stm32f7_axi
from ostinato.targets.profile import MemoryStalls
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_firmware

SOURCE = Path(__file__).parent / "firmware_for_tests.c"

# Every function starts a 32-byte line of flash; r0 points to 256 bytes of SRAM, r1 to 256 bytes of flash.
FUNCTIONS = {
    "short": "nop; " * 7,  # with bx: 16 bytes, one line of the F4
    "two_lines": "nop; " * 15,
    "wide": "mov.w r3, #1; " * 15 + "nop; nop; nop",  # 4 instructions a line: the prefetch cannot keep up
    "loop": "movs r2, #10; 9: nop; nop; nop; nop; subs r2, #1; bne 9b",
    "read_words": "ldr r2, [r1]; ldr r3, [r1, #4]; ldr r2, [r1, #8]; ldr r3, [r1, #12]",
    "read_lines": "ldr r2, [r1]; ldr r3, [r1, #16]; ldr r2, [r1]; ldr r3, [r1, #16]",
    "read_far": "".join(f"ldr r2, [r1, #{16 * k}]; " for k in range(9)) + "ldr r2, [r1]",
    "unaligned": "ldr r2, [r0, #1]; ldr r2, [r0, #2]; ldrh r2, [r0, #3]; ldr r2, [r0, #4]; "
    "str r2, [r0, #7]; strh r2, [r0, #6]",
    "sram": "ldr r2, [r0]; str r2, [r0, #4]; ldrb r3, [r0, #9]",
}


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    text = ".syntax unified\n.thumb\n"
    for name, body in FUNCTIONS.items():
        lines = body.replace("; ", "\n").replace("9:", f".L{name}:").replace("9b", f".L{name}")
        text += f".section .text.{name}, \"ax\", %progbits\n.balign 32\n.global {name}\n.type {name}, %function\n"
        text += f".thumb_func\n{name}:\n{lines}\nbx lr\n.size {name}, . - {name}\n.balign 32\n"
    (folder / "cases.S").write_text(text)
    (folder / "data.c").write_text(
        "char in_sram[256] __attribute__((aligned(32)));\n"
        "const char in_flash[256] __attribute__((aligned(32))) = {1};\n"
    )
    return compile_firmware([folder / "cases.S", folder / "data.c"], folder / "memory.elf")


def stalls(elf: Path, name: str, memory: MemorySystem) -> MemoryStalls:
    profile = Simulator(elf, memory=memory).run(name, ["in_sram", "in_flash"])
    assert set(profile.by_function) == {name}
    return profile.by_function[name].stalls


ART, BARE = stm32f4_flash(5), stm32f4_flash(5, accelerator=False)


@pytest.mark.parametrize(
    ("name", "memory", "expected"),
    [
        ("short", ART, MemoryStalls(fetch=5)),
        ("short", BARE, MemoryStalls(fetch=5)),
        # The second line is asked for at 6 and there at 12; the eight instructions of the first take from 5 to 13.
        ("two_lines", ART, MemoryStalls(fetch=5)),
        ("two_lines", BARE, MemoryStalls(fetch=10)),
        # Four instructions a line: lines take 6 cycles of which 4 are hidden, 5 before the last one.
        ("wide", ART, MemoryStalls(fetch=5 + 3 + 2 + 2 + 1)),
        ("wide", BARE, MemoryStalls(fetch=25)),
        ("loop", ART, MemoryStalls(fetch=5)),
        ("loop", BARE, MemoryStalls(fetch=5)),  # in the line that was read last
        # The flash reads code from 0 to 6 and prefetches until 12; the first load asks for its line at 7.
        ("read_words", ART, MemoryStalls(fetch=5, data=5 + 5)),
        ("read_words", BARE, MemoryStalls(fetch=5, data=5)),
        ("read_lines", BARE, MemoryStalls(fetch=5, data=20)),
        ("sram", ART, MemoryStalls(fetch=5)),
        ("unaligned", ART, MemoryStalls(fetch=5, unaligned=2 + 1 + 1 + 0 + 2 + 0)),
    ],
)
def test_the_stm32f4_by_hand(elf: Path, name: str, memory: MemorySystem, expected: MemoryStalls) -> None:
    assert stalls(elf, name, memory) == expected


def test_eight_lines_of_data_are_kept_and_the_ninth_takes_the_oldest(elf: Path) -> None:
    simulator = Simulator(elf, memory=ART)
    assert simulator.run("read_lines", ["in_sram", "in_flash"]).memory.data_misses == 2
    assert simulator.run("read_far", ["in_sram", "in_flash"]).memory.data_misses == 10


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("short", MemoryStalls(fetch=11)),  # 7 wait states and 4 cycles of buses
        ("two_lines", MemoryStalls(fetch=11)),
        ("wide", MemoryStalls(fetch=33)),  # 68 bytes: three lines, no prefetch
        ("read_words", MemoryStalls(fetch=11, data=11)),
        ("sram", MemoryStalls(fetch=11)),  # tightly coupled
        ("unaligned", MemoryStalls(fetch=11, unaligned=3 * 3)),  # stores go through a buffer
    ],
)
def test_the_stm32f7_by_hand(elf: Path, name: str, expected: MemoryStalls) -> None:
    found = stalls(elf, name, stm32f7_axi(7))
    assert found == dataclasses.replace(expected, data=found.data if name == "read_words" else expected.data)
    if name == "read_words":  # one line, behind the read of code that may still be under way
        assert expected.data <= found.data <= expected.data + 12


def test_ram_behind_the_bus_is_cached(elf: Path) -> None:
    simulator = Simulator(elf, memory=dataclasses.replace(stm32f7_axi(7), slow_ram=(0x2000_0000, 0x2008_0000)))
    assert simulator.run("sram", ["in_sram"]).by_function["sram"].stalls.data == 8


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_firmware([SOURCE], tmp_path_factory.mktemp("memory") / "test.elf")


def test_two_passes_over_the_same_data_cost_the_same(firmware: Path) -> None:
    for memory in (None, ART, stm32f7_axi(7)):
        simulator = Simulator(firmware, memory=memory)
        first = simulator.run("everything", [20], marker="marker")
        assert simulator.run("everything", [20], marker="marker") == first
        simulator.reset()
        assert simulator.run("everything", [20], marker="marker") == first


def test_memory_changes_time_and_nothing_else(firmware: Path) -> None:
    ideal = Simulator(firmware).run("everything", [20])
    assert ideal.total.stalls == MemoryStalls()
    assert ideal.memory is None
    cycles = []
    for wait_states in (1, 5, 9):
        found = Simulator(firmware, memory=stm32f4_flash(wait_states)).run("everything", [20])
        assert (found.result, found.stack_bytes) == (ideal.result, ideal.stack_bytes)
        assert found.total.instructions == ideal.total.instructions
        assert found.total.cycles == ideal.total.cycles + found.total.stalls.total
        cycles.append(found.total.cycles)
    assert ideal.total.cycles < cycles[0] < cycles[1] < cycles[2]
    bare = Simulator(firmware, memory=stm32f4_flash(5, accelerator=False)).run("everything", [20])
    assert bare.total.cycles > cycles[1]


def test_segments_and_functions_share_out_the_stalls(firmware: Path) -> None:
    profile = Simulator(firmware, memory=ART).run("layers", [4], marker="marker")
    assert sum(segment.total for segment in profile.segments) == profile.total
    # Each call of the marker belongs to the segment that it begins, with the time it was waited for.
    assert all("marker" not in segment.by_function for segment in profile.segments[:1])
    first, second = (segment.by_function["marker"].stalls.fetch for segment in profile.segments[1:3])
    assert first >= second == 0


def test_the_model_is_named(firmware: Path) -> None:
    assert Simulator(firmware).run("copy", [5]).cycle_model == "Cortex-M4, ARM DDI 0439, zero wait states"
    named = Simulator(firmware, memory=ART).run("copy", [5]).cycle_model
    assert named == "Cortex-M4, ARM DDI 0439, 5 flash wait states, STM32F4 ART"


def test_boards_have_memories() -> None:
    m4, m7 = get_board("stm32f469i"), get_board("stm32f767zi")
    assert memory_of(m4, 5) == ART
    assert memory_of(m7, 7) == stm32f7_axi(7)
    assert memory_of(m4, 0) is None
    with pytest.raises(BoardError, match="16 flash wait states are not possible; stm32f469i needs 5 at 180 MHz"):
        memory_of(m4, 16)
    other = Board("other", "cortex-m4", 1, 1, 1, 1, "")
    with pytest.raises(BoardError, match="other has no memory model"):
        memory_of(other, 3)


def test_memory_needs_the_compiled_hook(firmware: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SimulationError, match="no host compiler works"):
        Simulator(firmware, memory=ART, python_hook=True)
    assert hook.c_hook_library() is not None


def test_instructions_that_an_it_block_skips_take_time_but_are_no_branch(tmp_path: Path) -> None:
    assembly = tmp_path / "it.S"
    body = "cmp r0, r0\nittt ne\nmovne r2, #1\nmovne r2, #2\nmovne r2, #3\nnop\nnop\nbx lr\n"
    assembly.write_text(
        f".syntax unified\n.thumb\n.text\n.balign 32\n.global f\n.type f, %function\n.thumb_func\nf:\n{body}"
    )
    elf = compile_firmware([assembly], tmp_path / "it.elf")
    simulator = Simulator(elf, memory=ART)
    profile = simulator.run("f")
    # cmp, it (folded), three skipped, two nops, and bx with its refill, which nothing waits for.
    assert simulator._memory_hook.state.now == pytest.approx(profile.total.cycles - 2)
    assert np.isclose(profile.total.stalls.fetch, 5)
