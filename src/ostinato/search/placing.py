"""Where a layer's large constants may lie, and what a candidate costs there: in internal or in external flash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ostinato.firmware.external import Outside


def may_be_inside(outside: Outside, layer: str) -> bool:
    """Whether all of a layer's constants may be in internal flash."""
    return isinstance(outside, str) or layer not in outside


def may_be_outside(outside: Outside, layer: str) -> bool:
    """Whether a layer's large constants may be in external flash."""
    return outside == "auto" or (not isinstance(outside, str) and layer in outside)


@dataclass(frozen=True)
class Place:
    """A candidate whose large constants are inside, or outside: cycles, bytes of both flashes, and of the external
    one's those that are copied into SRAM before it runs."""

    cycles: float
    flash_bytes: float
    external_bytes: float = 0.0
    staged_bytes: float = 0.0


def places(numbers: Mapping[str, Any], outside: Outside, layer: str) -> list[Place]:
    """Of a profiled row or a conventional layer; none if it has nothing for the external flash that it has to use.

    Args:
        numbers: `cycles` and `flash_bytes` with everything inside; `external_bytes` that may be outside, and
            `cycles_external` with them there, of which `staged_bytes` were copied into SRAM first. Where SRAM is short
            they are read where they are, which takes `wait_estimate` cycles, and no fewer than with the copy.
        outside: see `ostinato.firmware.external`.
        layer: by name.
    """
    found = []
    if may_be_inside(outside, layer):
        found.append(Place(numbers["cycles"], numbers["flash_bytes"]))
    large = numbers["external_bytes"]
    if large and may_be_outside(outside, layer):
        cycles, inside, staged = numbers["cycles_external"], numbers["flash_bytes"] - large, numbers["staged_bytes"]
        found.append(Place(cycles, inside, large, staged))
        if staged:
            found.append(Place(max(cycles, numbers["cycles"] + numbers["wait_estimate"]), inside, large))
    return found
