"""What `compile_tables.py` compares for each network: patterns, and how they are calibrated and trained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ostinato.reuse import Pattern, StemPattern

Patterns = dict[str, Pattern | StemPattern]
TREE = Pattern(8, 4, scope="compiled", sharing="block", clustering="tree", init="polished", gradient="frozen")
STEM = StemPattern(groups=10, hashes=6)
BLOCKS = tuple(f"stack{i}.conv{j}" for i in (1, 2, 3) for j in (1, 2))
FIRES = tuple(f"fire{i}.expand3x3" for i in range(2, 10))
FIRE_SIZES = ((4, 4), (4, 4), (8, 6), (4, 4), (4, 3), (4, 4), (4, 3), (4, 3))  # (L, H); what 2 MB of flash can hold


def tree(length: int, hashes: int) -> Pattern:
    return replace(TREE, length=length, hashes=hashes)


def free_tree(length: int, hashes: int) -> Pattern:
    return replace(tree(length, hashes), table="free")


def changed(patterns: Patterns, **fields: Any) -> Patterns:
    """The patterns with these fields, stems as they are."""
    return {n: replace(p, **fields) if isinstance(p, Pattern) else p for n, p in patterns.items()}


@dataclass(frozen=True)
class Row:
    """One line of a table: patterns, how they are calibrated, and whether training follows."""

    name: str
    patterns: Patterns
    options: dict[str, Any] = field(default_factory=dict)
    independent: bool = False
    trained: bool = False


def calibrated(patterns: Patterns) -> list[Row]:
    """The steps, each on top of those before it."""
    bare = {"group": False, "refit": False, "refit_dense": False, "metric": "outputs"}
    refit = {**bare, "refit": True}
    hyperplanes = {"clustering": "lsh", "gradient": "frozen"}
    grown = changed(patterns, init="pca")
    return [
        Row("random hyperplanes (the papers')", changed(patterns, **hyperplanes, init="random"), bare),
        Row("hyperplanes by ITQ", changed(patterns, **hyperplanes, init="itq"), bare),
        Row("tree of hyperplanes in the outputs' metric", grown, bare),
        Row("+ refit, each layer by itself", grown, refit, independent=True),
        Row("+ refit, in sequence", grown, refit),
        Row("+ channel grouping", grown, {**refit, "group": True}),
        Row("+ polished trees", patterns, {**refit, "group": True}),
        Row("+ refit of conventional layers", patterns, {"metric": "outputs"}),
        Row("+ errors measured by the loss", patterns),
    ]


def rows_for(model: str) -> list[Row]:
    if model == "cifarnet":
        conv2: Patterns = {"conv2": tree(8, 6)}
        both: Patterns = {"conv1": STEM, "conv2": tree(8, 6)}
        dense = {"refit_dense": False}
        return [
            *calibrated({"conv2": tree(8, 4)}),
            Row("conventional", {}, trained=True),
            Row("conv2 compiled, L=8 H=6, products", conv2, dense, trained=True),
            Row("conv2 compiled, L=8 H=6", changed(conv2, table="free"), dense, trained=True),
            Row("conv1 a stem, conv2 compiled, L=8 H=6", changed(both, table="free"), dense, trained=True),
        ]
    if model == "zfnet":
        both = {"conv1": StemPattern(groups=16, hashes=6, coefficients=32), "conv2": tree(6, 3)}
        return [
            *calibrated({"conv2": tree(6, 3)}),
            Row("+ the stem", both),
            Row("conventional", {}, trained=True),
            Row("conv1 a stem, conv2 compiled, L=6 H=3", changed(both, table="free"), trained=True),
        ]
    if model == "resnet8":
        convolutions: Patterns = {n: tree(4, 4) for n in BLOCKS}
        return [
            Row("conventional", {}, trained=True),
            Row("all six 3×3 of the blocks, L=4 H=4", changed(convolutions, table="free"), trained=True),
        ]
    expands: Patterns = {n: tree(*size) for n, size in zip(FIRES, FIRE_SIZES, strict=True)}
    free = changed({"conv1": STEM, **expands}, table="free")
    more: Patterns = {**free, "fire4.expand1x1": free_tree(4, 5)}
    return [
        *calibrated({n: tree(8, 4) for n in FIRES}),
        Row("+ L and H by layer", expands),
        Row("+ the stem", {"conv1": STEM, **expands}),
        Row("conventional", {}, trained=True),
        Row("eight 3×3 expands and the stem, products", {"conv1": STEM, **expands}, trained=True),
        Row("eight 3×3 expands and the stem", free, trained=True),
        Row("the same and fire4's 1×1 expand", more, trained=True),
        Row("the same, ids learn (soft)", changed(more, gradient="soft"), trained=True),
    ]
