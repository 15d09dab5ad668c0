"""Orders of the axes of X: any permutation, each axis optionally tiled (GR §3.3).

An order names each axis once, outermost first: `kh.kw.c`. An axis with a size, as in `c:8.kh.kw`, is cut into tiles of
that many. One goes through the tiles in the order as written, then through the inside of a tile in the same order;
an axis without a size has tiles of one. So `c:8.kh.kw` is: blocks of eight channels, kernel rows, kernel columns,
then the eight channels. The last tile of an axis may be smaller.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ostinato.errors import PatternError

COLUMN_AXES = ("c", "kh", "kw")
ROW_AXES = ("b", "oh", "ow")

Axis = tuple[str, int]  # name, and tile size (1: not tiled)


@lru_cache(maxsize=256)
def parse_order(text: str, axes: tuple[str, ...], field: str = "order") -> tuple[Axis, ...]:
    """The axes of `text`, outermost first, with their tile sizes.

    Raises:
        PatternError: if it does not name each of `axes` once, or a tile size is not an integer of at least 2.
    """
    parsed = []
    for part in text.split(".") if isinstance(text, str) else ():
        name, colon, size = part.partition(":")
        if colon and not (size.isascii() and size.isdigit() and int(size) > 1):
            raise PatternError(f"a pattern's {field} has tiles of {size!r} in {part!r}; a tile is an integer from 2")
        parsed.append((name, int(size) if colon else 1))
    if sorted(name for name, _ in parsed) != sorted(axes):
        raise PatternError(
            f"a pattern's {field} must name {', '.join(axes)} once each with dots between, such as "
            f"{'.'.join(axes[1:] + axes[:1])} or {axes[0]}:4.{'.'.join(axes[1:])}, not {text!r}"
        )
    return tuple(parsed)


def format_order(axes: tuple[Axis, ...]) -> str:
    """The spelling that `parse_order` reads."""
    return ".".join(name if size == 1 else f"{name}:{size}" for name, size in axes)


def tiled(axes: tuple[Axis, ...]) -> bool:
    """Whether any axis has tiles."""
    return any(size > 1 for _, size in axes)


@lru_cache(maxsize=256)
def permutation(axes: tuple[Axis, ...], names: tuple[str, ...], sizes: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Where each entry of the new order stands when the axes run as `names` say, outermost first.

    Args:
        axes: of the new order.
        names: of the present order, without tiles.
        sizes: of its axes.

    Returns:
        (product of `sizes`,) indices: new entry i is present entry permutation[i].
    """
    place = dict(zip(names, np.indices(sizes).reshape(len(sizes), -1), strict=True))
    digits = [place[name] // size for name, size in axes] + [place[name] % size for name, size in axes]
    order: npt.NDArray[np.int64] = np.lexsort(digits[::-1]).astype(np.int64)  # the last key counts most
    order.setflags(write=False)
    return order


def refuse_large_tiles(axes: tuple[Axis, ...], sizes: dict[str, int], field: str, layer_name: str) -> None:
    """Refuse a tile that is larger than its axis.

    Raises:
        PatternError: with the layer's name and the numbers.
    """
    for name, size in axes:
        if name in sizes and size > sizes[name] and size > 1:
            raise PatternError(
                f"layer '{layer_name}': {field} {format_order(axes)} has tiles of {size} in axis {name}, which has "
                f"{sizes[name]}; use a tile of at most {sizes[name]}, or none"
            )
