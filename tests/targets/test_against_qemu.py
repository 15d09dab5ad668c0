"""Executed instructions against QEMU's instruction counter (`-icount shift=0`). Skips where QEMU is not installed.

QEMU advances its virtual clock by one nanosecond an instruction; SysTick, fed by the machine's 25 MHz clock, counts
every 40th of them. A function called often enough makes that resolution fine.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ostinato.targets.simulator import Simulator
from ostinato.targets.toolchain import Memory, compile_firmware

SOURCE = Path(__file__).parent / "firmware_for_tests.c"
MACHINES = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
NANOSECONDS_A_TICK = 40

# The boards' code memory begins at 0, their SRAM at 0x20000000.
MPS2 = Memory(flash_bytes=4 << 20, sram_bytes=4 << 20, flash_origin=0, sram_origin=0x2000_0000)

MAIN = """
#include <stdint.h>
int everything(int n);
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define UART_DATA (*(volatile uint32_t *)0x40004000u)
#define UART_CTRL (*(volatile uint32_t *)0x40004008u)

static void print(uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) UART_DATA = "0123456789abcdef"[value >> shift & 15];
    UART_DATA = ' ';
}

int measured(int n, int times) {
    int sum = 0;
    for (int i = 0; i < times; i++) sum += everything(n);
    return sum;
}

int main(void) {
    UART_CTRL = 1;
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 5; /* the processor's clock, no interrupt */
    const uint32_t start = SYST_CVR;
    const int result = measured(TIMES_N, TIMES);
    const uint32_t end = SYST_CVR;
    print((start - end) & 0xFFFFFF);
    print((uint32_t)result);
    /* Semihosting's SYS_EXIT ends QEMU. */
    __asm volatile("mov r0, #0x18\\n\\tldr r1, =0x20026\\n\\tbkpt 0xab" : : : "r0", "r1", "memory");
    return 0;
}
"""
N, TIMES = 40, 200


@pytest.mark.parametrize("core", MACHINES)
def test_qemu_executes_as_many_instructions(core: str, tmp_path: Path) -> None:
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed, so instruction counts have no second opinion here")
    main = tmp_path / "main.c"
    main.write_text(MAIN.replace("TIMES_N", str(N)))
    elf = compile_firmware(
        [SOURCE, main], tmp_path / "qemu.elf", core=core, memory=MPS2, defines={"TIMES": TIMES}, optimise="-O2"
    )
    command = [qemu, "-M", MACHINES[core], "-kernel", str(elf), "-display", "none", "-monitor", "none"]
    command += ["-serial", "stdio", "-icount", "shift=0", "-semihosting-config", "enable=on,target=native"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    ticks, result = (int(word, 16) for word in ran.stdout.split())

    profile = Simulator(elf, core=core).run("measured", [N, TIMES])
    assert profile.result & 0xFFFF_FFFF == result
    instructions = profile.total.instructions
    assert ticks * NANOSECONDS_A_TICK == pytest.approx(instructions, rel=1e-4, abs=2 * NANOSECONDS_A_TICK)
