"""The whole network under budgets: one option for each layer, a multiple-choice knapsack for SciPy's MILP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

ADDED = ("loss", "cycles", "flash_bytes", "external_bytes")
"""What a network has as much of as its layers together. SRAM is the most that one of them needs."""

RESOURCES = (*ADDED, "sram_bytes")


@dataclass(frozen=True)
class Option:
    """One candidate of a layer in one place, in numbers: divergence in nats, cycles, bytes.

    `family` is its kernel's, if of reuse; `external_bytes` are its constants in external flash, `flash_bytes` the rest.
    """

    key: str
    loss: float
    cycles: float
    flash_bytes: float
    sram_bytes: float
    family: str = ""
    external_bytes: float = 0.0

    def of(self, resource: str) -> float:
        """By name."""
        return float(getattr(self, resource))


Layers = Sequence[Sequence[Option]]
Limits = Mapping[str, float]


def choose(layers: Layers, minimise: str, limits: Limits) -> list[Option] | None:
    """One option of each layer, with the least sum of `minimise` within the limits; None if there is none.

    Args:
        layers: the options of each, at least one.
        minimise: one of `ADDED`.
        limits: by resource: of the sums of options, and for `sram_bytes` of every option.
    """
    most = limits.get("sram_bytes", np.inf)
    allowed = [[option for option in options if option.sram_bytes <= most] for options in layers]
    if not all(allowed):
        return None
    flat = [option for options in allowed for option in options]
    one_each = np.zeros((len(allowed), len(flat)))
    first = 0
    for row, options in enumerate(allowed):
        one_each[row, first : first + len(options)] = 1
        first += len(options)
    constraints = [LinearConstraint(one_each, 1, 1)]
    for resource in ADDED:
        if resource in limits:
            scale = max(1e-300, abs(limits[resource]))  # the solver's tolerances are absolute
            amounts = np.array([[option.of(resource) for option in flat]])
            constraints.append(LinearConstraint(amounts / scale, -np.inf, limits[resource] / scale))
    cost = np.array([option.of(minimise) for option in flat])
    scale = float(cost.max(initial=0.0)) or 1.0
    found = milp(
        cost / scale, integrality=np.ones(len(flat)), bounds=Bounds(0, 1), constraints=constraints,
        options={"mip_rel_gap": 0.0},
    )  # fmt: skip
    if found.x is None:
        return None
    return [option for option, taken in zip(flat, found.x, strict=True) if taken > 0.5]


def total(options: Sequence[Option], resource: str) -> float:
    """Of a network of these options."""
    amounts = [option.of(resource) for option in options]
    return max(amounts) if resource == "sram_bytes" else sum(amounts)


def least(layers: Layers, resource: str, limits: Limits) -> float | None:
    """The least of a resource that a network within `limits` of the others can have; None if nothing meets those."""
    others = {name: limit for name, limit in limits.items() if name != resource}
    if resource != "sram_bytes":
        found = choose(layers, resource, others)
        return None if found is None else total(found, resource)
    for bytes_ in sorted({option.sram_bytes for options in layers for option in options}):
        if choose(layers, "cycles", {**others, "sram_bytes": bytes_}) is not None:
            return bytes_
    return None
