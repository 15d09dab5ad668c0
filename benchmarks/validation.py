"""Modelled time of networks beside published times on silicon: `python benchmarks/validation.py [--json FILE]`.

Writes docs/validation.md. Our conventional kernels run every layer's shape with random weights on the simulator,
constants in flash with the part's wait states. Nothing is fitted. Add a measurement to `PUBLISHED` with its source, or
a network to `validation_networks.py`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ostinato.files import write_atomically
from ostinato.firmware.kernel_runner import KernelRunner
from ostinato.targets import MemorySystem, get_board, memory_of
from ostinato.targets.memory import Cache
from provenance import RESULTS, provenance
from validation_networks import NETWORKS, Layer, binding_of, describe, products

PAGE = RESULTS.parent / "validation.md"

F469, F767 = get_board("stm32f469i"), get_board("stm32f767zi")


@dataclass(frozen=True)
class Part:
    """A microcontroller as it was measured: core, clock and memory."""

    name: str
    core: str
    clock_mhz: int
    memory: MemorySystem
    note: str = ""


# The STM32F746 has the STM32F767's buses and caches of 4 KiB.
_F7 = memory_of(F767, 7)
_F4 = memory_of(F469, 5)
assert _F7 is not None
assert _F4 is not None
PARTS = {
    "STM32F469": Part("STM32F469, 180 MHz", "cortex-m4", 180, _F4, "the papers name no clock, its maximum is taken"),
    "STM32L4R5": Part("STM32L4R5, 120 MHz", "cortex-m4", 120, _F4, "its flash and ART are taken as the STM32F469's"),
    "STM32F746": Part(
        "STM32F746, 216 MHz",
        "cortex-m7",
        216,
        replace(_F7, instructions=Cache(32, 64, 2), data=Cache(32, 32, 4), name="7 flash wait states, 4 KiB L1 caches"),
    ),
}


@dataclass(frozen=True)
class Published:
    """A measurement of someone else's software on silicon.

    Attributes:
        software: what ran there.
        ms: an image.
        kernel: which of our convolution kernels is its counterpart.
        source: where the number is from.
        cause: the likely reason of the difference.
        layers: of the ms, each layer's, if they were published.
    """

    network: str
    part: str
    software: str
    ms: float
    kernel: str
    source: str
    cause: str
    layers: tuple[float, ...] = ()


TREC = "TREC (NeurIPS 2022), table 2, conventional"
TINY = "MLPerf Tiny v1.0 (github.com/mlcommons/tiny_results_v1.0), image classification, median throughput"
PAPER = (
    "Lai, Suda and Chandra: CMSIS-NN, arXiv 1801.06601, the table of the CIFAR-10 network; **its figures are quoted "
    "from memory**, for the texts at hand have the paper's abstract and that its example is Caffe's network, not the "
    "table; they add up to its total"
)
LIBRARY = "Their CMSIS-NN computes in 8-bit fixed point (`q7`); ours is a kernel in the style of its int8 form. "

PUBLISHED = (
    Published(
        "CifarNet", "STM32F469", "CMSIS-NN", 217.32, "cmsis", TREC,
        LIBRARY + "The compiler, its level and the clock are not published.",
    ),
    Published(
        "SqueezeNet", "STM32F469", "CMSIS-NN", 1639.51, "cmsis", TREC,
        LIBRARY + "Theirs takes 5.6 cycles a product here and 2.7 on CifarNet, so half of its time is likely not in "
        "the convolutions' own loops: layout transformations, im2col of 1×1 layers, concatenations. Not confirmed.",
    ),
    Published(
        "SqueezeNet, complex bypass", "STM32F469", "CMSIS-NN", 1998.86, "cmsis", TREC,
        "As before. The bypass alone (four 1×1 convolutions, 30.4 M products, and four sums) adds 359 ms there; the "
        "difference of these two rows is ours.",
    ),
    Published(
        "ResNet-8", "STM32L4R5", "microTVM with CMSIS-NN", 1e3 / 2.567, "cmsis", TINY + ", OctoML",
        "microTVM's build without CMSIS-NN is as fast (2.569/s), so little of the network seems to reach that library.",
    ),
    Published(
        "ResNet-8", "STM32L4R5", "X-CUBE-AI 7.3", 1e3 / 4.407, "dense", TINY + ", STMicroelectronics",
        "Another library, closed source; compiled by GCC. Flash and ART of another family.",
    ),
    Published(
        "ResNet-8", "STM32L4R5", "X-CUBE-AI 8.0", 1e3 / 4.505, "dense", TINY.replace("1.0", "1.1") + ", Krai",
        "As before.",
    ),
    Published(
        "ResNet-8", "STM32L4R5", "Plumerai Inference Engine", 1e3 / 5.775, "dense", TINY + ", Plumerai",
        "Another library, closed source.",
    ),
    Published(
        "ResNet-8", "STM32F746", "Plumerai Inference Engine", 1e3 / 15.440, "dense", TINY + ", Plumerai",
        "The Cortex-M7's model is not calibrated; it predicts branches better and pairs more than silicon may.",
    ),
    Published(
        "Caffe's CIFAR-10 network", "STM32F746", "CMSIS-NN", 99.1, "cmsis", PAPER,
        "The convolutions, 97 % of the time, agree within 6 %, though the compiler, its level and the wait states "
        "are not published, and theirs are the `q7` kernels. Our pooling is one pass and three to four times as "
        "fast as theirs, which pools columns, then rows, in place. They list no ReLU; ours is part of the convolution.",
        (31.4, 1.6, 42.8, 0.4, 22.6, 0.2, 0.1),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A published time and ours."""

    network: str
    part: str
    software: str
    published_ms: float
    kernel: str
    ideal_ms: float
    memory_ms: float
    source: str
    cause: str
    layers: tuple[LayerRow, ...] = ()

    @property
    def difference(self) -> float:
        """Of ours with the part's memory, relative to the published one."""
        return self.memory_ms / self.published_ms - 1


