"""Which measured networks are best under budgets: on validation images, never on the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ostinato.search.frontier import DEFAULT_LOSS
from ostinato.search.pareto import pareto_front
from ostinato.search.settings import Budgets

Entry = Mapping[str, Any]


def on_front(entries: Sequence[Entry]) -> list[Any]:
    """Entries that none is faster and at least as accurate than, fastest first."""
    kept = pareto_front([(entry["ms"], -entry["valid_top1"]) for entry in entries])
    return sorted((entries[i] for i in kept), key=lambda entry: (entry["ms"], -entry["valid_top1"]))


def excess(entry: Entry, budgets: Budgets) -> float:
    """How far a network is beyond its budgets: the sum of relative excesses, 0 if it meets them all."""
    loss = budgets.max_loss
    if loss is None and budgets.ms is None:
        loss = DEFAULT_LOSS
    pairs = (
        (entry["ms"], budgets.ms), (entry["flash_bytes"], budgets.flash_bytes),
        (entry["sram_bytes"], budgets.sram_bytes), (entry["loss_points"], loss),
    )  # fmt: skip
    return sum(max(0.0, float(value) / limit - 1.0) for value, limit in pairs if limit is not None)


def best(entries: Sequence[Entry], budgets: Budgets) -> list[int]:
    """Indices, best first: within the budgets the most accurate if latency has a limit, else the fastest."""

    def order(index: int) -> tuple[float, float, float]:
        entry = entries[index]
        fast, accurate = entry["ms"], -entry["valid_top1"]
        return (excess(entry, budgets), *((accurate, fast) if budgets.ms is not None else (fast, accurate)))

    return sorted(range(len(entries)), key=order)


def pick(entries: Sequence[Entry], budgets: Budgets) -> Entry:
    """The network that the budgets ask for, with `meets_budgets`, by what was measured."""
    entry = entries[best(entries, budgets)[0]]
    return {**entry, "meets_budgets": excess(entry, budgets) == 0.0}
