"""Profiled rows to options: latencies filled in, and what cannot be best dropped, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.reuse import read_pattern
from ostinato.search.candidate import CONVENTIONAL, AnyPattern, Drop
from ostinato.search.knapsack import Option
from ostinato.search.latency import LatencyModel, Sample, features, kernel_family, published_share
from ostinato.search.layers import Layer
from ostinato.search.pareto import pareto_front
from ostinato.search.profile import Row

FAILED = "failed"
KEY_CONDITION = "miss the key condition H/D_out < r_t (GR §4.2)"
SLOWER = "are slower than the conventional kernel"
DOMINATED = "are no better in anything than another candidate of their layer"


@dataclass(frozen=True)
class Pruned:
    """Options by layer, the conventional one first, and what was dropped."""

    options: dict[str, list[Option]]
    drops: list[Drop]


def code_bytes(rows: Sequence[Row]) -> dict[str, float]:
    """Code of each kernel's family, as linked with one layer, start-up code included: the most that was seen."""
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
    """What the latency model is fitted to: rows with `cycles_simulated`."""
    return [
        Sample(kernel_family(row["kernel"]), _shape(layers[row["layer"]]), counts(row, layers[row["layer"]]), cycles)
        for row in rows
        if (cycles := row.get("cycles_simulated")) is not None
    ]


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

    A kernel of which nothing could be simulated has the published count, on the best dense kernel's cycles.
    """
    for row in rows:
        layer = layers[row["layer"]]
        pattern: AnyPattern = read_pattern(row["pattern"])
        row["cycles_published"] = published_share(pattern, layer, row["r_t"]) * base["layers"][layer.name]["cycles"]
        row["cycles_model"] = model.predict(kernel_family(row["kernel"]), counts(row, layer))
        known = (row.get("cycles_simulated"), row["cycles_model"], row["cycles_published"])
        row["cycles"] = next(cycles for cycles in known if cycles is not None)


def prune(rows: Sequence[Row], base: Mapping[str, Any], layers: Sequence[Layer]) -> Pruned:
    """The Pareto front of every layer in divergence, cycles and flash; the conventional kernel is always on it."""
    options = {layer.name: [conventional(layer.name, base)] for layer in layers}
    drops: list[Drop] = []
    for name, found in options.items():
        own = [row for row in rows if row["layer"] == name]
        faster = [row for row in own if row["cycles"] < found[0].cycles]
        drops += [_drop(row, SLOWER, f"{row['cycles']:,.0f} cycles") for row in own if row not in faster]
        points = [(row["kl"], row["cycles"], row["flash_bytes"], row["scratch_bytes"]) for row in faster]
        front = set(pareto_front(points))
        alive = base["layers"][name]["alive_bytes"]
        for index, row in enumerate(faster):
            if index in front:
                found.append(
                    Option(row["key"], row["kl"], row["cycles"], row["flash_bytes"], alive + row["scratch_bytes"],
                           kernel_family(row["kernel"]))
                )
            else:
                drops.append(_drop(row, DOMINATED, f"divergence {row['kl']:.3g}, {row['cycles']:,.0f} cycles"))
    return Pruned(options, drops)


def conventional(name: str, base: Mapping[str, Any]) -> Option:
    """The conventional kernel as an option of a layer."""
    own = base["layers"][name]
    return Option(
        f"{name}:{CONVENTIONAL}", 0.0, own["cycles"], own["flash_bytes"], own["alive_bytes"] + own["scratch_bytes"]
    )


def _drop(row: Row, reason: str, detail: str) -> Drop:
    return Drop(row["layer"], str(read_pattern(row["pattern"])), reason, detail)
