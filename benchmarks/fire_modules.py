"""SqueezeNet with compiled 3×3 expands: what it saves that they write where their Fire module concatenates.

    python benchmarks/fire_modules.py [--data-dir CIFAR10]

The trained SqueezeNet that comes with the package, its eight 3×3 expands in compiled scope (trees of thresholds, L=8,
H=4, or L=16, H=6), calibrated on training images and not trained further. One inference of the same network on a
modelled STM32F469I, without wait states, with a copying concatenation behind every compiled expand and without; the
bits of both are checked against the integer reference. Writes docs/results/fire-modules.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import ostinato as ost
from ostinato import data
from ostinato.files import write_atomically
from ostinato.firmware.builds import Builder
from ostinato.firmware.codegen.project import Project
from ostinato.firmware.joining import join
from ostinato.firmware.memory import plan_memory
from ostinato.firmware.select import bind_all
from ostinato.firmware.simulate import SimulatedNetwork, layer_reports
from ostinato.kernels.binding import Binding
from ostinato.models.squeezenet import FIRES
from ostinato.quant import quantize, quantize_input
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QGraph, QReuseCompiled
from ostinato.quant.reference import execute
from ostinato.targets.boards import get_board
from provenance import RESULTS, provenance

BOARD = get_board("stm32f469i")
LAYERS = [f"{fire}.expand3x3" for fire in FIRES]
SIZES = ((8, 4), (16, 6))
IMAGES = 128


@dataclass(frozen=True)
class Row:
    """One network on the simulated core."""

    network: str
    cycles: int
    expands: int
    """Of it in the 3×3 expands."""
    concatenations: int
    sram_bytes: int


def measure(network: str, graph: QGraph, image: Int8Array, bindings: Sequence[Binding]) -> Row:
    """One inference; each layer on its kernel that is fastest by estimate."""
    joined_bindings, joined = join(graph, bindings)
    plan = plan_memory(graph, [b.scratch_bytes for b in joined_bindings], [b.kernel for b in joined_bindings], joined)
    project = Project(graph, joined_bindings, plan, BOARD)
    with tempfile.TemporaryDirectory() as folder:
        project.write(Path(folder) / "project")
        elf = Builder(Path(folder) / "project", Path(folder), BOARD, "zig").firmware(unlimited=True)
        output, profile = SimulatedNetwork(elf, graph, plan, BOARD).run(image)
    np.testing.assert_array_equal(output, execute(graph, image)[graph.output.name])
    layers = layer_reports(project, [profile], [[]])
    return Row(
        network=network,
        cycles=sum(layer.cycles for layer in layers),
        expands=sum(layer.cycles for layer in layers if layer.name in LAYERS),
        concatenations=sum(layer.cycles for layer in layers if layer.name.endswith(".cat")),
        sram_bytes=plan.arena_bytes,
    )


def rows(data_dir: str | None) -> list[Row]:
    """The conventional network, then each size with copies and without."""
    dataset = data.load("digits", seed=0) if data_dir is None else data.load("cifar10", data_dir=data_dir, seed=0)
    images = data.to_input(dataset.train.images[:IMAGES])
    model = ost.models.pretrained("squeezenet-cifar10").eval()
    graph = quantize(model, images, input_scale=1 / 128)
    (image,) = quantize_input(images[:1], graph.input)
    found = [measure("conventional, best dense", graph, image, bind_all(graph))]
    for length, hashes in SIZES:
        pattern = ost.Pattern(
            length, hashes, scope="compiled", sharing="block", clustering="tree", init="thresholds", gradient="frozen"
        )
        reuse = ost.calibrate(ost.convert(model, dict.fromkeys(LAYERS, pattern)), images).eval()
        graph = quantize(reuse, images, input_scale=1 / 128)
        bindings = bind_all(graph)
        copied = [
            replace(binding, strided=False) if isinstance(op, QReuseCompiled) else binding
            for op, binding in zip(graph.ops, bindings, strict=True)
        ]
        name = f"3×3 expands compiled, L={length}, H={hashes}"
        found.append(measure(f"{name}, copied", graph, image, copied))
        found.append(measure(f"{name}, written side by side", graph, image, bindings))
    return found


def page(found: Sequence[Row], command: str) -> str:
    """The page."""
    first = found[0]
    lines = [
        f"| {row.network} | {row.cycles:,} | {first.cycles / row.cycles:.2f} | {row.expands:,} | "
        f"{row.concatenations:,} | {row.sram_bytes:,} |"
        for row in found
    ]
    return "\n".join(
        [
            "# Fire modules",
            "",
            "SqueezeNet on a modelled Cortex-M4 without wait states, one image, layers on the kernels that are fastest",
            "by estimate. Its eight 3×3 expands are compiled; the 1×1 expands beside them are dense. *Copied*: a",
            "concatenation moves the compiled half. *Written side by side*: it has nothing to do. Outputs have the",
            "integer reference's bits. No statement about accuracy: tables are calibrated, nothing is trained.",
            "",
            "| network | cycles | × best dense | 3×3 expands | concatenations | arena, B |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            "",
            provenance(command, "fixed in the program"),
        ]
    )


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="CIFAR-10; the embedded digits without")
    arguments = parser.parse_args()
    command = "python benchmarks/fire_modules.py" + (" --data-dir DIR" if arguments.data_dir else "")
    text = page(rows(arguments.data_dir), command)
    write_atomically(RESULTS / "fire-modules.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
