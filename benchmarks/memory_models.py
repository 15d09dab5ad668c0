"""What flash wait states and caches do to every kernel: `python benchmarks/memory_models.py [--json FILE]`.

Writes docs/results/memory_models.md. Code and constants are in flash, all else in SRAM, as in a deployed network. Three
memories for each core: an ideal one; the board's flash at its full clock, behind its accelerator (STM32F469, 5 wait
states, ART) or its caches (STM32F767, 7 wait states, L1); and the same with the functions in RAM that wait most for
their instructions. Caches are empty before each run. Each output is checked against the integer reference.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kernels import Case, compiled_cases, conventional_cases, image_cases, input_of
from ostinato.files import write_atomically
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.quant.reference import execute_op
from ostinato.targets import MemorySystem, Profile, get_board, hot_functions, memory_of
from provenance import RESULTS, provenance

BOARDS = ("stm32f469i", "stm32f767zi")
HOT_BYTES = 16 << 10
"""RAM for hot code: the STM32F767's ITCM, and as much of the STM32F469's SRAM1."""

CONVENTIONAL = {"conv_s8_cmsis": "CMSIS-style", "conv_s8_dense": "best dense"}


@dataclass(frozen=True)
class Row:
    """One operator on one board: cycles on ideal memory, on the board's, and with hot code in RAM."""

    board: str
    layer: str
    kernel: str
    variant: str
    ideal: int
    flash: int
    hot: int
    fetch: int
    """Cycles of `flash` in which instructions were waited for."""
    data: int
    unaligned: int
    functions: tuple[str, ...]
    """What runs from RAM."""

    @property
    def best(self) -> int:
        """Of the two placements."""
        return min(self.flash, self.hot)


def cases() -> Iterator[Case]:
    """Conventional and reuse kernels on the layers of `kernels.py`."""
    for source in (conventional_cases, image_cases, compiled_cases):
        yield from source()


def measure(board_name: str, case: Case, cold: KernelRunner) -> Row:
    """Run one operator on the three memories of a board."""
    board = get_board(board_name)
    memory = memory_of(board, board.flash_wait_states)
    ideal, flash = run(cold, case, None), run(cold, case, memory)
    functions = hot_functions(cold.simulator(memory).elf, flash, HOT_BYTES)
    hot = run(KernelRunner([case.binding], board.core, hot=functions), case, memory) if functions else flash
    stalls = flash.total.stalls
    return Row(
        board=board_name,
        layer=case.layer + (f", L={case.op.length}, H={case.op.hash.hashes}" if case.scope != "conventional" else ""),
        kernel=case.binding.kernel,
        variant=case.variant,
        ideal=ideal.total.cycles,
        flash=flash.total.cycles,
        hot=hot.total.cycles,
        fetch=stalls.fetch,
        data=stalls.data,
        unaligned=stalls.unaligned,
        functions=functions,
    )


def run(runner: KernelRunner, case: Case, memory: MemorySystem | None) -> Profile:
    """One call; its bits must be the reference's."""
    x = input_of(case)
    output, profile = runner.run(case.binding, x, case.op.output.size, memory)
    np.testing.assert_array_equal(output, execute_op(case.op, x).ravel())
    return profile


def kept(rows: list[Row], row: Row, baseline: str) -> tuple[float, float] | None:
    """The ratio over a conventional kernel of the same layer on the board's memory, and the share of the ideal one."""
    layer = row.layer.split(", L=")[0]
    found = [r for r in rows if (r.board, r.layer, r.kernel) == (row.board, layer, baseline)]
    if not found or row.kernel in CONVENTIONAL:
        return None
    ratio = found[0].best / row.best
    return ratio, ratio / (found[0].ideal / row.ideal)


def lines_of(rows: list[Row], board: str) -> list[list[str]]:
    """A board's table, heading first."""
    heading = ["layer", "kernel", "ideal", "flash", "of it fetch", "of it data", "hot code in RAM", "slower"]
    heading += [f"× over {name}, kept" for name in CONVENTIONAL.values()]
    lines = [heading]
    for row in (row for row in rows if row.board == board):
        cells = [row.layer + (f", {row.variant}" if row.variant else ""), row.kernel]
        cells += [f"{n:,}" for n in (row.ideal, row.flash, row.fetch, row.data)]
        cells += [f"{row.hot:,}" if row.functions else "–", f"{row.best / row.ideal:.2f}×"]
        for kernel in CONVENTIONAL:
            found = kept(rows, row, kernel)
            cells.append(f"{found[0]:.2f}, {found[1]:.0%}" if found else "–")
        lines.append(cells)
    return lines


def page(rows: list[Row]) -> str:
    """docs/results/memory_models.md."""
    parts = []
    for name in BOARDS:
        board = get_board(name)
        memory = memory_of(board, board.flash_wait_states)
        heading, *body = lines_of(rows, name)
        table = [heading, ["---", "---", *["---:"] * (len(heading) - 2)], *body]
        parts.append(f"## {board.description}\n\n{memory.name if memory else ''}\n")
        parts.append("\n".join("| " + " | ".join(cells) + " |" for cells in table) + "\n")
    tables = "\n".join(parts)
    return f"""# Flash wait states and caches

Modelled cycles of single layers with code and constants in flash and all else in SRAM, caches empty at the start
([how](../boards.md#memory)). *Ideal* is memory without wait states, the default everywhere else. *Hot code in RAM* runs
the functions from RAM that wait most for their instructions, at most {HOT_BYTES // 1024} KiB. *Slower* is the better
placement over ideal. *Kept* is the share of the ratio on ideal memory that is left, each kernel in its better
placement.

{tables}
{provenance("python benchmarks/memory_models.py", "fixed in the program")}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    rows = []
    for board in BOARDS:
        chosen = list(cases())
        cold = KernelRunner([case.binding for case in chosen], get_board(board).core)
        rows += [measure(board, case, cold) for case in chosen]
        heading, *body = lines_of(rows, board)
        shown = Table(title=board)
        for index, name in enumerate(heading):
            shown.add_column(name, justify="right" if index > 1 else "left")
        for cells in body:
            shown.add_row(*cells)
        Console(width=220).print(shown)
    write_atomically(RESULTS / "memory_models.md", page(rows).encode())
    if arguments.json:
        write_atomically(arguments.json, json.dumps([asdict(row) for row in rows], indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
