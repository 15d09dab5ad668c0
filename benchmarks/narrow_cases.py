"""What `narrow_tables.py` does with each network: how narrow it becomes, what is compiled, and how both are trained.

Sizes and codes were chosen by validation accuracy and flash; nothing was chosen on test images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ostinato.reuse import StemPattern
from recipe_rows import FIRES, STEM, Patterns, free_tree


@dataclass(frozen=True)
class Tables:
    """Layers of the narrow network in compiled scope; with no epochs, calibrated only."""

    name: str
    patterns: Patterns
    epochs: int
    lr: float = 0.004
    images: int = 3000
    table_lr_power: float = 0.5


@dataclass(frozen=True)
class Narrow:
    """`size`, `keep`: see `ostinato.training.prune_channels`; `epochs` and `lr` of the fine-tuning after it.

    `network`: its name in the zoo; empty: the case's own name.
    """

    size: float
    epochs: int
    lr: float
    tables: tuple[Tables, ...]
    keep: Mapping[str, float] = field(default_factory=dict)
    network: str = ""


EXPANDS: Patterns = {name: free_tree(2, 4) for name in FIRES}
TWO = ("fire4.expand3x3", "fire8.expand3x3")
BYPASSED: Patterns = {
    "conv1": STEM, **{name: free_tree(2, 4) for name in TWO},
    "fire4.bypass": free_tree(4, 6), "fire6.bypass": free_tree(4, 5), "fire8.bypass": free_tree(4, 4),
}  # fmt: skip

CASES = {
    "squeezenet-cifar10": Narrow(
        0.38, 31, 0.03,
        (
            Tables("two 3×3 expands in tables", {name: free_tree(2, 4) for name in TWO}, epochs=0),
            Tables("all eight 3×3 expands and the stem in tables", {"conv1": STEM, **EXPANDS}, epochs=7),
        ),
    ),
    "squeezenet-narrower-cifar10": Narrow(
        0.235, 20, 0.02,
        (Tables("two 3×3 expands in tables", {name: free_tree(2, 4) for name in TWO}, epochs=0),),
        network="squeezenet-cifar10",
    ),
    "squeezenet-complex-cifar10": Narrow(
        0.4, 12, 0.03,
        (
            Tables("two 3×3 expands in tables", {name: free_tree(2, 4) for name in TWO}, epochs=0),
            Tables("two 3×3 expands, three bypasses and the stem in tables", BYPASSED, epochs=6, images=2000),
        ),
    ),
    "squeezenet-complex-narrower-cifar10": Narrow(
        0.25, 30, 0.03,
        (Tables("two 3×3 expands in tables", {name: free_tree(2, 4) for name in TWO}, epochs=0),),
        network="squeezenet-complex-cifar10",
    ),
    "zfnet-cifar10": Narrow(
        0.6, 9, 0.01,
        (
            Tables(
                "conv1 a stem, conv2 in tables",
                {"conv1": StemPattern(groups=16, hashes=6, coefficients=32), "conv2": free_tree(3, 3)},
                epochs=6, lr=0.003, images=2000,
            ),
        ),
        keep={"conv1": 1.0, "conv2": 0.8, "fc1": 1.0, "fc2": 1.0},
    ),
}  # fmt: skip
