"""The reuse pattern of one layer: which vectors are compared, how they are hashed, how the hash learns."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ostinato.errors import PatternError
from ostinato.reuse import pattern_rules
from ostinato.reuse.geometry import ConvGeometry


@dataclass(frozen=True)
class Pattern:
    """How one convolution reuses computation (DESIGN §2; GR §3). Refuses nonsense on construction.

    Attributes:
        length: L, columns of X in a neuron block; K, all of them, is the whole row.
        hashes: H, sign bits of an id, 1 to 16 (`tree`: 1 to 10). `kmeans`: there are 2^H clusters. `hypercube`: D, the
            dimensions that are cut into bins.
        order: column order of X (GR §3.3): c, kh and kw with dots between, outermost first, each with an optional tile
            size: `kh.kw.c` (a slice runs through the channels of a pixel), `c.kh.kw` (inside a channel, as in the
            papers), `c:8.kh.kw` (blocks of eight channels; inside, as `kh.kw.c`).
        scope: whose vectors share clusters: those of one `image`, of the `batch`, `across_batches` (DR Algorithm 1: an
            id computed in any earlier batch is not computed again; in training as `batch`), or `compiled`:
            centroids accumulated while training, fixed afterwards.
        sharing: which slices share hash vectors: none (`slice`: one hash matrix for each), the slices of one channel
            `block` at all kernel positions (ids then exist once per input pixel; needs channels innermost and L
            dividing the channels), or all (`layer`, as in the TREC artifact).
        clustering: where ids come from. `lsh`: H hyperplanes, a bit each. `tree`: 2^H − 1 hyperplanes in a
            binary tree, of which a vector meets H, the bits so far choosing the next. A tree is fitted to calibration
            vectors: it needs a tree's init, and gradient `soft` or `frozen`. `kmeans` and
            `hypercube` (DR §III-B1) have no hash at all, and need gradient `frozen`.
        similarity: `angular` clusters x/‖x‖ (DR's default), `euclidean` x itself. Centroids are means of x in both.
        bins: B of `hypercube`.
        direction: `vertical` compares blocks of a slice, `horizontal` those of a panel of rows (GR §3.4).
        block_rows: b, rows of X in a neuron block (GR §3.3); in horizontal direction l, the rows of a panel.
        row_order: order of X's rows over b, oh and ow, with tiles as in `order`: which rows a block or panel takes.
        representative: what a new id's result is computed from (`across_batches`): the `first` vector that has it, as
            in Algorithm 1, or the `mean` of the batch's, as in the text around it.
        cache_entries: at most so many ids have their results kept (`across_batches`).
        init: first hash vectors: `random` (N(0, 1), zero thresholds, the papers'), random with `median`
            thresholds, `pca` or `itq` of calibration vectors, the same as the outputs see them (`weighted-pca`,
            `weighted-itq`), or chosen one by one for the least output error (`greedy`). Of a tree: `pca` of each
            node's vectors in turn, `polished` (all nodes then fitted together), or, of one coordinate instead of
            hyperplanes, `thresholds` (a node's own coordinate) or `level-thresholds` (a level's).
        gradient: how the hash learns; `docs/method.md` compares them. `flip` is ours, `trec` is TREC §3.2. `soft`, in
            compiled scope with hashes by block: as if bits were drawn, for the layers before as well.
        slope: a of the sigmoid, TREC Eq. 3.2 (`trec` only).
        centre: b of the sigmoid, TREC Eq. 3.2, slightly right of zero as the paper asks (`trec` only).
        sigma: σ of the Gaussian, TREC Eq. 3.4 (`trec` only): `dynamic`, 1/(k·2^H), or a number, the static σ that the
            paper compares it with (§5.4).
        k: of the dynamic σ, TREC Eq. 3.7 (`trec` only).
        flip_slope: slope of the bit's smoothing kernel times the projections' standard deviation (`flip`).
        soft_slope: slope of the sigmoid that says how likely a bit is, times the projections' deviation (`soft`).
        window: half width, in standard deviations of the projections, in which a bit has a gradient
            (`straight-through`).
        gradient_rows: at most so many vectors are drawn for the hash gradient (`flip`, `straight-through`), evenly from
            all slices, and
        gradient_share: at most this share of a layer's vectors, so that small layers do not spend more on it than on
            their products; 16 of each slice at least.
        momentum: weight of a new batch in the running centroids (`compiled`), as in BatchNorm.
        input_gradient: what the layers before learn from. `clusters`: a vector has its share of its centroid's gradient
            (TREC Eq. 3.5). `straight-through`: the gradient of x̂ as if it were x (compiled scope, hashes by block).
        commitment: β, how strongly training draws the input to its centroids: the gradient of β·‖x − x̂‖²/‖x‖² is added
            to the input's (with `straight-through`).
        table: what a row of a compiled layer's table is. `products`: centroid·W. `free`: that and an offset of its own,
            which training learns (compiled scope, hashes by block): a layer is then any sum of functions of ids, at
            the same cost on a device.
        seed: of the initialisation and of the sampling above.

    Raises:
        PatternError: if a field has a wrong type or value.
    """

    length: int
    hashes: int
    order: str = "kh.kw.c"
    scope: str = "image"
    sharing: str = "slice"
    clustering: str = "lsh"
    similarity: str = "euclidean"
    bins: int = 4
    direction: str = "vertical"
    block_rows: int = 1
    row_order: str = "b.oh.ow"
    representative: str = "first"
    cache_entries: int = 1 << 20
    init: str = "random"
    gradient: str = "flip"
    slope: float = 10_000.0
    centre: float = 0.001
    sigma: str | float = "dynamic"
    k: float = 5.0
    flip_slope: float = 20.0
    soft_slope: float = 2.0
    window: float = 0.5
    gradient_rows: int = 32_768
    gradient_share: float = 0.0625
    momentum: float = 0.1
    input_gradient: str = "clusters"
    commitment: float = 0.0
    table: str = "products"
    seed: int = 0

    def __post_init__(self) -> None:
        pattern_rules.check(self)

    @classmethod
    def compiled(cls, length: int, hashes: int, **fields: Any) -> Pattern:
        """The best that is known for tables made at compile time: polished trees, a hash per channel block.

        Args:
            length: L, channels of a block; divides the layer's input channels.
            hashes: H, at most 10: tables have 2^H rows for each block and kernel position.
            fields: of the pattern, to differ in.
        """
        chosen: dict[str, Any] = {
            "scope": "compiled", "sharing": "block", "clustering": "tree", "init": "polished", "gradient": "frozen",
        }  # fmt: skip
        return cls(length, hashes, **{**chosen, **fields})

    @property
    def ids(self) -> int:
        """How many ids a vector can have: 2^H, or the B^H cells of a hyper-cube (DR prints D^B)."""
        return self.bins**self.hashes if self.clustering == "hypercube" else 1 << self.hashes

    @property
    def id_bits(self) -> int:
        """Bits that hold any id."""
        return (self.ids - 1).bit_length()

    @property
    def planes(self) -> int:
        """Hyperplanes of a hash matrix: H, the 2^H − 1 of a tree, or none."""
        if self.clustering == "lsh":
            return self.hashes
        return self.ids - 1 if self.clustering == "tree" else 0

    @property
    def gaussian_sigma(self) -> float:
        """σ of TREC Eq. 3.4, dynamic or static."""
        return 1.0 / (self.k * 2**self.hashes) if isinstance(self.sigma, str) else self.sigma

    @property
    def block_size(self) -> int:
        """Values of a neuron block: b·L."""
        return self.block_rows * self.length

    @property
    def pixelwise(self) -> bool:
        """Whether the layer is a conventional convolution of an input vector-quantised pixel by pixel.

        True in compiled scope with hashes shared by channel block (DESIGN §5.5).
        """
        return self.scope == "compiled" and self.sharing == "block" and self.block_rows == 1

    @property
    def blocked(self) -> bool:
        """Whether it matters which rows of X are neighbours: blocks of several rows, or panels of rows."""
        return self.block_rows > 1 or self.direction == "horizontal"

    @property
    def rows_per_image(self) -> bool:
        """Whether blocks and panels of rows end where an image ends."""
        return self.scope in ("image", "compiled")

    @property
    def own_panels(self) -> bool:
        """Whether each panel of a tensor of blocks has clusters of its own: an image's, or a horizontal panel's."""
        return self.scope == "image" or self.direction == "horizontal"

    def slices(self, geometry: ConvGeometry) -> int:
        """S, the number of slices: ⌈K/L⌉; in horizontal direction the ⌊K/L⌋ blocks of a panel."""
        return geometry.K // self.length if self.direction == "horizontal" else -(-geometry.K // self.length)

    def hash_groups(self, geometry: ConvGeometry) -> int:
        """G, the number of hash matrices; slice s uses matrix s mod G."""
        if self.sharing == "slice":
            return self.slices(geometry)
        return geometry.in_channels // self.length if self.sharing == "block" else 1

    def centroid_groups(self, geometry: ConvGeometry) -> int:
        """How many sets of 2^H centroids the compiled scope keeps: one per block or one per slice."""
        return self.hash_groups(geometry) if self.pixelwise else self.slices(geometry)

    def validate_for(self, geometry: ConvGeometry, layer_name: str) -> None:
        """Refuse a layer that this pattern cannot apply to.

        Raises:
            PatternError: with the layer's name, what was found and what is possible.
        """
        pattern_rules.check_for(self, geometry, layer_name)

    def to_dict(self) -> dict[str, str | int | float]:
        """All fields as strings and numbers, for TOML or JSON; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Pattern:
        """The pattern that `to_dict` described; fields left out have their defaults.

        Raises:
            PatternError: for an unknown or missing field.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
                raise PatternError(f"a pattern has no field '{name}'; {hint}")
        for name in ("length", "hashes"):
            if name not in fields:
                raise PatternError(f"a pattern needs the field '{name}'")
        return cls(**fields)

    def __str__(self) -> str:
        how = f"{self.init}, {self.gradient}" if self.clustering == "lsh" else self.clustering
        if self.clustering == "tree" and self.init != "pca":
            how = f"{self.init} tree"
        if self.similarity != "euclidean":
            how = f"{how}, {self.similarity}"
        size = f"L={self.length}" if self.block_rows == 1 else f"L={self.length} b={self.block_rows}"
        rows = "" if self.row_order == "b.oh.ow" else f" rows {self.row_order}"
        way = "" if self.direction == "vertical" else " horizontal"
        if self.table == "free":
            how = f"{how}, free table"
        return f"{size} H={self.hashes} {self.order}{rows}{way}, {self.scope} scope, hashes per {self.sharing} ({how})"
