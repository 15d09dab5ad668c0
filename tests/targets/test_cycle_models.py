"""Cycles of hand-written code, known by hand from ARM's table (docs/boards.md)."""

from __future__ import annotations

import pytest

from ostinato.errors import SimulationError
from ostinato.targets.cores import Core
from ostinato.targets.cycles import CortexM4Model, CortexM7Model, cycle_model_for
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_firmware

RETURN = 3  # bx lr: 1, and 2 to refill the pipeline

# (assembly, cycles); r0 points to a buffer whose first word is its own address, r1 = r2 = 0.
TABLE = [
    ("nop", 1),
    ("movw r3, #1000", 1),
    ("ldr r3, [r0]", 2),
    ("ldr r1, [r0]; ldr r2, [r0, #4]", 3),
    ("ldr r1, [r0]; ldrb r2, [r0, #4]; ldrsh r3, [r0, #8]; ldr r12, [r0, #12]", 5),
    ("ldr r1, [r0]; ldr r2, [r1]", 4),
    ("ldr r3, [r0], #4; ldr r12, [r0], #4", 3),
    ("ldr r1, [r0]; nop; ldr r3, [r0]", 5),
    ("str r1, [r0, #4]", 1),
    ("str r1, [r0, #4]; str r1, [r0, #8]", 2),
    ("str r1, [r0, #4]; ldr r2, [r0, #8]", 3),
    ("ldr r2, [r0]; str r2, [r0, #8]", 3),
    ("str r1, [r0, r2]", 2),
    ("ldr r3, [r0]; str r3, [r0, r2]", 3),
    ("ldrd r2, r3, [r0]", 3),
    ("strd r2, r3, [r0, #8]", 3),
    ("ldm r0, {r1, r2, r3}", 4),
    ("push {r4, r5, r6, r7}; pop {r4, r5, r6, r7}", 10),
    ("push {r4, lr}; pop {r4, lr}", 6),
    ("mul r3, r1, r2", 1),
    ("mla r3, r1, r2, r3", 1),
    ("smlad r3, r1, r2, r3; smlad r3, r1, r2, r3", 2),
    ("smlal r1, r2, r3, r12", 1),
    ("sxtb16 r3, r1; sxtab16 r3, r1, r2, ror #8; ssat r3, #8, r3; uadd8 r3, r3, r1", 4),
    ("movs r1, #6; movs r2, #3; udiv r3, r1, r2", 9),
    ("add r3, r0, #4; ldr r2, [r3]", 4),  # the address is not forwarded
    ("add r3, r0, #4; nop; ldr r2, [r3]", 4),
    ("mul r3, r1, r2; ldr r2, [r0, r3]", 4),
    ("cmp r1, #0; it ne; movne r2, #1", 2),  # it folds behind a 16-bit instruction
    ("cmp.w r1, #0; it ne; movne r2, #1", 3),
    ("push {r4, lr}; cmp r0, #0; it eq; popeq {r4, pc}; pop {r4, lr}", 3 + 1 + 0 + 1 + 3),  # its condition fails
    ("b 9f; nop; 9:", 3),
    ("cbz r1, 9f; nop; 9:", 3),
    ("cbnz r1, 9f; nop; 9:", 2),
    ("vadd.f32 s0, s1, s2", 1),
    ("vadd.f32 s0, s1, s2; vmul.f32 s3, s0, s0", 3),  # the result is used at once
    ("vmla.f32 s0, s1, s2", 3),
    ("vdiv.f32 s0, s1, s2", 14),
    ("vldr s0, [r0]", 2),
    ("vldr d0, [r0]", 3),
    ("vpush {s16, s17, s18, s19}; vpop {s16, s17, s18, s19}", 10),
    ("vpush {d8, d9}; vpop {d8, d9}", 10),
    ("vmov s0, r1; vmov r2, s0", 2),
    ("vmov r2, r3, d0", 2),
    ("tbb [pc, r1]; .byte 1, 1; 9: nop", 2 + 2 + 1),
]


def function(name: str, body: str) -> str:
    lines = body.replace("; ", "\n").replace("9f", f".L{name}").replace("9:", f".L{name}:")
    return f".global {name}\n.type {name}, %function\n.thumb_func\n{name}:\n{lines}\nbx lr\n.size {name}, . - {name}\n"


LOOPS = {
    # movs, 100 x (subs, bne), bx: 99 of the branches are taken.
    "countdown": ("movs r1, #100; 9: subs r1, #1; bne 9f", 202, 1 + 200 + 99 * 2),
    # movs, 50 x (ldr, ldr, str, subs, bne), bx: 3 for the pair of loads, 1 for the store.
    "copying": (
        "movs r1, #50; 9: ldr r2, [r0]; ldr r3, [r0, #4]; str r3, [r0, #8]; subs r1, #1; bne 9f",
        252,
        1 + 50 * (3 + 1 + 1 + 1) + 49 * 2,
    ),
    # Longer than the emulator's translation blocks and pages.
    "long": ("movs r1, #3; 9: " + "nop; " * 900 + "subs r1, #1; beq .Lend; b.w 9f; .Lend: nop", None, None),
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    folder = tmp_path_factory.mktemp("cycles")
    text = ".syntax unified\n.thumb\n.text\n"
    for number, (body, _) in enumerate(TABLE):
        text += function(f"case_{number}", body)
    for name, (body, _, _) in LOOPS.items():
        text += function(name, body)
    assembly = folder / "cases.S"
    assembly.write_text(text)
    buffer = folder / "buffer.c"
    buffer.write_text("#include <stdint.h>\nuint32_t *buffer[16] = {(uint32_t *)buffer};\n")
    return Simulator(compile_firmware([assembly, buffer], folder / "cases.elf"), timeout_s=20)


@pytest.mark.parametrize("number", range(len(TABLE)), ids=[body for body, _ in TABLE])
def test_the_table(simulator: Simulator, number: int) -> None:
    simulator.reset()
    assert simulator.run(f"case_{number}", ["buffer", 0, 0]).total.cycles == TABLE[number][1] + RETURN


@pytest.mark.parametrize("name", ["countdown", "copying"])
def test_loops(simulator: Simulator, name: str) -> None:
    _, instructions, cycles = LOOPS[name]
    total = simulator.run(name, ["buffer"]).total
    assert (total.instructions, total.cycles) == (instructions, cycles + RETURN)


def test_code_longer_than_a_translation_block(simulator: Simulator) -> None:
    total = simulator.run("long").total
    # movs; 3 x (900 nop, subs, beq); 2 x b.w; nop; bx. Taken: beq once, b.w twice, bx.
    instructions = 1 + 3 * 902 + 2 + 1 + 1
    assert (total.instructions, total.cycles) == (instructions, instructions + 4 * 2)


def test_a_division_costs_what_it_is_told_to(simulator: Simulator) -> None:
    number = next(k for k, (body, _) in enumerate(TABLE) if "udiv" in body)
    costs = []
    for divide_cycles in (2, 12):
        other = Simulator(simulator.elf.path, cycle_model=CortexM4Model(divide_cycles=divide_cycles))
        costs.append(other.run(f"case_{number}", ["buffer"]).total.cycles)
    assert costs[1] - costs[0] == 10


def test_models_are_found_by_core() -> None:
    assert isinstance(cycle_model_for(Core("cortex-m4", "", (), "")), CortexM4Model)
    assert isinstance(cycle_model_for(Core("cortex-m7", "", (), "")), CortexM7Model)
    with pytest.raises(SimulationError, match="no cycle model is available for cortex-m33"):
        cycle_model_for(Core("cortex-m33", "", (), ""))
