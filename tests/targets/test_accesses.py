"""The addresses that the hooks compute, against the emulator's own callbacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unicorn import unicorn_const

from ostinato.targets.accesses import _REGISTERS
from ostinato.targets.instructions import decode
from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import compile_firmware

ASSEMBLY = """
.syntax unified
.thumb
.text
.global modes
.type modes, %function
.thumb_func
modes:
push {r4, r5, r6, lr}
vpush {d8, d9}
movs r2, #3
ldr r3, [r0, #4]
ldr r3, [r0], #4
ldrb r3, [r0, #-4]!
ldrsh r3, [r0, r2, lsl #1]
strh r3, [r0, r2]
ldrd r4, r5, [r1, #8]
ldrd r4, r5, [r1], #-8
strd r4, r5, [r0, #8]!
add r1, r1, #64
ldmdb r1!, {r4, r5}
ldm r1, {r4, r5, r6}
stm r0!, {r4, r5}
vldr d0, [r0, #8]
vldr s1, [r0]
vstr d0, [r0, #-8]
vldmia r0!, {s0, s1, s2}
vldmia r0, {d1, d2}
ldr r3, 8f
ldrh.w r3, 8f
movs r3, #1
tbb [pc, r3]
7: .byte (9f - 7b) / 2, (9f - 7b) / 2
9: vpop {d8, d9}
pop {r4, r5, r6, pc}
.balign 4
8: .word 0x12345678
"""
BUFFERS = "char first[256] __attribute__((aligned(8))), second[256] __attribute__((aligned(8)));\n"


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accesses")
    (folder / "modes.S").write_text(ASSEMBLY)
    (folder / "buffers.c").write_text(BUFFERS)
    harness = Path(__file__).parent / "firmware_for_tests.c"
    return compile_firmware([folder / "modes.S", folder / "buffers.c", harness], folder / "accesses.elf")


Touched = list[tuple[bool, int]]


def computed(elf: Path, entry: str, args: list[int | str]) -> Touched:
    simulator = Simulator(elf)
    touched: Touched = []

    def step(uc: Any, address: int, *_: Any) -> None:
        instruction = decode(simulator.elf.code_bytes(address, 4), address)
        if instruction is None or (access := instruction.access) is None:
            return
        at = access.offset
        for register, shift in ((access.base, 0), (access.index, access.shift)):
            at += uc.reg_read(_REGISTERS[register]) << shift if register else 0
        touched.extend((access.write, (at + k) & 0xFFFF_FFFF) for k in range(access.size * access.count))

    simulator._emulator.uc.hook_add(unicorn_const.UC_HOOK_CODE, step)
    simulator.run(entry, args)
    return touched


def observed(elf: Path, entry: str, args: list[int | str]) -> Touched:
    simulator = Simulator(elf)
    touched: Touched = []

    def access(_: Any, kind: int, address: int, size: int, *__: Any) -> None:
        touched.extend((kind == unicorn_const.UC_MEM_WRITE, address + k) for k in range(size))

    kinds = unicorn_const.UC_HOOK_MEM_READ | unicorn_const.UC_HOOK_MEM_WRITE
    simulator._emulator.uc.hook_add(kinds, access)
    simulator.run(entry, args)
    return touched


@pytest.mark.parametrize(
    ("entry", "args"),
    [("modes", ["first", "second"]), ("sort", ["first", 40]), ("fibonacci", [7]), ("scaled_int", [3]), ("nested", [5])],
)
def test_every_address_is_computed(elf: Path, entry: str, args: list[int | str]) -> None:
    expected = observed(elf, entry, args)
    assert len(expected) > 3
    assert computed(elf, entry, args) == expected
