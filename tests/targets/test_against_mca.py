"""The cycle models against llvm-mca's scheduling models, on the hot code of every kernel. Skips where it is missing.

The models differ on purpose, which docs/boards.md explains: for the Cortex-M4, LLVM lets every load take one cycle as
long as nothing waits for it, where ARM's manual says two for the first of a group; for the Cortex-M7, llvm-mca lets no
instruction complete before an earlier one. So the Cortex-M4's cycles here are hardly below llvm-mca's, and the
Cortex-M7's hardly above. Loops with register lists are left out: llvm-mca takes a list for one transfer.
"""

from __future__ import annotations

from pathlib import Path

import mca
import pytest

from ostinato.kernels.sources import include_dir, source_dir
from ostinato.targets.accounting import Code
from ostinato.targets.cores import get_core
from ostinato.targets.cycles import cycle_model_for
from ostinato.targets.elf import Elf
from ostinato.targets.instructions import Instruction
from ostinato.targets.toolchain import compile_firmware

SHORTEST = 8
"""Instructions of the blocks that are compared: what leaves and enters them weighs too much in shorter ones."""


@pytest.fixture(scope="module")
def program() -> str:
    found = mca.find()
    if found is None:
        pytest.skip("llvm-mca is not installed, so the cycle models have no second opinion here")
    return found


def loops(core: str, folder: Path) -> list[list[Instruction]]:
    """Blocks that jump back to their own beginning: what kernels spend their time in."""
    sources = sorted(path for path in source_dir().rglob("*") if path.suffix in (".c", ".S"))
    elf = compile_firmware(sources, folder / f"{core}.elf", core=core, include_dirs=(include_dir(), source_dir()))
    found = []
    for block in Code(Elf(elf), cycle_model_for(get_core(core))).blocks():
        last = block[-1]
        if last.name != "b":
            continue
        target = int(last.text.split("#")[1], 0)
        inner = [instruction for instruction in block if instruction.address >= target]
        lists = any(instruction.registers or instruction.name in ("ldrd", "strd") for instruction in inner)
        if inner and inner[0].address == target and len(inner) >= SHORTEST and not lists:
            found.append(inner)
    return found


@pytest.mark.parametrize(("core", "least", "most"), [("cortex-m4", 0.9, 1.6), ("cortex-m7", 0.6, 1.15)])
def test_kernels_loops_cost_about_the_same(program: str, core: str, least: float, most: float, tmp_path: Path) -> None:
    blocks = loops(core, tmp_path)
    assert len(blocks) > 20
    model = cycle_model_for(get_core(core))
    ours = [sum(model.block_cycles(block)) for block in blocks]
    theirs = mca.cycles(program, core, blocks)
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    assert least <= ratios[0]
    assert ratios[-1] <= most
    middle = ratios[len(ratios) // 2]
    assert (1.0 <= middle <= 1.3) if core == "cortex-m4" else (0.75 <= middle <= 1.0)


SIMPLE = ["add r1, r2, r3", "smlad r4, r5, r6, r4", "uadd8 r1, r2, r3", "eor r7, r7, r1", "ssat r3, #8, r2"]


def test_what_both_know_for_sure_is_the_same(program: str, tmp_path: Path) -> None:
    """Without loads, branches and divisions, a Cortex-M4 takes a cycle an instruction."""
    lines = "\n".join(SIMPLE * 4)
    (tmp_path / "simple.S").write_text(
        f".syntax unified\n.thumb\n.text\n.global f\n.type f, %function\n.thumb_func\nf:\n{lines}\nbx lr\n"
    )
    elf = compile_firmware([tmp_path / "simple.S"], tmp_path / "simple.elf")
    code = Code(Elf(elf), cycle_model_for(get_core("cortex-m4")))
    block = next(block for block in code.blocks() if len(block) == len(SIMPLE) * 4 + 1)[:-1]
    assert sum(code.model.block_cycles(block)) == len(block)
    assert mca.cycles(program, "cortex-m4", [block])[0] == pytest.approx(len(block), abs=0.1)
