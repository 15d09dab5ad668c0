"""measure_reuse: how much a model's layers really reused, in the scope that they have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ostinato.nn.convert import reuse_layers
from ostinato.reuse import ReuseStats


@contextmanager
def measure_reuse(model: nn.Module) -> Iterator[dict[str, ReuseStats]]:
    """Within it, forward passes add to the yielded counts: vectors, clusters, unseen, reused and r_t by layer name.

    ```python
    with measure_reuse(model) as reuse:
        model(images)
    print({name: stats.r_t for name, stats in reuse.items()})
    ```
    """
    layers = reuse_layers(model)
    before = {name: layer.recorder for name, layer in layers.items()}
    stats = {name: ReuseStats() for name in layers}
    for name, layer in layers.items():
        layer.recorder = stats[name]
    try:
        yield stats
    finally:
        for name, layer in layers.items():
            layer.recorder = before[name]


def reset_caches(model: nn.Module) -> None:
    """Make the model's layers of scope `across_batches` forget what earlier batches computed."""
    for layer in reuse_layers(model).values():
        layer.reset_cache()
