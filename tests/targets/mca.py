"""Cycles of straight-line blocks by llvm-mca, the second opinion on the cycle models."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from ostinato.targets.instructions import BRANCHES, Instruction

ITERATIONS = 100
_CONDITION = re.compile(r"(eq|ne|hs|lo|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$")


def find() -> str | None:
    """The program, of whatever version is installed."""
    return next((path for name in ("llvm-mca", "llvm-mca-14") if (path := shutil.which(name))), None)


def assembly(block: Sequence[Instruction]) -> list[str]:
    """Lines that llvm-mca takes: branches go nowhere; conditions are dropped, since it has no IT blocks for them."""
    lines = []
    conditional = 0
    for instruction in block:
        mnemonic, _, operands = instruction.text.partition(" ")
        if instruction.name == "it":
            conditional = len(mnemonic) - 1
            continue
        if instruction.name in BRANCHES:
            lines.append("b .")
        else:
            head, dot, width = mnemonic.partition(".")
            head = _CONDITION.sub("", head) if conditional else head
            lines.append(f"{head}{dot}{width} {operands}")
        conditional = max(conditional - 1, 0)
    return lines


def cycles(program: str, core: str, blocks: Sequence[Sequence[Instruction]]) -> list[float]:
    """Cycles of one iteration of each block, repeated."""
    text = [".syntax unified", ".thumb"]
    for number, block in enumerate(blocks):
        text += [f"@ LLVM-MCA-BEGIN b{number}", *assembly(block), "@ LLVM-MCA-END"]
    command = [program, "-mtriple=thumbv7em-none-eabihf", f"-mcpu={core}", f"-iterations={ITERATIONS}"]
    command += ["-all-views=false", "-summary-view"]
    ran = subprocess.run(command, input="\n".join(text) + "\n", capture_output=True, text=True, check=False)
    found = [int(total) / ITERATIONS for total in re.findall(r"Total Cycles:\s+(\d+)", ran.stdout)]
    if len(found) != len(blocks):
        raise RuntimeError(f"llvm-mca costed {len(found)} of {len(blocks)} blocks: {ran.stderr[:1000]}")
    return found
