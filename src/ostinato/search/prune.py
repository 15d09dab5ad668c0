"""Profiled rows to options: latencies filled in, and what cannot be best dropped, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.firmware.external import Outside
from ostinato.reuse import read_pattern
from ostinato.search.candidate import CONVENTIONAL, AnyPattern, Drop
from ostinato.search.knapsack import Option
from ostinato.search.latency import LatencyModel, Sample, features, kernel_family, published_share
from ostinato.search.layers import Layer
from ostinato.search.pareto import pareto_front
from ostinato.search.placing import places
from ostinato.search.pooling import candidate_sram
from ostinato.search.profile import Row

FAILED = "failed"
KEY_CONDITION = "miss the key condition H/D_out < r_t (GR §4.2)"
SLOWER = "are slower than the conventional kernel"
NO_PLACE = "have no constants for the external flash that their layer is to use"
DOMINATED = "are no better in anything than another candidate of their layer"


@dataclass(frozen=True)
class Pruned:
    """Options by layer, the conventional one first, and what was dropped."""

    options: dict[str, list[Option]]
    drops: list[Drop]


def code_bytes(rows: Sequence[Row]) -> dict[str, float]:
    """Code of each kernel's family, in bytes: the most that was seen."""
    found: dict[str, float] = {}
    for row in rows:
        if row.get("code_bytes") is not None:
            family = kernel_family(row["kernel"])
            found[family] = max(found.get(family, 0.0), row["code_bytes"])
    return found


def drop_profiled(rows: Sequence[Row]) -> tuple[list[Row], list[Drop]]:
    """Rows that are worth a simulation, and those that failed or miss the key condition."""
    kept, drops = [], []
    for row in rows:
        if "failed" in row:
            drops.append(_drop(row, FAILED, row["failed"]))
        elif not row["key_condition"]:
            drops.append(_drop(row, KEY_CONDITION, f"r_t = {row['r_t']:.3f}"))
        else:
            kept.append(row)
    return kept, drops


def choose_samples(rows: Sequence[Row], count: int) -> list[Row]:
    """Up to `count` rows to simulate: in turn of each kernel, and of its layers in turn, evenly over their patterns."""
    groups: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        groups.setdefault(kernel_family(row["kernel"]), {}).setdefault(row["layer"], []).append(row)
    queues = [_alternate([_spread(own) for own in layers.values()]) for layers in groups.values()]
    return _alternate(queues)[:count]


def _spread(rows: list[Row]) -> list[Row]:
    """First, last, middle, quarters, …: any beginning of it is spread over the list."""
    order, seen, step = [0, len(rows) - 1], set[int](), len(rows)
    while step > 1:
        step = -(-step // 2)
        order += range(0, len(rows), step)
    return [rows[i] for i in order if not (i in seen or seen.add(i))]  # type: ignore[func-returns-value]


def _alternate(queues: Sequence[Sequence[Row]]) -> list[Row]:
    longest = max(map(len, queues), default=0)
    return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]


def samples(rows: Sequence[Row], layers: Mapping[str, Layer]) -> list[Sample]:
    """What the latency model is fitted to: rows with `cycles_simulated` or `cycles_external_simulated`.

    A kernel that reads external flash is a family of its own: bursts and bytes there have their costs for each count.
    """
    return [
        Sample(family(kernel_family(row["kernel"])), _shape(layer), counts(row, layer), cycles)
        for row in rows
        for layer in (layers[row["layer"]],)
        for column, family in (("cycles_simulated", str), ("cycles_external_simulated", outside_family))
        if (cycles := row.get(column)) is not None
    ]


def outside_family(family: str) -> str:
    """The family of a kernel whose large constants are in external flash."""
    return f"{family}, external flash"


def _shape(layer: Layer) -> str:
    """Layers of one shape are no unseen ones of each other."""
    return f"{layer.geometry} {layer.height}×{layer.width}"


def counts(row: Row, layer: Layer) -> Any:
    """Features of a profiled row."""
    return features(read_pattern(row["pattern"]), layer, row.get("clusters", 0.0))


