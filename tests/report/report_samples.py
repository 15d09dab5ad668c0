"""Made-up reports for the tests: the shape of a real run, none of its numbers."""

from __future__ import annotations

import dataclasses
import string

from hypothesis import strategies as st

from ostinato.report import BEST_DENSE, CMSIS_STYLE, CONVENTIONAL, Layer, Phases, Report, Row, Spread

CLOCK = 180_000_000


def layer(name: str, kernel: str, reuse: tuple[int, int, int, int] | None, other: int, **more) -> Layer:
    """A layer from its phases (transformation, clustering, GEMM, recovering); `reuse=None`: all is GEMM and other."""
    if reuse is None:
        phases = Phases(transformation=other // 3, gemm=other, other=other // 20)
    else:
        phases = Phases(
            transformation=reuse[0], clustering=reuse[1], gemm=reuse[2], recovering=reuse[3], other=other
        )
    total = phases.total
    return Layer(name=name, kernel=kernel, cycles=total, instructions=total * 4 // 5, phases=phases, **more)


def row(method: str, scope: str | None, kernel: str, layers: list[Layer], **more) -> Row:
    cycles = sum(entry.cycles for entry in layers) + 20_000
    numbers = {
        "top1_float": 0.77,
        "top1_int8": 0.768,
        "redundancy_ratio": None,
        "flops_remaining": 1.0,
        "instructions": cycles * 4 // 5,
        "sram_bytes": 61_440,
        "flash_bytes": 820_000,
    } | more
    return Row(
        method=method,
        scope=scope,
        kernel=kernel,
        cycles=cycles,
        ms=cycles / CLOCK * 1e3,
        layers=tuple(layers),
        **numbers,
    )


def with_external(report: Report) -> Report:
    """The report with the last method's fc1 and conv2 in external flash, whose waiting is a tenth of their time."""
    *others, last = report.rows
    layers = tuple(
        dataclasses.replace(entry, external_bytes=614_400, external_wait_cycles=entry.cycles // 10)
        if entry.name in ("fc1", "conv2") else entry
        for entry in last.layers
    )  # fmt: skip
    waits = sum(entry.external_wait_cycles for entry in layers)
    row = dataclasses.replace(last, layers=layers, external_bytes=1_228_800, external_wait_cycles=waits)
    return dataclasses.replace(report, rows=(*others, row))


def sample_report(**more) -> Report:
    """Five rows, as `ostinato run` makes them."""
    tail = [layer("pool2", "max-pool", None, 90_000), layer("fc1", "fully-connected", None, 700_000)]

    def network(conv1: Layer, conv2: Layer) -> list[Layer]:
        return [conv1, layer("pool1", "max-pool", None, 210_000), conv2, *tail]

    image = {"pattern": "L=16 H=6 kh.kw.c, image scope", "redundancy_ratio": 0.61}
    compiled = {"pattern": "L=8 H=4 kh.kw.c, compiled scope", "redundancy_ratio": 0.94}
    rows = (
        row(CONVENTIONAL, None, CMSIS_STYLE, network(
            layer("conv1", "cmsis-style", None, 6_600_000), layer("conv2", "cmsis-style", None, 15_400_000))),
        row(CONVENTIONAL, None, BEST_DENSE, network(
            layer("conv1", "best-dense", None, 3_100_000), layer("conv2", "best-dense", None, 8_100_000)),
            flash_bytes=1_010_000),
        row("Deep Reuse (random hashes)", "image", "reuse", network(
            layer("conv1", "best-dense", None, 3_100_000),
            layer("conv2", "reuse-image", (500_000, 1_900_000, 1_200_000, 800_000), 100_000, **image)),
            redundancy_ratio=0.61, flops_remaining=0.44, top1_float=0.662, top1_int8=0.659),
        row("TREC (learned)", "image", "reuse", network(
            layer("conv1", "best-dense", None, 3_100_000),
            layer("conv2", "reuse-image", (500_000, 1_900_000, 1_500_000, 800_000), 100_000, **image)),
            redundancy_ratio=0.58, flops_remaining=0.47, top1_float=0.741, top1_int8=0.738,
            top1_int8_spread=Spread(minimum=0.731, maximum=0.744, seeds=3)),
        row("TREC (learned)", "compiled", "reuse", network(
            layer("conv1", "reuse-compiled", (0, 500_000, 0, 900_000), 100_000, **compiled),
            layer("conv2", "reuse-compiled", (0, 160_000, 0, 900_000), 70_000, **compiled)),
            redundancy_ratio=0.94, flops_remaining=0.12, top1_float=0.764, top1_int8=0.763, flash_bytes=1_090_000),
    )  # fmt: skip
    fields = {
        "network": "cifarnet",
        "data": "cifar10",
        "board": "stm32f469i",
        "commit": "0123456789abcdef",
        "seed": 0,
        "rows": rows,
        "test_images": 10_000,
        "command": "ostinato run --model cifarnet --data cifar10 --data-dir DIR --board stm32f469i --out runs/demo",
        "ostinato_version": "0.1.0",
        "wall_seconds": 271.5,
        "clock_hz": CLOCK,
        "cycle_model": "cortex-m4, 5 wait states",
        "notes": ("Made up.",),
    }
    return Report(**(fields | more))


counts = st.integers(0, 2**53)
fractions = st.floats(0, 1)
# Any printable text, markup of all three output languages included.
words = st.text(string.printable + "äπ–|<&[]*`", max_size=12)


def optional(values):
    return st.none() | values


layers = st.builds(
    lambda phases, **more: Layer(cycles=phases.total, phases=phases, **more),
    phases=st.builds(Phases, **dict.fromkeys(("transformation", "clustering", "gemm", "recovering", "other"), counts)),
    name=words,
    kernel=words,
    instructions=counts,
    pattern=optional(words),
    redundancy_ratio=optional(fractions),
)
spreads = st.builds(
    lambda ends, seeds: Spread(minimum=min(ends), maximum=max(ends), seeds=seeds),
    st.tuples(fractions, fractions),
    st.integers(1, 9),
)


@st.composite
def rows(draw) -> Row:
    members = tuple(draw(st.lists(layers, max_size=3, unique_by=lambda entry: entry.name)))
    cycles = draw(optional(counts.map(lambda extra: extra + sum(entry.cycles for entry in members))))
    return Row(
        method=draw(words),
        scope=draw(optional(st.sampled_from(["image", "batch", "compiled"]))),
        kernel=draw(words),
        layers=members,
        cycles=cycles,
        ms=None if cycles is None else cycles / CLOCK * 1e3,
        **{name: draw(optional(fractions)) for name in ("top1_float", "top1_int8", "redundancy_ratio")},
        flops_remaining=draw(optional(st.floats(0, 1e9))),
        **{name: draw(optional(counts)) for name in ("instructions", "sram_bytes", "flash_bytes")},
        top1_float_spread=draw(optional(spreads)),
        top1_int8_spread=draw(optional(spreads)),
    )


reports = st.builds(
    Report,
    network=words,
    data=words,
    board=words,
    commit=optional(words),
    seed=counts,
    rows=st.lists(rows(), max_size=3).map(tuple),
    test_images=optional(st.integers(1, 10**6)),
    command=optional(words),
    wall_seconds=optional(st.floats(0, 1e6)),
    clock_hz=st.sampled_from([None, CLOCK]),
    notes=st.lists(words, max_size=2).map(tuple),
)
