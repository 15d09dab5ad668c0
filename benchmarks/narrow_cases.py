"""What `narrow_tables.py` does with each network: how narrow it becomes, what is compiled, and how both are trained.

Sizes and codes were chosen by validation accuracy and flash; nothing was chosen on test images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ostinato.reuse import StemPattern
from recipe_rows import FIRES, STEM, Patterns, free_tree


@dataclass(frozen=True)
class Narrow:
    """`keep`, `size`, `prune_*`: see `ostinato.training.prune_channels` and `Pruning`. The others: tables on top."""

    size: float
    prune_epochs: int
    prune_lr: float
    patterns: Patterns
    epochs: int
    lr: float
    keep: Mapping[str, float] = field(default_factory=dict)
    images: int = 3000
    table_lr_power: float = 0.5


CASES = {
    "squeezenet-cifar10": Narrow(
        0.38, 31, 0.03, {"conv1": STEM, **{name: free_tree(2, 4) for name in FIRES}}, epochs=7, lr=0.004
    ),
    "squeezenet-complex-cifar10": Narrow(
        0.4, 12, 0.03,
        {
            "conv1": STEM, "fire4.expand3x3": free_tree(2, 4), "fire8.expand3x3": free_tree(2, 4),
            "fire4.bypass": free_tree(4, 6), "fire6.bypass": free_tree(4, 5), "fire8.bypass": free_tree(4, 4),
        },
        epochs=6, lr=0.004, images=2000,
    ),
    "zfnet-cifar10": Narrow(
        0.6, 9, 0.01,
        {"conv1": StemPattern(groups=16, hashes=6, coefficients=32), "conv2": free_tree(3, 3)},
        epochs=6, lr=0.003, keep={"conv1": 1.0, "conv2": 0.8, "fc1": 1.0, "fc2": 1.0}, images=2000,
    ),
}  # fmt: skip