def fill_latencies(
    rows: Sequence[Row], layers: Mapping[str, Layer], model: LatencyModel, base: Mapping[str, Any]
) -> None:
    """Add `cycles_published` (GR §4.2), `cycles_model` and `cycles`, the best that is known, to every row.

    A kernel of which nothing could be simulated has the published count, on the best dense kernel's cycles. Where
    constants may be in external flash, `cycles_external_model` and `cycles_external` say the same of it there; where
    nothing was simulated there, by the bytes that are read.
    """
    for row in rows:
        layer = layers[row["layer"]]
        pattern: AnyPattern = read_pattern(row["pattern"])
        row["cycles_published"] = published_share(pattern, layer, row["r_t"]) * base["layers"][layer.name]["cycles"]
        row["cycles_model"] = model.predict(kernel_family(row["kernel"]), counts(row, layer))
        known = (row.get("cycles_simulated"), row["cycles_model"], row["cycles_published"])
        row["cycles"] = next(cycles for cycles in known if cycles is not None)
        if row["external_bytes"]:
            outside = model.predict(outside_family(kernel_family(row["kernel"])), counts(row, layer))
            row["cycles_external_model"] = outside
            known = (row.get("cycles_external_simulated"), outside, row["cycles"] + row["wait_estimate"])
            row["cycles_external"] = next(cycles for cycles in known if cycles is not None)


def prune(rows: Sequence[Row], base: Mapping[str, Any], layers: Sequence[Layer], outside: Outside = "never") -> Pruned:
    """The Pareto front of every layer in divergence, cycles and both flashes; conventional kernels are always on it.

    A candidate is one point for each place that its large constants may have. Layers that are not searched have
    options, too, if theirs may be in external flash.
    """
    searched = [layer.name for layer in layers]
    others = [name for name, own in base["layers"].items() if own["external_bytes"] and name not in searched]
    options = {name: conventional(name, base, outside) for name in (*searched, *others)}
    drops: list[Drop] = []
    for name in searched:
        own = [row for row in rows if row["layer"] == name and places(row, outside, name)]
        drops += [_drop(row, NO_PLACE, "its largest array is too small") for row in rows
                  if row["layer"] == name and row not in own]  # fmt: skip
        faster, slower = _faster(own, options[name], base["layers"][name], outside)
        front = pareto_front([_point(option) for option in faster])
        kept = [faster[index] for index in front]
        keys = {option.key for option in kept}
        options[name] += kept
        for row in own:
            if row["key"] in slower:
                drops.append(_drop(row, SLOWER, f"{row['cycles']:,.0f} cycles"))
            elif row["key"] not in keys:
                drops.append(_drop(row, DOMINATED, f"divergence {row['kl']:.3g}, {row['cycles']:,.0f} cycles"))
    return Pruned(options, drops)


def _faster(
    rows: Sequence[Row], usual: Sequence[Option], layer: Mapping[str, Any], outside: Outside
) -> tuple[list[Option], set[str]]:
    """Options faster than the conventional kernel in the same place, and keys of rows that are nowhere so."""
    faster = [
        Option(row["key"], row["kl"], place.cycles, place.flash_bytes, candidate_sram(row, layer),
               kernel_family(row["kernel"]), place.external_bytes)
        for row in rows
        for place in places(row, outside, row["layer"])
        if place.cycles < _same_place(usual, place.external_bytes > 0).cycles
    ]  # fmt: skip
    return faster, {row["key"] for row in rows} - {option.key for option in faster}


def _same_place(usual: Sequence[Option], external: bool) -> Option:
    """The conventional kernel in external flash, or not; in the one place that it has, if it has one only."""
    return next((option for option in usual if (option.external_bytes > 0) == external), usual[0])


def _point(option: Option) -> tuple[float, ...]:
    return option.loss, option.cycles, option.flash_bytes, option.sram_bytes, option.external_bytes


def conventional(name: str, base: Mapping[str, Any], outside: Outside) -> list[Option]:
    """The conventional kernel as options of a layer, one for each place of its weights."""
    own = base["layers"][name]
    sram = own["alive_bytes"] + own["scratch_bytes"]
    return [
        Option(f"{name}:{CONVENTIONAL}", 0.0, p.cycles, p.flash_bytes, sram, external_bytes=p.external_bytes)
        for p in places(own, outside, name)
    ]


def _drop(row: Row, reason: str, detail: str) -> Drop:
    return Drop(row["layer"], str(read_pattern(row["pattern"])), reason, detail)
