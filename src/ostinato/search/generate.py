"""From the pattern space to the candidates of every layer, and what was dropped on the way and why (GR §4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ostinato.errors import PatternError
from ostinato.reuse import Pattern, StemPattern
from ostinato.search.candidate import AnyPattern, Drop
from ostinato.search.layers import Layer
from ostinato.search.space import Family, Fields, SearchSpace, make_pattern, resolve_length

NO_PATTERN = "are no pattern"
NOT_FOR_LAYER = "do not apply to their layer"
NEVER_PAYS = "hash for as long as the convolution takes"
BEYOND_FLASH = "have a table larger than the board's flash"
NO_KERNEL = "have no firmware kernel"

Refusal = Callable[[Layer, AnyPattern], str | None]


@dataclass(frozen=True)
class Candidates:
    """What a search looks at: for every layer its patterns, without the conventional kernel, which is always one."""

    patterns: dict[str, tuple[AnyPattern, ...]]
    drops: tuple[Drop, ...]

    @property
    def count(self) -> int:
        """Patterns of all layers."""
        return sum(map(len, self.patterns.values()))


def generate(space: SearchSpace, layers: Sequence[Layer], flash_bytes: int, refusal: Refusal) -> Candidates:
    """Candidates of each layer, each once, in the order of the file.

    Args:
        space: of patterns.
        layers: of the network.
        flash_bytes: of the board.
        refusal: why firmware cannot run a pattern on a layer, or None; asked last, since it takes longest.

    Raises:
        PatternError: no candidate is left, with the reasons.
    """
    drops: list[Drop] = []
    patterns = {layer.name: _of_layer(space, layer, flash_bytes, refusal, drops) for layer in layers}
    if not any(patterns.values()):
        reasons = {drop.reason: drop for drop in reversed(drops)}
        why = "; ".join(f"{reason}: {drop.layer}, {drop.detail}" for reason, drop in reasons.items())
        raise PatternError(
            "the pattern space has no candidate for any layer of this network and board"
            + (f" ({why})" if why else f": none of its tables is for {', '.join(layer.name for layer in layers)}")
        )
    return Candidates(patterns, tuple(drops))


def _of_layer(
    space: SearchSpace, layer: Layer, flash_bytes: int, refusal: Refusal, drops: list[Drop]
) -> tuple[AnyPattern, ...]:
    found: dict[AnyPattern, None] = {}
    seen: set[AnyPattern] = set()
    for family in space.families:
        if not family.is_for(layer.name) or (family.kind == "stems" and not layer.reads_image):
            continue
        for fields in family.combinations():
            pattern = _pattern(family, fields, layer, drops)
            if pattern is None or pattern in seen:
                continue
            seen.add(pattern)
            reason = _reason(pattern, layer, flash_bytes, refusal)
            if reason is None:
                found[pattern] = None
            else:
                drops.append(Drop(layer.name, str(pattern), *reason))
    return tuple(found)


def _pattern(family: Family, fields: Fields, layer: Layer, drops: list[Drop]) -> AnyPattern | None:
    if "length" in fields:
        fields = {**fields, "length": resolve_length(fields["length"], layer.geometry)}
    try:
        return make_pattern(family.kind, fields)
    except PatternError as error:
        text = ", ".join(f"{key}={value}" for key, value in fields.items())
        drops.append(Drop(layer.name, text, NO_PATTERN, str(error)))
        return None


def _reason(pattern: AnyPattern, layer: Layer, flash_bytes: int, refusal: Refusal) -> tuple[str, str] | None:
    """Kind of reason and sentence why a pattern is no candidate; None if it is."""
    try:
        pattern.validate_for(layer.geometry, layer.name)
    except PatternError as error:
        return NOT_FOR_LAYER, str(error)
    never = hashing_share(pattern, layer)
    if never >= 1.0:
        return NEVER_PAYS, f"H/D_out = {never:.2f}, which no redundancy ratio r_t < 1 exceeds (GR §4.2)"
    table = table_bytes(pattern, layer)
    if table > flash_bytes:
        return BEYOND_FLASH, f"{table:,} bytes of {flash_bytes:,}"
    why = refusal(layer, pattern)
    return None if why is None else (NO_KERNEL, why)


def hashing_share(pattern: AnyPattern, layer: Layer) -> float:
    """GR §4.2's H/D_out, the share of the conventional multiplications that hashing takes.

    Where ids exist once per input pixel (`block` sharing), that many fewer vectors are hashed than X has. A stem has no
    hyperplanes; the multiplications of its separable transform stand in, KH + KW for a coefficient.
    """
    geometry = layer.geometry
    if isinstance(pattern, StemPattern):
        return pattern.coefficients * sum(geometry.kernel_size) / (geometry.K * geometry.out_channels)
    if not pattern.planes:
        return 0.0  # k-means and hyper-cube: no hash
    share = pattern.hashes / geometry.out_channels
    if pattern.sharing == "block" and pattern.block_rows == 1:
        share *= layer.height * layer.width * geometry.in_channels / (layer.positions * geometry.K)
    return share


def table_bytes(pattern: AnyPattern, layer: Layer) -> int:
    """Bytes of an int8 table: slices · 2^H · M in compiled scope, groups · 2^H · M of a stem, else 0."""
    outputs = layer.geometry.out_channels
    if isinstance(pattern, StemPattern):
        return pattern.groups * pattern.ids * outputs
    return pattern.slices(layer.geometry) * pattern.ids * outputs if pattern.scope == "compiled" else 0


def key_condition(pattern: AnyPattern, layer: Layer, r_t: float) -> bool:
    """GR §4.2: reuse can save multiplications only if H/D_out < r_t.

    Results that come from tables are all reused, whatever the number of clusters: r_t counts as 1.
    """
    tables = isinstance(pattern, StemPattern) or (isinstance(pattern, Pattern) and pattern.scope == "compiled")
    return hashing_share(pattern, layer) < (1.0 if tables else r_t)
