"""The Cortex-M7's pairing rules and latencies, one snippet each; sources in docs/boards.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.targets.accounting import Code
from ostinato.targets.cycles import CortexM7Model
from ostinato.targets.elf import Elf
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_firmware

# (assembly, cycles of one pass when it is repeated without a branch)
TABLE = [
    ("add r1, r1, #1; add r2, r2, #1", 1),
    ("add r1, r1, #1; add r1, r1, #1", 2),
    ("mul r1, r0, r0; mul r2, r0, r0", 2),  # one multiplier
    ("mul r1, r0, r0; add r2, r2, #1", 1),
    ("mul r1, r0, r0; str r2, [r0]", 2),  # they share a port
    ("smlad r1, r2, r3, r1; add r4, r4, #1", 1),  # the product reaches the next accumulator in time
    ("smlad r1, r1, r3, r2", 2),
    ("smlal r1, r2, r3, r4; add r5, r5, #1", 1),
    ("ldr r1, [r0]; ldr r2, [r0, #4]", 1),
    ("ldr r1, [r0]; ldr r2, [r0, #8]", 2),  # the same bank
    ("ldr r1, [r0], #4; ldr r2, [r3], #4", 1),
    ("ldr r0, [r0]", 2),  # an address is needed a cycle earlier
    ("ldr r1, [r0]; add r1, r1, r2; nop; nop", 2),
    ("ldrb r1, [r0]; add r1, r1, r2; nop; nop", 3),  # bytes and half-words come a cycle later
    ("ldr r1, [r0]; str r1, [r2]", 1),  # stored in the cycle in which it is loaded
    ("str r1, [r0]; str r2, [r0, #4]", 2),
    ("uadd8 r1, r2, r3; add r4, r4, #1", 1),
    ("uadd8 r1, r2, r3; uadd8 r4, r5, r6", 2),  # only the older of a pair
    ("add r4, r4, #1; uadd8 r1, r2, r3; mul r5, r6, r6; mul r6, r2, r2", 3),
    ("qadd16 r1, r2, r3; add r1, r1, #1; nop; nop", 4),  # two cycles, and older again
    ("add r1, r2, r3, lsl #2; add r4, r5, r6, lsl #2", 2),  # one shifter before the ALU
    ("add r1, r2, r3, lsl #2; lsl r4, r5, #2", 1),
    ("eor r1, r2, r3; add r4, r5, r1, lsl #2; nop; nop", 3),  # a shifted operand is needed a cycle earlier
    ("add r1, r1, #4; ldr r2, [r1]", 1),  # but additions can run a cycle earlier, too
    ("eor r1, r1, r2; ldr r3, [r1]", 2),
    ("uxtab r1, r2, r3; uxtab r4, r5, r6", 2),
    ("ldm r0, {r1, r2, r3, r4}", 2),
    ("ldm r0, {r1, r2, r3}; add r4, r4, #1", 3),  # nothing beside it
    ("ldrd r1, r2, [r0]; add r4, r4, #1", 2),
    ("udiv r1, r2, r3", 7),
    ("vadd.f32 s0, s0, s1", 3),
    ("vmla.f32 s0, s1, s2; vmla.f32 s3, s1, s2", 6),
    ("cmp r1, #3; it ne; movne r2, #1", 1),
]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Code:
    folder = tmp_path_factory.mktemp("m7")
    text = ".syntax unified\n.thumb\n.text\n"
    for number, (body, _) in enumerate(TABLE):
        lines = body.replace("; ", "\n").replace("nop", "nop.w")
        text += f".global case_{number}\n.type case_{number}, %function\n.thumb_func\ncase_{number}:\n{lines}\n"
        text += f".size case_{number}, . - case_{number}\nbx lr\n"
    (folder / "cases.S").write_text(text)
    elf = compile_firmware([folder / "cases.S"], folder / "cases.elf", core="cortex-m7")
    return Code(Elf(elf), CortexM7Model())


@pytest.mark.parametrize("number", range(len(TABLE)), ids=[body for body, _ in TABLE])
def test_the_table(code: Code, number: int) -> None:
    symbol = code.elf.symbol(f"case_{number}")
    block, slot = [], code.map.slot(symbol.address)
    while code.map.address(slot) < symbol.address + symbol.size:
        block.append(code.instruction(slot))
        slot += block[-1].size // 2
    assert sum(CortexM7Model().block_cycles(block)) == pytest.approx(TABLE[number][1], abs=0.4)


def test_branches_cost_what_they_are_told_to(tmp_path: Path) -> None:
    (tmp_path / "loop.S").write_text(
        ".syntax unified\n.thumb\n.text\n.global loop\n.type loop, %function\n.thumb_func\nloop:\n"
        "movs r1, #100\n1: nop\nsubs r1, #1\nbne 1b\nbx lr\n"
    )
    elf = compile_firmware([tmp_path / "loop.S"], tmp_path / "loop.elf", core="cortex-m7")
    cycles = []
    for taken in (0, 1, 6):
        simulator = Simulator(elf, core="cortex-m7", cycle_model=CortexM7Model(taken_branch_cycles=taken))
        cycles.append(simulator.run("loop").total.cycles)
    assert cycles[1] - cycles[0] == 100  # 99 times round, and the return
    assert cycles[2] - cycles[0] == 600
