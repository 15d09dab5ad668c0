"""The picture that explains reuse: one image, and its tiles of one layer coloured by the cluster they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from ostinato.report import style
from ostinato.report.decode import ReportError

_ALONE = "#ffffff"
_SMALLER = ("#7c8490", "#c3c8cf")  # darkest and lightest grey of the clusters without a colour of their own
_EXAMPLE_CLUSTERS = 3
_EXAMPLE_TILES = 3
_MOST_SLICES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class TilePicture:
    """An image and the cluster ids of its tiles, in one slice or several.

    Attributes:
        image: uint8 (H, W, 3), RGB, as the network sees it before normalisation.
        ids: for each slice shown, integers (OH, OW): the cluster id of the tile that makes each output pixel.
        kernel: (KH, KW) of the layer, in pixels.
        stride: (vertical, horizontal).
        padding: (top, left).
        redundancy_ratio: r_t of the layer in `scope`, over all its slices.
        scope: whose vectors share clusters.
        layer: its qualified name.
        slices: a title for each slice shown; "slice 0", ... if empty. Where a layer has several slices, each compares
            only its part of the tile (a kernel row, say).

    Raises:
        ReportError: if shapes or types do not fit each other.
    """

    image: NDArray[np.uint8]
    ids: Sequence[NDArray[np.integer]]
    kernel: tuple[int, int]
    redundancy_ratio: float
    scope: str
    layer: str = "conv1"
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    slices: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3 or not self.image.size:
            found = f"{self.image.dtype} {self.image.shape}"
            raise ReportError(f"expected uint8 (H, W, 3), found {found}", "image")
        if not 1 <= len(self.ids) <= _MOST_SLICES:
            raise ReportError(f"expected the ids of 1 to {_MOST_SLICES} slices, found {len(self.ids)}", "ids")
        for index, ids in enumerate(self.ids):
            if ids.ndim != 2 or not ids.size or not np.issubdtype(ids.dtype, np.integer):
                raise ReportError(f"expected integers (OH, OW), found {ids.dtype} {ids.shape}", f"ids[{index}]")
            if ids.shape != self.ids[0].shape:
                raise ReportError(f"has shape {ids.shape}, but slice 0 has {self.ids[0].shape}", f"ids[{index}]")
        sides = zip(self.image.shape, self.ids[0].shape, self.kernel, self.stride, self.padding, strict=False)
        for size, outputs, kernel, stride, padding in sides:
            if min(kernel, stride) < 1 or padding < 0 or (outputs - 1) * stride + kernel > size + 2 * padding:
                raise ReportError(
                    f"{self.ids[0].shape} tiles of {self.kernel} with stride {self.stride} and padding {self.padding} "
                    f"do not lie within an image of {self.image.shape[:2]}",
                    "ids[0]",
                )
        if self.slices and len(self.slices) != len(self.ids):
            raise ReportError(f"{len(self.slices)} titles for {len(self.ids)} slices", "slices")

    def cell(self, row: int, column: int) -> tuple[float, float, float, float]:
        """(left, top, width, height) of what a tile alone stands for: a stride's step around its centre."""
        (sh, sw), (kh, kw), (ph, pw) = self.stride, self.kernel, self.padding
        return column * sw - pw + (kw - sw) / 2, row * sh - ph + (kh - sh) / 2, sw, sh


def similar_tiles(picture: TilePicture) -> bytes:
    """PNG: the image, with a few example tiles, beside a map of its tiles' clusters for each slice.

    The largest clusters have a colour each, the other shared ones greys, and tiles without a like are white: what has
    a colour or a grey is computed once for all its cells.
    """
    height, width = picture.image.shape[:2]
    panels = 1 + len(picture.ids)
    side = 3.1 if panels <= 3 else 2.5
    scale = side / max(height, width)
    with style.applied():
        total = (0.36 + panels * (width * scale + 0.2), 0.98 + height * scale + 0.62)
        made = style.figure(max(total[0], 6.4), total[1])
        kernel = "×".join(map(str, picture.kernel))
        style.headline(
            made,
            f"Similar tiles of {picture.layer}",
            f"{kernel} tiles · r_t {picture.redundancy_ratio:.3f} over the whole layer, {picture.scope} scope",
        )
        boxes = [
            (
                (0.18 + index * (width * scale + 0.2)) / made.get_figwidth(),
                0.62 / made.get_figheight(),
                width * scale / made.get_figwidth(),
                height * scale / made.get_figheight(),
            )
            for index in range(panels)
        ]
        titles = list(picture.slices) or [f"slice {index}" for index in range(len(picture.ids))]
        axes = made.add_axes(boxes[0])
        _draw_image(axes, picture, f"example tiles, {titles[0]}'s largest clusters")
        for box, ids, title in zip(boxes[1:], picture.ids, titles, strict=True):
            _draw_clusters(made.add_axes(box), picture, ids, title)
        handles = [
            Patch(facecolor=style.CLUSTER_COLOURS[0], label="largest clusters, a colour each"),
            Patch(facecolor=_SMALLER[0], label="smaller clusters"),
            Patch(facecolor=_ALONE, edgecolor=style.RULE, label="no similar tile"),
        ]
        made.legend(
            handles=handles, loc="lower left", ncol=3, handlelength=0.9, handleheight=0.9, columnspacing=1.4,
            handletextpad=0.5, borderaxespad=0, borderpad=0,
            bbox_to_anchor=(0.18 / made.get_figwidth(), 0.2 / made.get_figheight()),
        )  # fmt: skip
        return style.png(made)


