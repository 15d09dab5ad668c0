"""What a pattern may not be: refusals on construction, and for a layer that it cannot apply to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry
from ostinato.reuse.order import COLUMN_AXES, ROW_AXES, parse_order, refuse_large_tiles

if TYPE_CHECKING:
    from ostinato.reuse.pattern import Pattern

MAX_HASHES = 16
MAX_TREE_HASHES = 10  # a tree has 2^H − 1 hyperplanes, each with its share of the vectors to fit it to
_MAX_CENTROID_NUMBERS = 2**28  # one GiB of float32: beyond it a compiled table is a mistake, not a choice

LSH_INITS = ("random", "median", "pca", "itq", "weighted-pca", "weighted-itq", "greedy")
TREE_INITS = ("pca", "polished", "thresholds", "level-thresholds")

_CHOICES: dict[str, tuple[str, ...]] = {
    "direction": ("vertical", "horizontal"),
    "scope": ("image", "batch", "across_batches", "compiled"),
    "sharing": ("slice", "block", "layer"),
    "clustering": ("lsh", "tree", "kmeans", "hypercube"),
    "similarity": ("euclidean", "angular"),
    "representative": ("first", "mean"),
    "init": tuple(dict.fromkeys((*LSH_INITS, *TREE_INITS))),
    "gradient": ("flip", "trec", "straight-through", "soft", "frozen"),
    "input_gradient": ("clusters", "straight-through"),
    "table": ("products", "free"),
}
_CHANNELS_INNERMOST = ("kh.kw.c", "kw.kh.c")


def check(pattern: Pattern) -> None:
    """Refuse a pattern that is nonsense whatever the layer.

    Raises:
        PatternError: with the field, what was found and what is possible.
    """
    for field in ("length", "block_rows", "gradient_rows", "cache_entries"):
        _integer(pattern, field, 1)
    _integer(pattern, "hashes", 1, MAX_HASHES)
    _integer(pattern, "bins", 2)
    _integer(pattern, "seed", 0)
    for field, choices in _CHOICES.items():
        value = getattr(pattern, field)
        if value not in choices:
            raise PatternError(f"a pattern's {field} must be one of {', '.join(choices)}, not {value!r}")
    for field in ("slope", "flip_slope", "soft_slope", "window", "momentum", "gradient_share"):
        _number(pattern, field, above=0.0)
    _number(pattern, "centre")
    if pattern.sigma != "dynamic":
        _number(pattern, "sigma", above=0.0, instead="'dynamic' or ")
    _number(pattern, "k", above=1.0)  # Eq. 3.7 asks for k > 1
    _number(pattern, "commitment")
    if pattern.commitment < 0:
        raise PatternError(f"a pattern's commitment must not be negative; it is {pattern.commitment!r}")
    if pattern.commitment and pattern.input_gradient != "straight-through":
        raise PatternError("a pattern's commitment needs input_gradient='straight-through'")
    if pattern.gradient == "soft" and not pattern.pixelwise:
        raise PatternError(
            "gradient='soft' needs compiled scope with sharing='block' and block_rows=1, where an id stands for a row "
            "of a table under every tap of the kernel"
        )
    if pattern.gradient == "soft" and pattern.input_gradient != "clusters":
        raise PatternError(
            f"gradient='soft' has a gradient of its own for the input; leave input_gradient out (not "
            f"{pattern.input_gradient!r})"
        )
    if pattern.input_gradient == "straight-through" and not pattern.pixelwise:
        raise PatternError(
            "input_gradient='straight-through' needs compiled scope with sharing='block' and block_rows=1, where the "
            "layer is a convolution of a quantised input"
        )
    if pattern.table == "free" and not pattern.pixelwise:
        raise PatternError(
            "table='free' needs compiled scope with sharing='block' and block_rows=1, where a row of the table is for "
            "one pixel's channels under one tap of the kernel"
        )
    for field in ("momentum", "gradient_share"):
        if getattr(pattern, field) > 1:
            raise PatternError(f"a pattern's {field} must be at most 1, not {getattr(pattern, field)!r}")
    _check_orders(pattern)
    _check_direction(pattern)
    _check_clustering(pattern)


def _check_orders(pattern: Pattern) -> None:
    for field, axes in (("order", COLUMN_AXES), ("row_order", ROW_AXES)):
        value = getattr(pattern, field)
        if not isinstance(value, str):
            raise PatternError(f"a pattern's {field} must be a text such as {'.'.join(axes)}, not {value!r}")
        parse_order(value, axes, field)
    if pattern.sharing == "block" and pattern.order not in _CHANNELS_INNERMOST:
        raise PatternError(
            f"sharing hashes by channel block needs order {' or '.join(_CHANNELS_INNERMOST)}, not {pattern.order}: "
            "only there is a slice a block of one pixel's channels"
        )
    first = parse_order(pattern.row_order, ROW_AXES)[0]
    if pattern.scope in ("image", "compiled") and first != ("b", 1):
        raise PatternError(
            f"{pattern.scope} scope cuts the rows of each image by themselves and needs a row_order that begins with "
            f"b, not {pattern.row_order}; blocks across images need scope 'batch' or 'across_batches'"
        )


def _check_direction(pattern: Pattern) -> None:
    if pattern.direction == "vertical":
        return
    if pattern.scope not in ("image", "batch"):
        raise PatternError(
            f"horizontal reuse needs scope 'image' or 'batch', not {pattern.scope!r}: its products are with weight "
            "rows summed by cluster, so they are not the same from one input to the next"
        )
    if pattern.sharing != "layer":
        raise PatternError(
            f"horizontal reuse needs sharing='layer', not {pattern.sharing!r}: how many panels there are depends on "
            "the input's size, so they share one hash matrix"
        )


def _check_clustering(pattern: Pattern) -> None:
    name = pattern.clustering
    if name == "lsh":
        if pattern.init not in LSH_INITS:
            raise PatternError(
                f"init={pattern.init!r} is of trees; hyperplanes (clustering='lsh') can have {', '.join(LSH_INITS)}"
            )
        return
    if name == "tree":
        if pattern.init not in TREE_INITS or pattern.gradient not in ("frozen", "soft"):
            raise PatternError(
                "a tree of hyperplanes is fitted to images, and learns softly or not at all: write clustering='tree', "
                "gradient='soft' (in compiled scope) or 'frozen', and an init of "
                f"{', '.join(TREE_INITS)} (not init={pattern.init!r}, gradient={pattern.gradient!r})"
            )
        if pattern.hashes > MAX_TREE_HASHES:
            raise PatternError(
                f"a tree of hyperplanes has at most {MAX_TREE_HASHES} hashes (levels), not {pattern.hashes}: it needs "
                "2^H − 1 hyperplanes; use fewer, or clustering='lsh'"
            )
        return
    if pattern.gradient != "frozen" or pattern.init != "random":
        raise PatternError(
            f"{name} has no hash that could be fitted or learn: write clustering={name!r}, gradient='frozen' and no "
            f"init (not init={pattern.init!r}, gradient={pattern.gradient!r})"
        )
    if pattern.scope not in ("image", "batch"):
        raise PatternError(
            f"{name} builds its clusters anew for each input, so scope {pattern.scope!r} cannot reuse them "
            "(DR §III-B2); use scope 'image' or 'batch', or clustering 'lsh' or 'tree'"
        )
    if pattern.ids > 1 << MAX_HASHES:
        raise PatternError(
            f"a hyper-cube of {pattern.hashes} dimensions with {pattern.bins} bins each has {pattern.ids:,} cells, "
            f"more than {1 << MAX_HASHES:,}; use fewer bins or dimensions (hashes)"
        )


def check_for(pattern: Pattern, geometry: ConvGeometry, layer_name: str) -> None:
    """Refuse a layer that `pattern` cannot apply to.

    Raises:
        PatternError: with the layer's name, what was found and what is possible.
    """
    channels, (kh, kw), columns = geometry.in_channels, geometry.kernel_size, geometry.K
    axes = parse_order(pattern.order, COLUMN_AXES)
    refuse_large_tiles(axes, {"c": channels, "kh": kh, "kw": kw}, "order", layer_name)
    if pattern.direction == "vertical" and pattern.length > columns:
        raise PatternError(
            f"layer '{layer_name}': slices of length {pattern.length} are longer than its im2col rows (K = {columns}); "
            f"use a length from 1 to {columns}, which is the whole row"
        )
    if pattern.direction == "horizontal" and columns < 2 * pattern.length:
        raise PatternError(
            f"layer '{layer_name}': horizontal reuse compares blocks of {pattern.length} columns within a panel of "
            f"K = {columns}, which has {columns // pattern.length} of them; use a length from 1 to {columns // 2}"
            if columns > 1
            else f"layer '{layer_name}': horizontal reuse has nothing to compare in K = 1 column"
        )
    if pattern.sharing == "block" and channels % pattern.length:
        divisors = [d for d in range(1, channels + 1) if channels % d == 0]
        raise PatternError(
            f"layer '{layer_name}': length {pattern.length} does not divide its {channels} input channels, which "
            f"sharing by block needs; use one of {', '.join(map(str, divisors))}, or sharing='slice'"
        )
    values = pattern.length * pattern.block_rows
    if pattern.clustering == "hypercube" and pattern.hashes > values:
        raise PatternError(
            f"layer '{layer_name}': a hyper-cube of {pattern.hashes} dimensions (hashes) needs blocks of as many "
            f"values, and {pattern.block_rows}×{pattern.length} has {values}"
        )
    numbers = pattern.centroid_groups(geometry) * pattern.ids * values
    if pattern.scope == "compiled" and numbers > _MAX_CENTROID_NUMBERS:
        raise PatternError(
            f"layer '{layer_name}': compiled scope with {pattern.hashes} hashes keeps {numbers:,} centroid numbers, "
            f"more than {_MAX_CENTROID_NUMBERS:,}; use fewer hashes"
        )


def check_rows(pattern: Pattern, batch: int, rows: int, cols: int, layer_name: str) -> None:
    """Refuse outputs of `batch` × `rows` × `cols` that the blocks or the tiles of rows do not fit into.

    Raises:
        PatternError: with the layer's name and the numbers.
    """
    if not pattern.blocked:
        return
    refuse_large_tiles(parse_order(pattern.row_order, ROW_AXES), {"oh": rows, "ow": cols}, "row_order", layer_name)
    found = rows * cols * (1 if pattern.rows_per_image else batch)
    if pattern.direction == "vertical" and pattern.block_rows > found:
        of = "image" if pattern.rows_per_image else f"batch of {batch}"
        raise PatternError(
            f"layer '{layer_name}': blocks of {pattern.block_rows} rows do not fit into the {found} output pixels of "
            f"one {of}; use block_rows from 1 to {found}"
        )


def _integer(pattern: Pattern, field: str, minimum: int, maximum: int | None = None) -> None:
    value = getattr(pattern, field)
    bad = isinstance(value, bool) or not isinstance(value, int) or value < minimum
    if bad or (maximum is not None and value > maximum):
        limits = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise PatternError(f"a pattern's {field} must be an integer {limits}, not {value!r}")


def _number(pattern: Pattern, field: str, above: float = -math.inf, instead: str = "") -> None:
    value = getattr(pattern, field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= above:
        limit = "a finite number" if above == -math.inf else f"a finite number above {above:g}"
        raise PatternError(f"a pattern's {field} must be {instead}{limit}, not {value!r}")
    object.__setattr__(pattern, field, float(value))
