"""The full check of one network: calibrated, fine-tuned, quantised, simulated; ranked on validation images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ostinato.reuse import Pattern, read_pattern
from ostinato.search.context import Context
from ostinato.search.measure import describe, firmware_of, float_numbers
from ostinato.training import apply_patterns, fit

_LEARNING_RATES = {"compiled": 0.003, "image": 0.01}  # of the modern recipe, by scope: see pipeline/networks.py


def train_network(
    context: Context, patterns: Mapping[str, Mapping[str, Any]], epochs: int, *, firmware: bool = True
) -> dict[str, Any]:
    """What `measure_network` measures, after `epochs` of fine-tuning, and the accuracy of the firmware's own C.

    Each round of the successive halving trains anew from the calibrated network with a schedule of its own length: a
    worker needs nothing that another one left behind. Without `firmware` only float numbers are measured.
    """
    settings = context.settings
    chosen = {name: read_pattern(fields) for name, fields in patterns.items()}
    network = apply_patterns(context.model, context.calibration, chosen) if chosen else copy.deepcopy(context.model)
    if epochs:
        scopes = {pattern.scope if isinstance(pattern, Pattern) else "compiled" for pattern in chosen.values()}
        rate = max((_LEARNING_RATES[scope] for scope in scopes), default=_LEARNING_RATES["compiled"])
        limit = None if settings.train_limit is None else min(settings.train_limit, len(context.dataset.train))
        fit(
            network, context.dataset, epochs=epochs, lr=rate, seed=settings.seed, progress=False,
            teacher=copy.deepcopy(context.model), train_limit=limit,
        )  # fmt: skip
    network.eval()
    if not firmware:
        return float_numbers(context, network) | {"epochs": epochs}
    return describe(context, network) | {
        "epochs": epochs,
        "valid_top1_int8": firmware_of(context, network).evaluate(context.validation),
    }
