"""Transform-coded stems for CifarNet's first layer: modelled cycles and top-1, calibrated and not trained.

    python benchmarks/stems.py runs/cifar/conventional --data-dir DIR

Writes docs/results/stems-<data>.md. Every kernel's bits are checked against the integer reference on an image before
its cycles are counted; the dense baseline and the CMSIS-style one run in the same program. `G = 0` is the transform
without reuse, its coefficients multiplied by a dense matrix: its cycles are those of the stem kernel's transform, as
measured in the row before it, and those of the best dense kernel for a 1×1 convolution of the coefficients.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kernels import random_conv
from ostinato import data
from ostinato.data import INPUT_SCALE, INPUT_ZERO_POINT, ImageDataset, to_input
from ostinato.files import write_atomically
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_conv
from ostinato.kernels.stem import bind_stem
from ostinato.nn import calibrate, convert
from ostinato.pipeline.networks import calibration_images, load_network
from ostinato.quant import quantize, quantize_input
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import ConvDims, QGraph, QOp
from ostinato.quant.reference import execute_op
from ostinato.reuse import StemPattern
from ostinato.targets.profile import Profile
from ostinato.training import evaluate
from provenance import RESULTS, provenance

LAYER = "conv1"
CALIBRATION = 500
RANGES = 128
PATTERNS = (StemPattern(10, 6), StemPattern(8, 6), StemPattern(6, 8), StemPattern(0))


@dataclass(frozen=True)
class Row:
    """One form of the layer."""

    name: str
    top1: float
    cycles: int
    constants: int
    scratch: int

    def cells(self, dense: int, cmsis: int) -> tuple[str, ...]:
        """The table's row."""
        ratios = (f"{dense / self.cycles:.2f}", f"{cmsis / self.cycles:.2f}")
        memory = (f"{self.constants:,}", f"{self.scratch:,}")
        return (self.name, f"{100 * self.top1:.2f}", f"{self.cycles:,}", *ratios, *memory)


def run(binding: Binding, op: QOp, x: Int8Array) -> Profile:
    """Cost of one call, its bits checked first."""
    output, profile = KernelRunner([binding]).run(binding, x, op.output.size)
    np.testing.assert_array_equal(output, execute_op(op, x).ravel())
    return profile


def conventional(network: nn.Module, dataset: ImageDataset, top1: float) -> Iterator[Row]:
    """Both conventional kernels."""
    graph = quantized(network, dataset)
    x = quantize_input(to_input(dataset.valid.images[:1]), graph.input)[0]
    op = graph.op(LAYER)
    for kernel, name in (("dense", "conventional, best dense"), ("cmsis", "conventional, CMSIS style")):
        binding = bind_conv(op, kernel)
        yield Row(name, top1, run(binding, op, x).total.cycles, binding.flash_bytes, binding.scratch_bytes)


def stems(network: nn.Module, dataset: ImageDataset) -> Iterator[Row]:
    transform = 0
    for pattern in PATTERNS:
        model = convert(copy.deepcopy(network), {LAYER: pattern})
        calibrate(model, calibration_images(dataset, CALIBRATION, 0))
        top1 = evaluate(model.eval(), dataset.valid).top1
        if not pattern.groups:
            yield dense_twin(pattern, top1, transform)
            continue
        graph = quantized(model, dataset)
        op = graph.op(LAYER)
        binding = bind_stem(op)
        profile = run(binding, op, quantize_input(to_input(dataset.valid.images[:1]), graph.input)[0])
        recovering = sum(c.cycles for f, c in profile.by_function.items() if binding.phases.get(f) == "recovering")
        transform = transform or profile.total.cycles - recovering
        name = f"stem, G={pattern.groups}, H={pattern.hashes}, {len(op.groups)} coefficients"
        yield Row(name, top1, profile.total.cycles, binding.flash_bytes, binding.scratch_bytes)


def dense_twin(pattern: StemPattern, top1: float, transform: int) -> Row:
    dims = ConvDims((28, 28, pattern.coefficients), (28, 28, 64), (1, 1))
    conv = random_conv(np.random.default_rng(0), dims)
    binding = bind_conv(conv, "dense")
    x = np.random.default_rng(1).integers(-128, 128, dims.input).astype(np.int8)
    cycles = transform + run(binding, conv, x).total.cycles
    name = f"the transform without reuse, {pattern.coefficients} coefficients (not a kernel: a sum of two)"
    return Row(name, top1, cycles, binding.flash_bytes, binding.scratch_bytes)


def quantized(model: nn.Module, dataset: ImageDataset) -> QGraph:
    images = calibration_images(dataset, RANGES, 0)
    return quantize(model, images, input_scale=INPUT_SCALE, input_zero_point=INPUT_ZERO_POINT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="folder of a trained conventional CifarNet")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    network, meta = load_network(options.network / "model.pt")
    dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
    rows = list(conventional(network, dataset, evaluate(network, dataset.valid).top1))
    dense, cmsis = (row.cycles for row in rows)
    for row in stems(network, dataset):
        rows.append(row)
        print(row, flush=True)
    heading = ("form", "top-1 %, valid", "cycles", "× over best dense", "× over CMSIS style", "flash, B", "scratch, B")
    lines = [heading, ("---", *["---:"] * 6), *(row.cells(dense, cmsis) for row in rows)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    command = "python benchmarks/stems.py runs/cifar/conventional --data-dir DIR"
    text = f"""# Transform-coded stems: {meta["model"]} on {meta["dataset"]}

{LAYER} (32×32×3 → 28×28×64, 5×5) as a [transform-coded stem](../method.md#transform-coded-stems), fitted to
{CALIBRATION} unlabelled training images and not trained; the rest is the conventional network's. Top-1 of the float
network (its ids are the firmware's) on {len(dataset.valid):,} validation images, never the test set; one draw of
calibration images, one trained network. Cycles: modelled Cortex-M4, no wait states, on one image.

{table}

{provenance(command, f"0 (of the calibration images); network seed {meta['seed']}")}"""
    path = RESULTS / f"stems-{meta['dataset']}.md"
    write_atomically(path, text.encode())
    print(path)


if __name__ == "__main__":
    with torch.no_grad():
        main()
