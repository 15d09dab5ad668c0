"""Modelled cost of every kernel on a few layers, Cortex-M4 and M7.

    python benchmarks/kernels.py [--json FILE] [--data-dir CIFAR10]

Writes docs/results/kernels.md. Each row is checked against the integer reference before it is printed. Cycles are
modelled, with memory that has no wait states; instructions are exact. Image scope runs on real activations (of the
embedded digits, or of CIFAR-10 from a folder), because its cycles depend on them. Flash counts constant data only, SRAM
input, output and scratch.

To add kernels, write a function that yields `Case`s and name it in `CASES`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

import reuse_cases as reuse
from kernel_table import CORES, Row, as_json, markdown, terminal
from ostinato.files import write_atomically
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.firmware.select import bind
from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_conv, bind_linear
from ostinato.kernels.pools import bind_max_pool
from ostinato.kernels.reuse_compiled import bind_reuse_compiled
from ostinato.kernels.stem import bind_stem
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.horizontal_ops import QReuseHorizontal
from ostinato.quant.ops import ConvDims, QConv2d, QLinear, QMaxPool2d, QOp, QReuseCompiled, QReuseImage, QTensor
from ostinato.quant.reference import execute_op
from ostinato.reuse import Pattern
from provenance import RESULTS, provenance
from real_activations import RealActivations

LAYERS = {
    "CifarNet conv1": ConvDims((32, 32, 3), (28, 28, 64), (5, 5)),
    "CifarNet conv2": ConvDims((14, 14, 64), (10, 10, 64), (5, 5)),
    "3x3, 32 to 128": ConvDims((16, 16, 32), (16, 16, 128), (3, 3), padding=(1, 1)),
    "3x3, 64 to 64": ConvDims((16, 16, 64), (16, 16, 64), (3, 3), padding=(1, 1)),
}


@dataclass(frozen=True)
class Case:
    """An operator on a kernel."""

    layer: str
    op: QOp
    binding: Binding
    scope: Literal["conventional", "image", "compiled"] = "conventional"
    variant: str = ""
    x: Int8Array | None = None
    """What it reads; None: a random input."""


def conventional_cases() -> Iterator[Case]:
    """Both conventional convolutions on every layer, and the rest of CifarNet's operators."""
    rng = np.random.default_rng(0)
    for name, dims in LAYERS.items():
        conv = random_conv(rng, dims)
        yield Case(name, conv, bind_conv(conv, "cmsis"))
        yield Case(name, conv, bind_conv(conv, "dense"))
    dims = ConvDims((32, 32, 64), (32, 32, 64), (3, 3), padding=(1, 1))
    depthwise = random_conv(rng, dims, groups=64)
    yield Case("3x3, 64, depthwise", depthwise, bind_conv(depthwise, "dense"))
    linear = random_linear(rng, 1600, 384)
    yield Case("CifarNet fc1", linear, bind_linear(linear))
    for name, dims in {
        "CifarNet pool1": ConvDims((28, 28, 64), (14, 14, 64), (2, 2), (2, 2)),
        "max-pool, 3x3, stride 2, 96": ConvDims((32, 32, 96), (16, 16, 96), (3, 3), (2, 2), (1, 1)),
    }.items():
        pool = QMaxPool2d(name="pool", input=_tensor(dims.input), output=_tensor(dims.output), dims=dims)
        yield Case(name, pool, bind_max_pool(pool))