@dataclass(frozen=True)
class LayerRow:
    """The same of one layer."""

    layer: str
    products: int
    published_ms: float
    ideal_ms: float
    memory_ms: float


@cache
def runner(core: str, kernel: str) -> KernelRunner:
    """All networks' kernels for a core."""
    layers = {layer for network in NETWORKS.values() for layer in network()}
    return KernelRunner([binding_of(layer, kernel)[1] for layer in layers], core)


@cache
def cycles(layer: Layer, kernel: str, core: str, memory: MemorySystem | None) -> int:
    """Modelled cycles of one layer; layers of one shape cost the same."""
    op, binding = binding_of(layer, kernel)
    x = np.random.default_rng(1).integers(-128, 128, op.inputs[0].shape).astype(np.int8)
    _, profile = runner(core, kernel).run(binding, x, op.output.size, memory)
    return profile.total.cycles


def compare(published: Published) -> Row:
    """Model the network as it was measured."""
    part, layers = PARTS[published.part], NETWORKS[published.network]()
    ideal, real = (
        [cycles(layer, published.kernel, part.core, memory) / (1e3 * part.clock_mhz) for layer in layers]
        for memory in (None, part.memory)
    )
    each = zip(layers, published.layers, ideal, real, strict=True) if published.layers else ()
    return Row(
        network=published.network,
        part=part.name,
        software=published.software,
        published_ms=published.ms,
        kernel=published.kernel,
        ideal_ms=sum(ideal),
        memory_ms=sum(real),
        source=published.source,
        cause=published.cause,
        layers=tuple(LayerRow(describe(layer), products(layer), *times) for layer, *times in each),
    )


def layer_section(row: Row, clock_mhz: int) -> str:
    """A network layer by layer."""
    heading = ["layer", "products", "published", "cycles a product", "no wait states", "the part's memory"]
    lines = [[*heading, "cycles a product", "difference"], ["---", *["---:"] * 7]]
    for layer in row.layers:
        rate = 1e3 * clock_mhz / layer.products if layer.products else 0.0
        cost = [f"{rate * ms:.2f}" if rate else "" for ms in (layer.published_ms, layer.memory_ms)]
        lines.append(
            [layer.layer, f"{layer.products:,}" if layer.products else "", f"{layer.published_ms:.1f} ms", cost[0],
             f"{layer.ideal_ms:.2f} ms", f"{layer.memory_ms:.2f} ms", cost[1],
             f"{layer.memory_ms / layer.published_ms - 1:+.0%}"]
        )  # fmt: skip
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"### {row.network} with {row.software}, {row.part}\n\n{table}\n"


def page(rows: list[Row]) -> str:
    """docs/validation.md."""
    heading = ["network", "part", "software there", "published", "our kernel", "no wait states", "the part's memory"]
    lines = [[*heading, "difference"], ["---"] * 3 + ["---:", "---"] + ["---:"] * 3]
    for row in rows:
        times = (f"{row.published_ms:.1f} ms", row.kernel, f"{row.ideal_ms:.1f} ms", f"{row.memory_ms:.1f} ms")
        lines.append([row.network, row.part, row.software, *times, f"{row.difference:+.0%}"])
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    causes = "\n".join(
        f"* **{row.network} with {row.software}, {row.part}** ({row.difference:+.0%}; {row.source}). {row.cause}"
        for row in rows
    )
    clocks = {part.name: part.clock_mhz for part in PARTS.values()}
    by_layer = "\n".join(layer_section(row, clocks[row.part]) for row in rows if row.layers)
    notes = "\n".join(f"* {part.name}: {part.memory.name}; {part.note or 'as documented'}." for part in PARTS.values())
    return f"""# Validation

No board of ours has confirmed the [cycle models](boards.md). This page puts them beside times that others published
for networks whose layers are known. It compares *their software on silicon* with *our kernels on the model*: a
difference mixes both, and nothing here is fitted to make it smaller. Layers are run one by one at their shapes with
random weights, every constant in flash; time between layers is not counted.

{table}

*Our kernel*: `cmsis` is the baseline in CMSIS-NN's style (2×2, int8 weights), `dense` our best one.

## By layer

{by_layer}
A difference of a layer of 0.1 or 0.2 ms is as large as the rounding of what was published.

## Sources and likely causes

{causes}

## Parts

{notes}

What a reader with a board can do: the generated project's example prints the cycles of every layer as DWT counts
them, to be put beside `simulate(flash_wait_states=...)`.

{provenance("python benchmarks/validation.py", "fixed in the program")}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    rows = []
    for published in PUBLISHED:
        rows.append(compare(published))
        print(f"{published.network}, {published.software}: {rows[-1].memory_ms:.1f} ms", flush=True)
    shown = Table(title="Modelled and published")
    for name in ("network", "part", "software", "published ms", "ideal ms", "with memory ms", "difference"):
        shown.add_column(name)
    for row in rows:
        times = (f"{row.published_ms:.1f}", f"{row.ideal_ms:.1f}", f"{row.memory_ms:.1f}", f"{row.difference:+.0%}")
        shown.add_row(row.network, row.part, row.software, *times)
    Console(width=180).print(shown)
    write_atomically(PAGE, page(rows).encode())
    if arguments.json:
        write_atomically(arguments.json, json.dumps([asdict(row) for row in rows], indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
