"""What a verification found, layer by layer: a table to print, a document to keep."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from ostinato.errors import CheckpointError


@dataclass(frozen=True)
class Difference:
    """Where one execution of a layer differs most from the integer executor.

    `position` is (row, column, channel) or (feature,) in the layer's output, of which `count` of `elements` differ.
    """

    layer: str
    operator: str
    execution: str
    image: int
    count: int
    elements: int
    position: tuple[int, ...]
    expected: int
    found: int

    def __str__(self) -> str:
        return (
            f"Layer {self.layer} ({self.operator}): {self.execution} differs from the integer executor on image "
            f"{self.image} in {self.count:,} of {self.elements:,} outputs, most at {self.position}: {self.found} "
            f"instead of {self.expected}; all layers before it agree."
        )


@dataclass(frozen=True)
class LayerVerification:
    """One layer.

    Attributes:
        elements: outputs for one image.
        differing: outputs that differed from the integer executor's, over all images and executions.
        largest_difference: of these, in steps of int8.
        snr_db: power of the float model's outputs over that of the error of this layer's, in dB; all layers up to this
            one have contributed to the error. None: not compared; infinite: no error.
        own_snr_db: the same for a float layer that is given this layer's int8 inputs: the error it makes itself.
    """

    name: str
    operator: str
    kernel: str
    elements: int
    differing: int = 0
    largest_difference: int = 0
    snr_db: float | None = None
    own_snr_db: float | None = None

    def with_difference(self, difference: Difference) -> LayerVerification:
        """This layer with one more execution that differs."""
        apart = abs(difference.found - difference.expected)
        return replace(
            self,
            differing=self.differing + difference.count,
            largest_difference=max(self.largest_difference, apart),
        )


@dataclass(frozen=True)
class VerificationReport:
    """`images` images, run by all of `executions` and compared with the first of them, the integer executor.

    Attributes:
        layers: in execution order.
        first_difference: of the first layer that differs, None if every execution has the same bits everywhere.
    """

    network: str
    images: int
    executions: tuple[str, ...]
    layers: tuple[LayerVerification, ...]
    first_difference: Difference | None = None

    @property
    def agrees(self) -> bool:
        """Whether all executions have the same bits in every layer."""
        return self.first_difference is None

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.first_difference is not None:
            return str(self.first_difference)
        return f"{self.images} images: {', '.join(self.executions)} agree bit for bit in every layer"

    def to_dict(self) -> dict[str, Any]:
        """A document for JSON, which has no infinity: a layer without any error has the text "inf"."""
        document = asdict(self)
        for layer in document["layers"]:
            for key in ("snr_db", "own_snr_db"):
                layer[key] = "inf" if layer[key] == math.inf else layer[key]
        return {**document, "agrees": self.agrees}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> VerificationReport:
        """What `to_dict` wrote.

        Raises:
            CheckpointError: it is not such a document.
        """
        try:
            layers: list[dict[str, Any]] = [
                {k: math.inf if v == "inf" else v for k, v in row.items()} for row in document["layers"]
            ]
            first = document["first_difference"]
            return cls(
                network=document["network"],
                images=document["images"],
                executions=tuple(document["executions"]),
                layers=tuple(LayerVerification(**layer) for layer in layers),
                first_difference=first and Difference(**{**first, "position": tuple(first["position"])}),
            )
        except (KeyError, TypeError, AttributeError) as problem:
            raise CheckpointError(f"The saved verification is damaged ({problem!r}); deploy again.") from problem

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _table(self)
        yield self.summary

    def __str__(self) -> str:
        stream = io.StringIO()
        Console(file=stream, width=120).print(self)
        return stream.getvalue().rstrip()


def _table(report: VerificationReport) -> Table:
    title = f"{report.network}: every layer against the integer executor"
    compared = any(layer.snr_db is not None for layer in report.layers)
    if compared:
        title += " and the float model"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("layer", overflow="fold", min_width=8)
    table.add_column("kernel", overflow="fold", min_width=10)
    table.add_column("bits", no_wrap=True)
    for heading in ("SNR", "own SNR") if compared else ():
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in report.layers:
        noise = (_decibels(layer.snr_db), _decibels(layer.own_snr_db)) if compared else ()
        table.add_row(layer.name, layer.kernel, _bits(layer, report), *noise)
    return table


def _bits(layer: LayerVerification, report: VerificationReport) -> str:
    if layer.differing == 0:
        return "equal"
    first = report.first_difference is not None and report.first_difference.layer == layer.name
    text = f"{layer.differing:,} differ, by up to {layer.largest_difference}"
    return f"{text} (first)" if first else text


def _decibels(value: float | None) -> str:
    return "-" if value is None else "exact" if value == math.inf else f"{value:.1f} dB"
