"""From options to networks: limits, the budgets that nothing meets, and a front of whole networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ostinato.search.interactions import Interactions
from ostinato.search.knapsack import ADDED, Option, choose, least, total
from ostinato.search.settings import Budgets, SearchError
from ostinato.targets.boards import Board

DEFAULT_LOSS = 1.0
"""Points of top-1 that may be lost where no budget says anything about latency or loss."""

_UNITS = {"cycles": ("latency", "ms"), "flash_bytes": ("flash", "bytes"), "sram_bytes": ("SRAM", "bytes"),
          "external_bytes": ("external flash", "bytes"), "loss": ("accuracy loss", "points")}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A network's options, what the rest of it takes, and what it may take.

    Attributes:
        options: by layer.
        rest: cycles, both flashes and SRAM of everything that is no option: other layers, code, glue.
        budgets: of the whole network.
        board: its clock and memories.
        code: bytes of each reuse kernel's family; a budget of flash leaves room for all of them.
    """

    options: Mapping[str, Sequence[Option]]
    rest: Mapping[str, float]
    budgets: Budgets
    board: Board
    code: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, options: Mapping[str, Sequence[Option]], base: Mapping[str, Any], budgets: Budgets, board: Board,
        code: Mapping[str, float],
    ) -> Problem:  # fmt: skip
        """With the rest from the conventional network's measurements."""
        others = [layer for name, layer in base["layers"].items() if name not in options]
        rest = {
            "cycles": sum(layer["cycles"] for layer in others),
            "flash_bytes": base["code_bytes"] + sum(layer["flash_bytes"] for layer in others),
            "external_bytes": 0.0,
            "sram_bytes": max((layer["alive_bytes"] + layer["scratch_bytes"] for layer in others), default=0.0),
        }
        used = {option.family for own in options.values() for option in own}
        return cls(options, rest, budgets, board, {name: size for name, size in code.items() if name in used})

    def corrected(self, interactions: Interactions) -> list[list[Option]]:
        """Options with divergences as they count in a network."""
        return [
            [replace(option, loss=option.loss * interactions.factor(layer)) for option in options]
            for layer, options in self.options.items()
        ]

    def limits(self, interactions: Interactions) -> dict[str, float]:
        """What the options together may have."""
        b, board = self.budgets, self.board
        limits = {
            "flash_bytes": min(b.flash_bytes or board.flash_bytes, board.flash_bytes)
            - self.rest["flash_bytes"]
            - sum(self.code.values()),
            "sram_bytes": float(min(b.sram_bytes or board.sram_bytes, board.sram_bytes)),
        }
        if any(option.external_bytes for own in self.options.values() for option in own):
            limits["external_bytes"] = float(board.external_flash.size_bytes if board.external_flash else 0)
        if b.ms is not None:
            limits["cycles"] = b.ms * board.clock_hz / 1e3 - self.rest["cycles"]
        if b.max_loss is not None:
            limits["loss"] = b.max_loss / interactions.points_per_nat
        return limits


def check_budgets(problem: Problem, interactions: Interactions) -> None:
    """Refuse budgets of latency, flash and SRAM that no network meets.

    Loss is judged when networks have been measured: what is predicted here is not good enough to refuse anything.

    Raises:
        SearchError: with the nearest that can be met, one budget at a time.
    """
    layers = problem.corrected(interactions)
    limits = {name: limit for name, limit in problem.limits(interactions).items() if name != "loss"}
    rest_sram = problem.rest["sram_bytes"]
    if rest_sram <= limits["sram_bytes"] and choose(layers, "cycles", limits) is not None:
        return
    nearest = []
    for resource in limits:
        found = least(layers, resource, limits)
        if found is not None and resource == "sram_bytes":
            found = max(found, rest_sram)
        if found is not None:
            nearest.append(_amount(problem, interactions, resource, found))
    if nearest:
        raise SearchError(
            f"no network meets the budgets ({_asked(problem.budgets)}); the nearest that can be met, the others kept: "
            + ", or ".join(nearest)
        )
    alone = [
        _amount(problem, interactions, resource, found)
        for resource in limits
        if (found := least(layers, resource, {})) is not None
    ]
    raise SearchError(
        f"no network meets the budgets ({_asked(problem.budgets)}), nor with any one of them lifted; each alone can be "
        f"met down to {', '.join(alone)}"
    )