IMAGE_PATTERNS: tuple[tuple[str, str, Pattern], ...] = (
    ("conv1", "", Pattern(15, 4, init="pca")),
    ("conv1", "c:3.kh.kw", Pattern(15, 4, order="c:3.kh.kw", init="pca")),
    ("conv1", "c.kh.kw", Pattern(15, 4, order="c.kh.kw", init="pca")),
    ("conv1", "", Pattern(15, 8, init="pca")),
    ("conv1", "b=2", Pattern(15, 4, block_rows=2, init="pca")),
    ("conv2", "", Pattern(32, 3, init="pca")),
    ("conv2", "hash by block", Pattern(32, 3, sharing="block", init="pca")),
    ("conv2", "c:16.kh.kw", Pattern(32, 3, order="c:16.kh.kw", init="pca")),
    ("conv2", "", Pattern(32, 6, init="pca")),
    ("conv2", "", Pattern(32, 12, init="pca")),
    ("conv2", "b=2, rows b.oh.ow:2", Pattern(32, 3, block_rows=2, row_order="b.oh.ow:2", init="pca")),
    ("conv2", "horizontal, l=20", Pattern(1, 6, direction="horizontal", sharing="layer", block_rows=20, init="pca")),
    ("conv2", "horizontal, l=50", Pattern(1, 6, direction="horizontal", sharing="layer", block_rows=50, init="pca")),
)


def image_cases(data_dir: Path | None = None) -> Iterator[Case]:
    """Image scope on CifarNet's convolutions, on real activations: a hash for each slice, unless it is said."""
    real = RealActivations(data_dir)
    for name, variant, pattern in IMAGE_PATTERNS:
        layer = real.layer(name, pattern)
        binding = bind(layer.op)
        slots = f"{binding.params['slots']} slots" if binding.counts else ""
        yield Case(f"CifarNet {name}", layer.op, binding, "image", ", ".join(filter(None, (variant, slots))), layer.x)


def compiled_cases() -> Iterator[Case]:
    """By addresses, with tables of all int8 and of 7 bits, trees of planes and of thresholds; and by offsets."""
    for name in ("CifarNet conv2", "3x3, 32 to 128", "3x3, 64 to 64"):
        for length in (8, 16):
            for variant, largest, tree in (
                ("7 bits", 63, False),
                ("7 bits, tree", 63, True),
                ("7 bits, thresholds", 63, True),
                ("int8", 127, False),
            ):
                op = reuse.compiled_layer(
                    LAYERS[name], length, 4, largest=largest, tree=tree, thresholds=variant.endswith("thresholds")
                )
                yield Case(name, op, bind_reuse_compiled(op), "compiled", variant)
                if variant == "7 bits":
                    yield Case(name, op, bind_reuse_compiled(op, "offsets"), "compiled", variant)


def kernel_row_cases() -> Iterator[Case]:
    """A first layer whose slices are kernel rows with one hash: ids once per input row and output column."""
    for variant, thresholds in (("kernel rows, 7 bits, tree", False), ("kernel rows, 7 bits, thresholds", True)):
        op = reuse.kernel_row_layer(LAYERS["CifarNet conv1"], 6, largest=63, thresholds=thresholds)
        yield Case("CifarNet conv1", op, bind_reuse_compiled(op), "compiled", variant)


def linear_cases() -> Iterator[Case]:
    """CifarNet's first fully connected layer: a window as large as the map."""
    dims = ConvDims((5, 5, 64), (1, 1, 384), (5, 5))
    for length in (8, 16):
        op = reuse.compiled_layer(dims, length, 4, largest=63, tree=True)
        yield Case("CifarNet fc1", op, bind_reuse_compiled(op), "compiled", "7 bits, tree")


def stem_cases() -> Iterator[Case]:
    """A transform-coded stem whose rows can be added in pairs, and one in which none can."""
    for variant, largest in (("7 bits", 63), ("int8", 127)):
        op = reuse.stem_layer(LAYERS["CifarNet conv1"], 10, 6, 20, largest=largest)
        yield Case("CifarNet conv1", op, bind_stem(op), "compiled", f"stem, G=10, H=6, {variant}")


CASES: tuple[Callable[[], Iterator[Case]], ...] = (
    conventional_cases,
    compiled_cases,
    kernel_row_cases,
    linear_cases,
    stem_cases,
)


