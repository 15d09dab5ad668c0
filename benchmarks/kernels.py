"""Modelled Cortex-M4 cost of every kernel on a few layers: `python benchmarks/kernels.py [--json FILE]`.

Writes docs/results/kernels.md.
Each row is checked against the integer reference before it is printed. Cycles are modelled, with memory that has no
wait states; instructions are exact. Flash counts constant data only.

To add kernels, write a function that yields `Case`s and name it in `CASES`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import reuse_cases as reuse
from kernel_runner import KernelRunner
from ostinato.files import write_atomically
from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_conv, bind_linear, bind_max_pool
from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.reuse_image import bind_reuse_image
from ostinato.quant.ops import ConvDims, QConv2d, QLinear, QMaxPool2d, QOp, QReuseCompiled, QReuseImage, QTensor
from ostinato.quant.reference import execute_op
from provenance import RESULTS, provenance

LAYERS = {
    "CifarNet conv1": ConvDims((32, 32, 3), (28, 28, 64), (5, 5)),
    "CifarNet conv2": ConvDims((14, 14, 64), (10, 10, 64), (5, 5)),
    "3x3, 32 to 128": ConvDims((16, 16, 32), (16, 16, 128), (3, 3), padding=(1, 1)),
    "3x3, 64 to 64": ConvDims((16, 16, 64), (16, 16, 64), (3, 3), padding=(1, 1)),
}


@dataclass(frozen=True)
class Case:
    """An operator on a kernel. `multiplications` are those of the conventional operator (0: it has none)."""

    layer: str
    op: QOp
    binding: Binding
    multiplications: int


@dataclass(frozen=True)
class Row:
    """What one case costs."""

    layer: str
    kernel: str
    cycles: int
    instructions: int
    cycles_per_mac: float | None
    scratch_bytes: int
    flash_bytes: int
    phases: dict[str, int]


def conventional_cases() -> Iterator[Case]:
    """Both conventional convolutions on every layer, and the rest of CifarNet's operators."""
    rng = np.random.default_rng(0)
    for name, dims in LAYERS.items():
        conv = random_conv(rng, dims)
        multiplications = dims.positions * dims.columns * dims.output[2]
        yield Case(name, conv, bind_conv(conv, "cmsis"), multiplications)
        yield Case(name, conv, bind_conv(conv, "dense"), multiplications)
    linear = random_linear(rng, 1600, 384)
    yield Case("CifarNet fc1", linear, bind_linear(linear), linear.weight.size)
    dims = ConvDims((28, 28, 64), (14, 14, 64), (2, 2), (2, 2))
    pool = QMaxPool2d(name="pool", input=_tensor(dims.input), output=_tensor(dims.output), dims=dims)
    yield Case("CifarNet pool1", pool, bind_max_pool(pool), 0)


def reuse_cases() -> Iterator[Case]:
    """Image scope on CifarNet's convolutions; compiled scope, with tables of all int8 and of 7 bits, and a tree."""
    for name, length, hashes in (("CifarNet conv1", 15, 4), ("CifarNet conv2", 32, 3)):
        dims = LAYERS[name]
        layer = f"{name}, L={length}, H={hashes}"
        image = reuse.image_layer(dims, length, hashes)
        yield Case(layer, image, bind_reuse_image(image), dims.positions * dims.columns * dims.output[2])
    for name in ("CifarNet conv2", "3x3, 32 to 128", "3x3, 64 to 64"):
        dims = LAYERS[name]
        for length in (8, 16):
            for kind, largest, tree in (("int8", 127, False), ("7 bits", 63, False), ("int8, tree", 127, True)):
                layer = f"{name}, L={length}, H=4, {kind}"
                compiled = reuse.compiled_layer(dims, length, 4, largest=largest, tree=tree)
                multiplications = dims.positions * dims.columns * dims.output[2]
                yield Case(layer, compiled, bind_reuse_compiled(compiled), multiplications)


CASES: tuple[Callable[[], Iterator[Case]], ...] = (conventional_cases, reuse_cases)


def random_conv(rng: np.random.Generator, dims: ConvDims) -> QConv2d:
    """A convolution with outputs that fill int8."""
    channels = dims.output[2]
    return QConv2d(
        name="conv",
        input=_tensor(dims.input),
        output=_tensor(dims.output),
        dims=dims,
        weight=rng.integers(-127, 128, (channels, *dims.kernel, dims.input[2])).astype(np.int8),
        **_channels(rng, channels, dims.columns),
    )


