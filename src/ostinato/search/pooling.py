"""Layers that do the max-pool behind them (`QPooled`) in a search, which compares layers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostinato.firmware import Firmware
from ostinato.kernels.pooled import held_bytes
from ostinato.quant.pooled_op import QPooled, side_by_side
from ostinato.reuse import StemPattern, read_pattern

Numbers = dict[str, Any]
"""Of a layer, as `measure.baseline` has them."""


def split_pools(
    layers: Mapping[str, Numbers], firmware: Firmware, style: Firmware, pool_cycles: Mapping[str, int], fixed: int
) -> dict[str, Numbers]:
    """Numbers of layers and of their poolings, where both were measured as one.

    Cycles are divided: what the pooling would not take alone is the layer's. All SRAM is the layer's, which has in
    `pooled` what candidates take that do the pooling as well, or do not.

    Args:
        layers: as they were measured, by name.
        firmware: the conventional network on its fastest kernels.
        style: on the baseline's, where layers and poolings are one after the other.
        pool_cycles: of each pooling alone.
        fixed: bytes of SRAM beside the arena.
    """
    at = {op.name: index for index, op in enumerate(style.graph.ops)}
    live = style.plan.live_bytes
    found: dict[str, Numbers] = {}
    for op in firmware.graph.ops:
        if not isinstance(op, QPooled):
            continue
        own, cycles, apart = layers[op.name], pool_cycles[op.pool.name], at[op.name]
        found[op.name] = {
            **own, "cycles": own["cycles"] - cycles, "cycles_external": own["cycles_external"] - cycles,
            "pooled": {
                "held_bytes": held_bytes(op.pool.dims), "side_by_side": side_by_side(op.pool.dims),
                "apart_alive_bytes": live[apart] - style.bindings[apart].scratch_bytes + fixed,
                "pool_alive_bytes": live[at[op.pool.name]] + fixed,
            },
        }  # fmt: skip
        found[op.pool.name] = {
            "cycles": cycles, "cmsis_cycles": cycles, "flash_bytes": 0, "scratch_bytes": 0, "alive_bytes": 0,
            "kernel": style.bindings[at[op.pool.name]].kernel, "external_bytes": 0, "cycles_external": cycles,
        }  # fmt: skip
    return found


def candidate_sram(row: Mapping[str, Any], own: Mapping[str, Any]) -> float:
    """Bytes of SRAM while a profiled candidate runs in a layer's place, and the pooling behind it, if that is its."""
    scratch: float = row["scratch_bytes"]
    pooled, pattern = own.get("pooled"), read_pattern(row["pattern"])
    if pooled is None:
        return float(own["alive_bytes"] + scratch)
    if isinstance(pattern, StemPattern) or (pattern.scope == "compiled" and pooled["side_by_side"]):
        return float(own["alive_bytes"] + scratch + pooled["held_bytes"])  # in compiled scope only one of its pixels
    return float(max(pooled["apart_alive_bytes"] + scratch, pooled["pool_alive_bytes"]))
