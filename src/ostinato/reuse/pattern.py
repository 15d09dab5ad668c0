"""The reuse pattern of one layer: which vectors are compared, how they are hashed, how the hash learns."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry

MAX_HASHES = 16
MAX_TREE_HASHES = 10  # a tree has 2^H − 1 hyperplanes, each with its share of the vectors to fit it to
_MAX_CENTROID_NUMBERS = 2**28  # one GiB of float32: beyond it a compiled table is a mistake, not a choice

_CHOICES: dict[str, tuple[str, ...]] = {
    "order": ("kh.kw.c", "c.kh.kw"),
    "scope": ("image", "batch", "compiled"),
    "sharing": ("slice", "block", "layer"),
    "clustering": ("lsh", "tree"),
    "init": ("random", "median", "pca", "itq"),
    "gradient": ("flip", "trec", "straight-through", "frozen"),
}


@dataclass(frozen=True)
class Pattern:
    """How one convolution reuses computation (DESIGN §2; GR §3). Refuses nonsense on construction.

    Attributes:
        length: L, columns of X in a neuron vector.
        hashes: H, sign bits of an id, 1 to 16 (`tree`: 1 to 10).
        order: column order of X: `kh.kw.c` (a slice runs through the channels of a pixel) or `c.kh.kw` (a slice
            runs inside a channel, as in the papers).
        scope: whose vectors share clusters: those of one `image`, of the `batch`, or `compiled`: centroids
            accumulated while training, fixed afterwards.
        sharing: which slices share hash vectors: none (`slice`: one hash matrix for each), the slices of one channel
            `block` at all kernel positions (ids then exist once per input pixel; needs order `kh.kw.c` and L
            dividing the channels), or all (`layer`, as in the TREC artifact).
        clustering: where an id's bits come from. `lsh`: H hyperplanes, a bit each. `tree`: 2^H − 1 hyperplanes in a
            binary tree, of which a vector meets H, the bits so far choosing the next. A tree is fitted to calibration
            vectors and does not learn: it needs init `pca` (of each node's vectors) and gradient `frozen`.
        init: first hash vectors: `random` (N(0, 1), zero thresholds, the papers'), random with `median`
            thresholds, principal axes (`pca`) or `itq` of calibration vectors.
        gradient: how the hash learns; `docs/method.md` compares them. `flip` is ours, `trec` is TREC §3.2.
        slope: a of the sigmoid, TREC Eq. 3.2 (`trec` only).
        centre: b of the sigmoid, TREC Eq. 3.2, slightly right of zero as the paper asks (`trec` only).
        k: σ = 1/(k·2^H), TREC Eq. 3.7 (`trec` only).
        flip_slope: slope of the bit's smoothing kernel times the projections' standard deviation (`flip`).
        window: half width, in standard deviations of the projections, in which a bit has a gradient
            (`straight-through`).
        gradient_rows: at most so many vectors are drawn for the hash gradient (`flip`, `straight-through`).
        momentum: weight of a new batch in the running centroids (`compiled`), as in BatchNorm.
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
    init: str = "random"
    gradient: str = "flip"
    slope: float = 10_000.0
    centre: float = 0.001
    k: float = 5.0
    flip_slope: float = 20.0
    window: float = 0.5
    gradient_rows: int = 50_000
    momentum: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_integer("length", 1)
        self._check_integer("hashes", 1, MAX_HASHES)
        self._check_integer("gradient_rows", 1)
        self._check_integer("seed", 0)
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if value not in choices:
                raise PatternError(f"a pattern's {field} must be one of {', '.join(choices)}, not {value!r}")
        self._check_number("slope", above=0.0)
        self._check_number("centre")
        self._check_number("k", above=1.0)  # Eq. 3.7 asks for k > 1
        self._check_number("flip_slope", above=0.0)
        self._check_number("window", above=0.0)
        self._check_number("momentum", above=0.0)
        if self.momentum > 1:
            raise PatternError(f"a pattern's momentum must be at most 1, not {self.momentum!r}")
        if self.sharing == "block" and self.order != "kh.kw.c":
            raise PatternError(
                f"sharing hashes by channel block needs order kh.kw.c, not {self.order}: only there is a slice "
                "a block of one pixel's channels"
            )

        if self.clustering == "tree":
            self._check_tree()

    def _check_tree(self) -> None:
        if self.init != "pca" or self.gradient != "frozen":
            raise PatternError(
                "a tree of hyperplanes is fitted to images and does not learn: write clustering='tree', init='pca', "
                f"gradient='frozen' (not init={self.init!r}, gradient={self.gradient!r})"
            )
        if self.hashes > MAX_TREE_HASHES:
            raise PatternError(
                f"a tree of hyperplanes has at most {MAX_TREE_HASHES} hashes (levels), not {self.hashes}: it needs "
                "2^H − 1 hyperplanes; use fewer, or clustering='lsh'"
            )

    def _check_integer(self, field: str, minimum: int, maximum: int | None = None) -> None:
        value = getattr(self, field)
        bad = isinstance(value, bool) or not isinstance(value, int) or value < minimum
        if bad or (maximum is not None and value > maximum):
            limits = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise PatternError(f"a pattern's {field} must be an integer {limits}, not {value!r}")

    def _check_number(self, field: str, above: float = -math.inf) -> None:
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= above:
            limit = "a finite number" if above == -math.inf else f"a finite number above {above:g}"
            raise PatternError(f"a pattern's {field} must be {limit}, not {value!r}")
        object.__setattr__(self, field, float(value))

    @property
    def ids(self) -> int:
        """2^H: how many ids a vector can have."""
        return 1 << self.hashes

    @property
    def planes(self) -> int:
        """Hyperplanes of a hash matrix: H, or the 2^H − 1 of a tree."""
        return self.hashes if self.clustering == "lsh" else self.ids - 1

    @property
    def pixelwise(self) -> bool:
        """Whether the layer is a conventional convolution of an input vector-quantised pixel by pixel.

        True in compiled scope with hashes shared by channel block (DESIGN §5.5).
        """
        return self.scope == "compiled" and self.sharing == "block"

    def slices(self, geometry: ConvGeometry) -> int:
        """S, the number of slices: ⌈K/L⌉."""
        return -(-geometry.K // self.length)

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
        if self.length > geometry.K:
            raise PatternError(
                f"layer '{layer_name}': slices of length {self.length} are longer than its im2col rows "
                f"(K = {geometry.K}); use a length from 1 to {geometry.K}"
            )
        channels = geometry.in_channels
        if self.sharing == "block" and channels % self.length:
            divisors = [d for d in range(1, channels + 1) if channels % d == 0]
            raise PatternError(
                f"layer '{layer_name}': length {self.length} does not divide its {channels} input channels, which "
                f"sharing by block needs; use one of {', '.join(map(str, divisors))}, or sharing='slice'"
            )
        numbers = self.centroid_groups(geometry) * self.ids * self.length
        if self.scope == "compiled" and numbers > _MAX_CENTROID_NUMBERS:
            raise PatternError(
                f"layer '{layer_name}': compiled scope with {self.hashes} hashes keeps {numbers:,} centroid numbers, "
                f"more than {_MAX_CENTROID_NUMBERS:,}; use fewer hashes"
            )

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
        return f"L={self.length} H={self.hashes} {self.order}, {self.scope} scope, hashes per {self.sharing} ({how})"