def cluster_colours(ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """RGB of each tile (OH, OW, 3) by its cluster: a colour, a grey, or white where it is alone."""
    values, inverse, counts = np.unique(ids, return_inverse=True, return_counts=True)
    order = np.lexsort((values, -counts))
    table = np.empty((len(values), 3))
    table[:] = matplotlib.colors.to_rgb(_ALONE)
    coloured = [index for index in order if counts[index] > 1]
    greys = np.linspace(0, 1, max(len(coloured) - len(style.CLUSTER_COLOURS), 1))
    dark, light = (np.array(matplotlib.colors.to_rgb(grey)) for grey in _SMALLER)
    for rank, index in enumerate(coloured):
        if rank < len(style.CLUSTER_COLOURS):
            table[index] = matplotlib.colors.to_rgb(style.CLUSTER_COLOURS[rank])
        else:
            share = greys[rank - len(style.CLUSTER_COLOURS)]
            table[index] = dark + (light - dark) * share
    colours: NDArray[np.float64] = table[inverse.reshape(ids.shape)]
    return colours


def _draw_image(axes: Axes, picture: TilePicture, title: str) -> None:
    height, width = picture.image.shape[:2]
    axes.imshow(picture.image, extent=(0, width, height, 0), interpolation="nearest")
    axes.set_title(title, loc="left", fontsize=8.5, color=style.MUTED)
    for colour, places in _examples(picture):
        for row, column in places:
            top = row * picture.stride[0] - picture.padding[0]
            left = column * picture.stride[1] - picture.padding[1]
            for line, edge in ((3.2, style.PAPER), (1.8, colour)):
                sides = (picture.kernel[1], picture.kernel[0])
                box = Rectangle((left, top), *sides, fill=False, edgecolor=edge, linewidth=line, clip_on=False)
                axes.add_patch(box)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    style.bare(axes)


def _examples(picture: TilePicture) -> list[tuple[str, list[tuple[int, int]]]]:
    """For the three largest clusters of the first slice: their colour, and up to three tiles far from all others."""
    ids = picture.ids[0]
    values, counts = np.unique(ids, return_counts=True)
    order = np.lexsort((values, -counts))
    shown: list[tuple[int, int]] = []
    found = []
    for rank, index in enumerate(order[:_EXAMPLE_CLUSTERS]):
        if counts[index] < 2:
            break
        places = np.argwhere(ids == values[index])
        chosen = _far_apart(places, shown)
        shown += chosen
        found.append((style.CLUSTER_COLOURS[rank], chosen))
    return found


def _far_apart(places: NDArray[np.integer], shown: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Greedily the place farthest from those shown and chosen, in the larger of vertical and horizontal distance."""
    chosen: list[tuple[int, int]] = []
    distance = np.full(len(places), np.inf)
    for place in shown:
        distance = np.minimum(distance, np.abs(places - place).max(axis=1))
    while len(chosen) < _EXAMPLE_TILES and distance.max() > 0:
        row, column = places[distance.argmax()]
        chosen.append((int(row), int(column)))
        distance = np.minimum(distance, np.abs(places - chosen[-1]).max(axis=1))
    return chosen


def _borders(ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """Edges between neighbouring tiles of different clusters: (edges, 2 ends, x and y), in tiles."""
    rows, columns = np.nonzero(ids[:, 1:] != ids[:, :-1])
    upright = np.stack([np.stack([columns + 1, rows], -1), np.stack([columns + 1, rows + 1], -1)], 1)
    rows, columns = np.nonzero(ids[1:] != ids[:-1])
    level = np.stack([np.stack([columns, rows + 1], -1), np.stack([columns + 1, rows + 1], -1)], 1)
    return np.concatenate([upright, level]).astype(np.float64)


def _draw_clusters(axes: Axes, picture: TilePicture, ids: NDArray[np.integer], title: str) -> None:
    height, width = picture.image.shape[:2]
    rows, columns = ids.shape
    left, top, step_x, step_y = picture.cell(0, 0)
    extent = (left, left + columns * step_x, top + rows * step_y, top)
    # Behind the map, pale: where in the image the tiles' centres lie.
    pale = 0.6 + 0.4 * (picture.image @ np.array([0.299, 0.587, 0.114]) / 255)
    axes.imshow(pale, extent=(0, width, height, 0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.imshow(cluster_colours(ids), extent=extent, interpolation="nearest")
    corners = _borders(ids) * (step_x, step_y) + (left, top)
    axes.add_collection(LineCollection(list(corners), colors=style.PAPER, linewidths=0.6))
    clusters = len(np.unique(ids))
    text = f"{title}: {ids.size:,} tiles in {clusters:,} clusters"
    axes.set_title(text, loc="left", fontsize=8.5, color=style.MUTED)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    style.bare(axes)