def random_conv(rng: np.random.Generator, dims: ConvDims, groups: int = 1) -> QConv2d:
    """A convolution with outputs that fill int8."""
    channels = dims.output[2]
    return QConv2d(
        name="conv",
        input=_tensor(dims.input),
        output=_tensor(dims.output),
        dims=dims,
        weight=rng.integers(-127, 128, (channels, *dims.kernel, dims.input[2] // groups)).astype(np.int8),
        groups=groups,
        **_channels(rng, channels, dims.columns // groups),
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


def input_of(case: Case) -> Int8Array:
    """What the case reads: its own input, a smooth one for compiled scope, or a random one."""
    if case.x is not None:
        return case.x
    shape = case.op.inputs[0].shape
    if isinstance(case.op, QReuseCompiled):
        return reuse.smooth_input(case.op.dims.input)
    return np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)


def measure(core: str, cases: list[Case]) -> list[Row]:
    """Run all cases on a core, check their bits, and count."""
    runner = KernelRunner([case.binding for case in cases], core)
    rows = []
    for case in cases:
        reused = case.op if isinstance(case.op, (QReuseCompiled, QReuseImage, QReuseHorizontal)) else None
        x = input_of(case)
        output, profile = runner.run(case.binding, x, case.op.output.size)
        np.testing.assert_array_equal(output, execute_op(case.op, x).ravel())
        phases: dict[str, int] = {}
        for function, counts in profile.by_function.items():
            phase = case.binding.phases.get(function, "other")
            phases[phase] = phases.get(phase, 0) + counts.cycles
        rows.append(
            Row(
                layer=case.layer,
                kernel=case.binding.kernel,
                scope=case.scope,
                variant=case.variant,
                L=reused.length if reused else None,
                H=reused.hash.hashes if reused else None,
                core=core,
                cycles=profile.total.cycles,
                instructions=profile.total.instructions,
                ratio_cmsis_style=None,
                ratio_best_dense=None,
                sram_bytes=x.size + case.op.output.size + case.binding.scratch_bytes,
                flash_bytes=case.binding.flash_bytes,
                phases=phases,
            )
        )
    return with_ratios(rows)


def with_ratios(rows: list[Row]) -> list[Row]:
    """Each row of a convolution beside both conventional kernels of its layer."""
    cycles = {(row.layer, row.kernel): row.cycles for row in rows}

    def ratio(row: Row, kernel: str) -> float | None:
        baseline = cycles.get((row.layer, kernel))
        return None if baseline is None else baseline / row.cycles

    return [
        replace(row, ratio_cmsis_style=ratio(row, "conv_s8_cmsis"), ratio_best_dense=ratio(row, "conv_s8_dense"))
        for row in rows
    ]


def page(rows: list[Row], data_dir: Path | None) -> str:
    """docs/results/kernels.md."""
    data = "the digits" if data_dir is None else "CIFAR-10"
    command = "python benchmarks/kernels.py" + ("" if data_dir is None else " --data-dir DIR")
    return f"""# Kernels

Modelled cycles, no wait states, random weights and smooth random inputs; each row's bits are checked against the
integer reference first. The Cortex-M7's model is not calibrated. Each layer's cycles are beside both conventional
kernels of the same run. SRAM is input, output and scratch. `reuse_pointers_s8` is code generated for the layer's sizes;
so are the sums of `stem_s8`, which is random here (20 coefficients of 9 planes). *7 bits* are tables whose entries a
pair of rows can add within int8.

Image scope reads real activations: one held-out image of {data}, through a CifarNet with weights drawn by a seed and
batch norm fitted to the images; hashes are principal axes of calibration images. *Hash by block* is one hash for all
kernel positions, otherwise each slice has its own. *b* is rows of a block, *l* rows of a horizontal panel; *slots* are
told where they may be too few, and blocks that find none are computed by themselves.

{markdown(rows)}

{provenance(command, "fixed in the program")}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="CIFAR-10; by default the embedded digits")
    arguments = parser.parse_args()
    cases = [*(case for source in CASES for case in source()), *image_cases(arguments.data_dir)]
    rows = [row for core in CORES for row in measure(core, cases)]
    Console(width=220).print(terminal(rows))
    write_atomically(RESULTS / "kernels.md", page(rows, arguments.data_dir).encode())
    if arguments.json:
        write_atomically(arguments.json, as_json(rows))


if __name__ == "__main__":
    main()
