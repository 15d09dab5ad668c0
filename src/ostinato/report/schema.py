"""What one run found, as data: `report.json`, a stable and versioned interface (see `docs/report.md`).

Accuracies and ratios are fractions from 0 to 1, sizes bytes, times milliseconds or seconds. `None` (null) stands where
a number does not exist, such as the redundancy ratio of a conventional convolution; tables show it as "–".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from ostinato.files import write_atomically
from ostinato.report.decode import About, Record, ReportError

SCHEMA_VERSION = 1
"""Raised when a field is renamed or removed, or changes its meaning or unit; not for a new optional field."""

CONVENTIONAL = "conventional"
CMSIS_STYLE = "cmsis-style"
BEST_DENSE = "best-dense"
"""The two conventional rows (method `CONVENTIONAL`) that every latency is compared with, by their kernel."""

PHASES = ("transformation", "clustering", "gemm", "recovering", "other")

_MS_TOLERANCE = 0.01

_WAITS = "of cycles, those waited for external flash, or copying from it"


@dataclass(frozen=True, kw_only=True)
class Phases(Record):
    """Where a layer's cycles go, in the phases of GR Table 3; they add up to the layer's cycles."""

    _written: ClassVar[tuple[str, ...]] = PHASES

    transformation: Annotated[int, About("im2col and changes of layout", minimum=0)] = 0
    clustering: Annotated[int, About("hashing, cluster ids, centroids", minimum=0)] = 0
    gemm: Annotated[int, About("multiplications with the weights", minimum=0)] = 0
    recovering: Annotated[int, About("gathering and adding table rows", minimum=0)] = 0
    other: Annotated[int, About("everything else, such as requantisation, pooling, calls", minimum=0)] = 0

    @property
    def total(self) -> int:
        """Sum of all phases, in cycles."""
        return self.transformation + self.clustering + self.gemm + self.recovering + self.other


@dataclass(frozen=True, kw_only=True)
class Layer(Record):
    """What one layer of one method costs for one image."""

    name: Annotated[str, About("qualified name in the model")]
    kernel: Annotated[str, About("the C kernel that runs it")]
    cycles: Annotated[int, About("modelled core cycles", minimum=0)]
    instructions: Annotated[int, About("executed instructions, exact", minimum=0)]
    phases: Annotated[Phases, About("cycles by phase")]
    pattern: Annotated[str | None, About("reuse pattern, in words; null where the layer is conventional")] = None
    redundancy_ratio: Annotated[float | None, About("r_t of this layer in the row's scope", 0, 1)] = None
    note: Annotated[str | None, About("on the kernel: why this one, more SRAM than 1.3 times the conventional")] = None
    choice: Annotated[str | None, About("which of several kernels was taken, with their cycles; null for one")] = None
    conventional_cycles: Annotated[
        int | None, About("of the best conventional kernel in a reuse layer's place; null where not timed", minimum=0)
    ] = None
    warning: Annotated[str | None, About("says so where that kernel is faster")] = None
    external_bytes: Annotated[int, About("constants in external flash", minimum=0)] = 0
    external_wait_cycles: Annotated[int, About(_WAITS, minimum=0)] = 0

    def _check(self) -> None:
        _check_waits(self.external_bytes, self.external_wait_cycles, self.cycles)
        if self.phases.total != self.cycles:
            raise ReportError(f"add up to {self.phases.total:,}, but the layer has {self.cycles:,} cycles", "phases")


@dataclass(frozen=True, kw_only=True)
class Spread(Record):
    """How far an accuracy varies with the seed."""

    minimum: Annotated[float, About("lowest of all seeds", 0, 1)]
    maximum: Annotated[float, About("highest of all seeds", 0, 1)]
    seeds: Annotated[int, About("how many runs", minimum=1)]

    def _check(self) -> None:
        if self.minimum > self.maximum:
            raise ReportError(f"is above the maximum ({self.minimum:g} > {self.maximum:g})", "minimum")


@dataclass(frozen=True, kw_only=True)
class Row(Record):
    """One method: what the network gains and loses by it, on one board, for one image at a time."""

    method: Annotated[str, About(f'the method; "{CONVENTIONAL}" marks the baselines')]
    scope: Annotated[str | None, About("whose vectors share clusters, as deployed; null without reuse")]
    kernel: Annotated[str, About(f'kernel family; the baselines are "{CMSIS_STYLE}" and "{BEST_DENSE}"')]
    top1_float: Annotated[float | None, About("top-1 accuracy of the float model, test set", 0, 1)]
    top1_int8: Annotated[float | None, About("top-1 accuracy of the int8 firmware code, test set", 0, 1)]
    redundancy_ratio: Annotated[float | None, About("r_t = 1 − clusters/vectors, in this scope", 0, 1)]
    flops_remaining: Annotated[float | None, About("FLOPs relative to the conventional network's", minimum=0)]
    instructions: Annotated[int | None, About("executed instructions per image, exact", minimum=0)]
    cycles: Annotated[int | None, About("modelled core cycles per image", minimum=0)]
    ms: Annotated[float | None, About("cycles over the board's clock, per image", minimum=0)]
    sram_bytes: Annotated[int | None, About("SRAM: arena, stack and static data", minimum=0)]
    flash_bytes: Annotated[int | None, About("flash: code, weights and tables", minimum=0)]
    layers: Annotated[tuple[Layer, ...], About("the layers in execution order; empty where not simulated")]
    top1_float_spread: Annotated[Spread | None, About("over several seeds")] = None
    top1_int8_spread: Annotated[Spread | None, About("over several seeds")] = None
    external_bytes: Annotated[int, About("external flash: weights and tables, beside flash_bytes", minimum=0)] = 0
    external_wait_cycles: Annotated[int, About(_WAITS, minimum=0)] = 0

    @property
    def is_reuse(self) -> bool:
        """Whether any computation is reused."""
        return self.scope is not None

    def layer(self, name: str) -> Layer | None:
        """The layer of that name, if this row has it."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def _check(self) -> None:
        if (self.ms is None) != (self.cycles is None):
            raise ReportError("must be null exactly where cycles is", "ms")
        names = [layer.name for layer in self.layers]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ReportError(f"layer '{name}' occurs twice", f"layers[{index}].name")
        spent = sum(layer.cycles for layer in self.layers)
        if self.cycles is not None and spent > self.cycles:
            raise ReportError(f"cost {spent:,} cycles together, more than the row's {self.cycles:,}", "layers")
        _check_waits(self.external_bytes, self.external_wait_cycles, self.cycles)
        for name in ("external_bytes", "external_wait_cycles") if self.layers else ():
            together, own = sum(getattr(layer, name) for layer in self.layers), getattr(self, name)
            if together != own:
                raise ReportError(f"is {own:,}, but the layers have {together:,} together", name)