def front(problem: Problem, interactions: Interactions, count: int) -> list[dict[str, Option]]:
    """Up to `count` different networks from the fastest to the most accurate, each the best at its latency, and the
    one that the budgets ask for; all within the budgets of flash and SRAM, and the external flash.
    """
    layers, limits = problem.corrected(interactions), problem.limits(interactions)
    memory = {name: limit for name, limit in limits.items() if name.endswith("_bytes")}
    fastest = choose(layers, "cycles", memory)
    if fastest is None:
        return []
    low = total(fastest, "cycles")
    usual = [[option for option in options if not option.family] for options in layers]
    slowest = choose(usual, "cycles", memory) or [options[0] for options in usual]
    high = max(total(slowest, "cycles"), low)
    aims: list[tuple[str, dict[str, float]]] = [
        ("loss" if "cycles" in limits else "cycles", _target(limits, interactions)),
        ("loss", {name: limit for name, limit in limits.items() if name != "loss"}),
        *(("loss", {**memory, "cycles": float(cycles)}) for cycles in np.geomspace(1.0001 * low, high, count)),
    ]
    found: dict[tuple[str, ...], dict[str, Option]] = {}
    for minimise, within in aims:
        chosen = choose(layers, minimise, within)
        if chosen is not None:
            keys = tuple(option.key for option in chosen)
            found.setdefault(keys, _placed(problem, keys, memory))
    return list(found.values())


def _placed(problem: Problem, keys: Sequence[str], memory: Mapping[str, float]) -> dict[str, Option]:
    """The network of these candidates with its constants where they cost the fewest cycles, as `deploy` places them."""
    own = [
        [option for option in options if option.key == key]
        for key, options in zip(keys, problem.options.values(), strict=True)
    ]
    fastest = choose(own, "cycles", memory)
    assert fastest is not None  # they were chosen within these limits
    return dict(zip(problem.options, fastest, strict=True))


def _target(limits: Mapping[str, float], interactions: Interactions) -> dict[str, float]:
    """The budgets; where they say neither latency nor loss, the loss that is acceptable by default."""
    if "cycles" in limits or "loss" in limits:
        return dict(limits)
    return {**limits, "loss": DEFAULT_LOSS / interactions.points_per_nat}


def predicted(problem: Problem, interactions: Interactions, network: Mapping[str, Option]) -> dict[str, float]:
    """Divergence, points of top-1, ms, both flashes and SRAM of a network, before it is made."""
    options = list(network.values())
    kl = interactions.joint({name: option.loss for name, option in network.items()})
    sums = {resource: total(options, resource) + problem.rest[resource] for resource in ADDED[1:]}
    return {
        "kl": kl,
        "loss_points": kl * interactions.points_per_nat,
        "ms": problem.board.milliseconds(round(sums["cycles"])),
        "flash_bytes": sums["flash_bytes"] + sum(problem.code.get(name, 0.0) for name in {o.family for o in options}),
        "external_bytes": sums["external_bytes"],
        "sram_bytes": max(total(options, "sram_bytes"), problem.rest["sram_bytes"]),
    }


def _asked(budgets: Budgets) -> str:
    shown = {"ms": budgets.ms, "bytes of flash": budgets.flash_bytes, "bytes of SRAM": budgets.sram_bytes,
             "points of loss": budgets.max_loss}  # fmt: skip
    return ", ".join(f"{value:,g} {unit}" if isinstance(value, float) else f"{value:,} {unit}"
                     for unit, value in shown.items() if value is not None) or "the board's memory"  # fmt: skip


def _amount(problem: Problem, interactions: Interactions, resource: str, value: float) -> str:
    name, unit = _UNITS[resource]
    if resource == "cycles":
        return f"{name} {problem.board.milliseconds(round(value + problem.rest['cycles'])):.2f} {unit}"
    if resource == "loss":
        return f"{name} {value * interactions.points_per_nat:.2f} {unit}"
    more = problem.rest[resource] + sum(problem.code.values()) if resource == "flash_bytes" else 0.0
    return f"{name} {value + more:,.0f} {unit}"