def random_linear(rng: np.random.Generator, inputs: int, outputs: int) -> QLinear:
    """A fully connected layer with outputs that fill int8."""
    return QLinear(
        name="fc",
        input=_tensor((inputs,)),
        output=_tensor((outputs,)),
        weight=rng.integers(-127, 128, (outputs, inputs)).astype(np.int8),
        **_channels(rng, outputs, inputs),
    )


def _channels(rng: np.random.Generator, channels: int, columns: int) -> dict[str, np.ndarray]:
    shift = -int(np.log2(80 * np.sqrt(columns)))
    return {
        "bias": rng.integers(-(1 << 14), 1 << 14, channels).astype(np.int32),
        "multiplier": rng.integers(1 << 30, 1 << 31, channels).astype(np.int32),
        "shift": np.full(channels, shift, np.int32),
    }


def _tensor(shape: tuple[int, ...]) -> QTensor:
    return QTensor("tensor", shape, scale=0.05, zero_point=-3)


def measure(runner: KernelRunner, case: Case) -> Row:
    """Run one case, check its bits, and count."""
    if isinstance(case.op, (QReuseCompiled, QReuseImage)):
        x = reuse.smooth_input(case.op.dims.input)
    else:
        x = np.random.default_rng(1).integers(-128, 128, case.op.input.shape).astype(np.int8)
    output, profile = runner.run(case.binding, x, case.op.output.size)
    np.testing.assert_array_equal(output, execute_op(case.op, x).ravel())
    phases: dict[str, int] = {}
    for function, counts in profile.by_function.items():
        phase = case.binding.phases.get(function, "other")
        phases[phase] = phases.get(phase, 0) + counts.cycles
    total = profile.total
    return Row(
        layer=case.layer,
        kernel=case.binding.kernel,
        cycles=total.cycles,
        instructions=total.instructions,
        cycles_per_mac=total.cycles / case.multiplications if case.multiplications else None,
        scratch_bytes=case.binding.scratch_bytes,
        flash_bytes=case.binding.flash_bytes,
        phases=phases,
    )


def table(rows: list[Row]) -> Table:
    """The rows for a terminal."""
    shown = Table("layer", "kernel", title="Modelled Cortex-M4, no wait states")
    for column in ("cycles", "instructions", "cycles/MAC", "scratch B", "flash B", "phases (cycles)"):
        shown.add_column(column, justify="left" if column.startswith("phases") else "right")
    for row in rows:
        per_mac = "" if row.cycles_per_mac is None else f"{row.cycles_per_mac:.3f}"
        phases = ", ".join(f"{name} {cycles:,}" for name, cycles in sorted(row.phases.items()))
        numbers = (f"{n:,}" for n in (row.scratch_bytes, row.flash_bytes))
        shown.add_row(row.layer, row.kernel, f"{row.cycles:,}", f"{row.instructions:,}", per_mac, *numbers, phases)
    return shown


def page(rows: list[Row]) -> str:
    """The rows as Markdown, with each layer's cycles under both conventional kernels beside them."""
    baselines = {(row.layer, row.kernel): row.cycles for row in rows}
    heading = ("layer", "kernel", "cycles", "× over CMSIS-style", "× over best dense", "scratch, B", "constants, B")
    lines = [heading, ("---", "---", *["---:"] * 5)]
    for row in rows:
        layer = row.layer.split(", L=")[0]
        ratios = [
            f"{baselines[layer, kernel] / row.cycles:.2f}" if (layer, kernel) in baselines else "–"
            for kernel in ("conv_s8_cmsis", "conv_s8_dense")
        ]
        lines.append(
            (row.layer, row.kernel, f"{row.cycles:,}", *ratios, f"{row.scratch_bytes:,}", f"{row.flash_bytes:,}")
        )
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"""# Kernels

Modelled Cortex-M4, no wait states, random weights and smooth random inputs; each row's bits are checked against the
integer reference first. *7 bits* are tables whose entries a pair of rows can add within int8.

{table}

{provenance("python benchmarks/kernels.py", "fixed in the program")}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    cases = [case for source in CASES for case in source()]
    runner = KernelRunner(case.binding for case in cases)
    rows = [measure(runner, case) for case in cases]
    Console(width=200).print(table(rows))
    write_atomically(RESULTS / "kernels.md", page(rows).encode())
    if arguments.json:
        write_atomically(arguments.json, json.dumps([asdict(row) for row in rows], indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