def _check_waits(external_bytes: int, waits: int, cycles: int | None) -> None:
    if waits and not external_bytes:
        raise ReportError(f"is {waits:,}, but nothing is in external flash", "external_wait_cycles")
    if cycles is not None and waits > cycles:
        raise ReportError(f"is {waits:,}, more than all {cycles:,} cycles", "external_wait_cycles")


@dataclass(frozen=True, kw_only=True)
class Report(Record):
    """One run: a network, a data set, a board, and a row for each method."""

    _noun: ClassVar[str] = "a report (a JSON object)"
    _written: ClassVar[tuple[str, ...]] = ("schema_version",)

    schema_version: Annotated[int, About("version of this interface", minimum=1)] = SCHEMA_VERSION
    network: Annotated[str, About("name of the network")]
    data: Annotated[str, About("name of the data set")]
    board: Annotated[str, About("name of the board")]
    commit: Annotated[str | None, About("commit of the code that ran; null outside a checkout")]
    seed: Annotated[int, About("seed of the run", minimum=0)]
    rows: Annotated[tuple[Row, ...], About("one for each method")]
    test_images: Annotated[int | None, About("images that the accuracies were measured on", minimum=1)] = None
    command: Annotated[str | None, About("command line that made the report")] = None
    ostinato_version: Annotated[str | None, About("version of the package")] = None
    wall_seconds: Annotated[float | None, About("duration of the whole run", minimum=0)] = None
    clock_hz: Annotated[int | None, About("the board's core clock", minimum=1)] = None
    cycle_model: Annotated[str | None, About("name of the model behind the cycles")] = None
    notes: Annotated[tuple[str, ...], About("remarks, one sentence each")] = ()

    @property
    def cmsis_style(self) -> Row | None:
        """The conventional row with CMSIS-NN-style kernels, if there is one."""
        return self._baseline(CMSIS_STYLE)

    @property
    def best_dense(self) -> Row | None:
        """The conventional row with our best dense kernels, if there is one."""
        return self._baseline(BEST_DENSE)

    def _baseline(self, kernel: str) -> Row | None:
        return next((row for row in self.rows if (row.method, row.kernel) == (CONVENTIONAL, kernel)), None)

    def _check(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ReportError(
                f"this ostinato reads version {SCHEMA_VERSION}, not {self.schema_version}", "schema_version"
            )
        seen: set[str] = set()
        for index, row in enumerate(self.rows):
            if row.method == CONVENTIONAL and row.kernel in (CMSIS_STYLE, BEST_DENSE):
                if row.kernel in seen:
                    raise ReportError(f"a second conventional row with kernel '{row.kernel}'", f"rows[{index}]")
                seen.add(row.kernel)
            if self.clock_hz is not None and row.cycles is not None and row.ms is not None:
                ms = row.cycles / self.clock_hz * 1e3
                if abs(row.ms - ms) > _MS_TOLERANCE * ms:
                    raise ReportError(f"{row.ms:g} is not cycles over clock_hz, {ms:g}", f"rows[{index}].ms")

    def to_json(self) -> str:
        """The report as JSON text, ending in a newline; equal reports give equal text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report in JSON text.

        Raises:
            ReportError: if it is not JSON, of another schema version, or has a missing, unknown, mistyped or impossible
                field; the message starts with the field's path.
        """
        try:
            found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise ReportError(f"not JSON: {error}") from None
        except (RecursionError, ValueError) as error:  # nested too deep; an integer of thousands of digits
            raise error if isinstance(error, ReportError) else ReportError(f"not a report: {error}") from None
        if isinstance(found, dict):
            _check_version(found)
        return cls.from_dict(found)

    def write(self, path: Path) -> Path:
        """Write `report.json`, whole or not at all; returns `path`."""
        write_atomically(path, self.to_json().encode())
        return path

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read `report.json`.

        Raises:
            ReportError: if the file is missing, unreadable, or `from_json` refuses its text.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ReportError(f"cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ReportError(f"{path} is not a report: it is not UTF-8 text") from None
        except ReportError as error:
            raise ReportError(f"{path}: {error}") from None


def _check_version(found: dict[str, Any]) -> None:
    """Before anything else: of another version, other fields may rightly be unknown or missing."""
    if "schema_version" not in found:
        raise ReportError("missing field", "schema_version")
    version = found["schema_version"]
    if isinstance(version, int) and not isinstance(version, bool) and version != SCHEMA_VERSION:
        raise ReportError(f"this ostinato reads version {SCHEMA_VERSION}, not {version}", "schema_version")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ReportError(f"not a report: the field '{name}' occurs twice in one object")
        found[name] = value
    return found


def _refuse_constant(name: str) -> float:
    raise ReportError(f"not JSON: it has the number {name}")
