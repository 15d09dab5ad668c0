"""What the board program printed over its serial port, beside what is modelled and computed here."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from ostinato.errors import DataError
from ostinato.firmware.firmware import Firmware
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QTensor


@dataclass(frozen=True)
class MeasuredLayer:
    """A layer's cycles by the model and by the board's cycle counter (DWT)."""

    name: str
    kernel: str
    modelled: int
    measured: int

    @property
    def difference(self) -> float:
        """Of the model, relative to the board."""
        return self.modelled / self.measured - 1 if self.measured else 0.0


@dataclass(frozen=True)
class MeasuredReport:
    """A network on the board and on the model, for the board program's own image.

    Attributes:
        cycle_model: of the modelled cycles, with the board's flash wait states.
        layers: in execution order.
        expected: the output that the simulator computed.
        output: what the board printed.
    """

    network: str
    board: str
    cycle_model: str
    layers: tuple[MeasuredLayer, ...]
    expected: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def total(self) -> MeasuredLayer:
        """All layers."""
        return MeasuredLayer(
            "total", "", sum(layer.modelled for layer in self.layers), sum(layer.measured for layer in self.layers)
        )

    @property
    def same_output(self) -> bool:
        """Whether the board computed what it should."""
        return self.expected == self.output

    def to_dict(self) -> Mapping[str, Any]:
        """A document for JSON."""
        return {**asdict(self), "total": asdict(self.total), "same_output": self.same_output}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(title=f"{self.network} on {self.board}, measured", title_justify="left", box=SIMPLE_HEAD)
        table.add_column("layer", overflow="fold", min_width=8)
        table.add_column("kernel", overflow="fold", min_width=12)
        for title in ("measured", "modelled", "difference"):
            table.add_column(title, justify="right", no_wrap=True)
        for layer in (*self.layers, self.total):
            difference = f"{layer.difference:+.1%}" if layer.measured else ""
            table.add_row(layer.name, layer.kernel, f"{layer.measured:,}", f"{layer.modelled:,}", difference)
        yield table
        yield f"cycles; modelled: {self.cycle_model}, caches empty at first, where the board ran twice"
        yield (
            "the output is the one that was computed here, bit for bit"
            if self.same_output
            else f"the board printed the output {list(self.output)} where {list(self.expected)} is right: is it this "
            "firmware, and are all of its sections on the board?"
        )

    def __str__(self) -> str:
        stream = io.StringIO()
        Console(file=stream, width=120).print(self)
        return stream.getvalue().rstrip()


def compare_with_board(firmware: Firmware, printed: str) -> MeasuredReport:
    """The board program's table (`make board`) beside a simulation of the same image with the board's wait states.

    Args:
        firmware: that ran.
        printed: what came over the serial port; only the last complete table counts.

    Raises:
        DataError: there is no complete table, or it is another network's.
        SimulationError, ToolchainError: see `Firmware.simulate`.
    """
    rows, output = _read(printed)
    names = [op.name for op in firmware.graph.ops]
    if [name for name, _ in rows] != names:
        found = next((a for (a, _), b in zip(rows, names, strict=False) if a != b), f"{len(rows)} layers")
        raise DataError(
            f"The board's table is not this firmware's: it has {found} where {firmware.graph.name} has the layers "
            f"{', '.join(names)}."
        )
    waits = firmware.board.flash_wait_states if firmware.board.memory else 0
    report = firmware.simulate(board_image(firmware.graph.input), flash_wait_states=waits)
    layers = tuple(
        MeasuredLayer(layer.name, layer.kernel, layer.cycles, measured)
        for layer, (_, measured) in zip(report.layers, rows, strict=True)
    )
    expected = tuple(int(n) for n in report.logits.reshape(-1))
    return MeasuredReport(report.network, report.board, report.cycle_model, layers, expected, tuple(output))


def board_image(tensor: QTensor) -> Int8Array:
    """The image that `board/benchmark.c` runs."""
    i = np.arange(tensor.size)
    return ((i * 89 + (i >> 5)) & 255).astype(np.uint8).view(np.int8).reshape(tensor.shape)


def _read(printed: str) -> tuple[list[tuple[str, int]], list[int]]:
    """(layer, cycles) of the last complete table, and the output below it.

    Raises:
        DataError: there is none.
    """
    lines = [line.split() for line in printed.splitlines()]
    starts = [n for n, words in enumerate(lines) if words == ["layer", "kernel", "cycles", "us"]]
    for start in reversed(starts):
        body = lines[start + 1 :]
        end = next((n for n, words in enumerate(body) if words[:1] == ["total"]), None)
        if end is not None and len(body) > end + 1 and body[end + 1][:1] == ["output"]:
            return [_row(words) for words in body[:end]], [_number(word) for word in body[end + 1][1:]]
    raise DataError(
        "There is no complete table of the board program in this text: from a line 'layer kernel cycles us' to a line "
        "'output ...'. Copy all that the serial port printed (115200 baud, 8N1)."
    )


def _row(words: Sequence[str]) -> tuple[str, int]:
    if len(words) < 3:
        raise DataError(f"The board's table has the line {' '.join(words)!r}, which is no layer.")
    return words[0], _number(words[-2])


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise DataError(f"The board's table has {word!r} where a number belongs.") from None
