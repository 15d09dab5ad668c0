"""The pattern space: which patterns a search looks at, read from a TOML file (GR §4.3's scope file)."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from ostinato.errors import PatternError
from ostinato.reuse import ConvGeometry, Pattern, StemPattern

LENGTH_WORDS = ("K", "C", "C/2", "C/4", "KW*C", "KH*KW")
_MAX_COMBINATIONS = 20_000  # of a family: beyond it a list was meant to be a value
_KINDS: dict[str, type[Pattern] | type[StemPattern]] = {"patterns": Pattern, "stems": StemPattern}

Fields = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """One table of the file: all combinations of its fields' values.

    Attributes:
        name: in messages.
        layers: globs of qualified layer names.
        kind: `patterns` or `stems`.
        fields: of `Pattern` or `StemPattern`, each with the values it takes; a length may be one of `LENGTH_WORDS`.
    """

    name: str
    layers: tuple[str, ...]
    kind: str
    fields: Mapping[str, tuple[Any, ...]]

    def is_for(self, layer: str) -> bool:
        """Whether a layer's name is meant."""
        return any(fnmatchcase(layer, glob) for glob in self.layers)

    def combinations(self) -> Iterator[Fields]:
        """Every combination of the values, in the order of the file."""
        for values in itertools.product(*self.fields.values()):
            yield dict(zip(self.fields, values, strict=True))


@dataclass(frozen=True)
class SearchSpace:
    """The families of patterns that a search looks at.

    Raises:
        PatternError: no family.
    """

    families: tuple[Family, ...]

    def __post_init__(self) -> None:
        if not self.families:
            raise PatternError("the pattern space is empty: give at least one [[patterns]] or [[stems]] table")

    @classmethod
    def default(cls) -> SearchSpace:
        """The space that comes with the package."""
        return cls.parse(default_text(), "the default scope file")

    @classmethod
    def read(cls, path: Path | str) -> SearchSpace:
        """The space in a TOML file.

        Raises:
            PatternError: the file cannot be read or is no TOML; an unknown key, a value that no combination can have,
                or no candidates: one sentence, with the file, the table and the key.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise PatternError(f"cannot read the scope file {path}: {reason}") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, where: str = "the scope file") -> SearchSpace:
        """The space that TOML text describes; `where` it is from, for messages. Raises as `read`."""
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PatternError(f"{where} is not valid TOML ({error})") from None
        families = []
        for key, entries in tables.items():
            if key not in _KINDS:
                raise PatternError(f"{where}: unknown key '{key}'{_hint(key, list(_KINDS))}")
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise PatternError(f"{where}: write [[{key}]], with double brackets, for each table")
            families += [_family(key, number, entry, where) for number, entry in enumerate(entries, 1)]
        if not families:
            raise PatternError(f"{where}: the pattern space is empty; give a [[patterns]] or [[stems]] table")
        return cls(tuple(families))

    def to_dict(self) -> dict[str, Any]:
        """For a journal: what decides the candidates."""
        return {"families": [dataclasses.asdict(family) for family in self.families]}


def default_text() -> str:
    """The packaged scope file, to print and to copy."""
    return files(__package__).joinpath("default_space.toml").read_text(encoding="utf-8")


def make_pattern(kind: str, fields: Mapping[str, Any]) -> Pattern | StemPattern:
    """The pattern of one combination.

    Raises:
        PatternError: the values exclude each other.
    """
    return _KINDS[kind](**fields)


def resolve_length(word: Any, geometry: ConvGeometry) -> Any:
    """What a length word means for a layer; numbers stay. A fraction of the channels is at least 1."""
    kh, kw = geometry.kernel_size
    c = geometry.in_channels
    values = {"K": geometry.K, "C": c, "C/2": c // 2, "C/4": c // 4, "KW*C": kw * c, "KH*KW": kh * kw}
    return max(1, values[word]) if isinstance(word, str) else word


def _family(kind: str, number: int, entry: Mapping[str, Any], where: str) -> Family:
    name = entry.get("name", f"table {number}")
    here = f"{where}: [[{kind}]] '{name}'"
    layers = entry.get("layers", "*")
    globs = (layers,) if isinstance(layers, str) else tuple(layers) if isinstance(layers, list) else ()
    if not isinstance(name, str) or not globs or not all(isinstance(glob, str) for glob in globs):
        raise PatternError(f"{here}: name must be a text, and layers a layer's name (with * and ?) or a list of them")
    known = [field.name for field in dataclasses.fields(_KINDS[kind])]
    fields = {}
    for key, value in entry.items():
        if key in ("name", "layers"):
            continue
        if key not in known:
            raise PatternError(f"{here}: unknown key '{key}'{_hint(key, [*known, 'name', 'layers'])}")
        values = tuple(value) if isinstance(value, list) else (value,)
        if not values:
            raise PatternError(f"{here}: {key} has no values, so the table has no patterns")
        fields[key] = values
    for needed in ("length", "hashes") if kind == "patterns" else ():
        if needed not in fields:
            raise PatternError(f"{here} needs the key '{needed}'")
    count = math.prod(len(values) for values in fields.values())
    if count > _MAX_COMBINATIONS:
        raise PatternError(f"{here} has {count:,} combinations; at most {_MAX_COMBINATIONS:,} make sense in one table")
    family = Family(name, globs, kind, fields)
    _refuse_impossible(family, here)
    return family


def _refuse_impossible(family: Family, here: str) -> None:
    """A value that is in no pattern, whatever it is combined with, is a mistake and not a choice."""
    unused = {(key, index): "" for key, values in family.fields.items() for index in range(len(values))}
    for indices in itertools.product(*(range(len(values)) for values in family.fields.values())):
        chosen = dict(zip(family.fields, indices, strict=True))
        fields = {key: family.fields[key][index] for key, index in chosen.items()}
        if isinstance(fields.get("length"), str):
            if fields["length"] not in LENGTH_WORDS:
                raise PatternError(
                    f"{here}: length is {fields['length']!r}; use a number or one of {', '.join(LENGTH_WORDS)}"
                )
            fields["length"] = 4
        try:
            make_pattern(family.kind, fields)
        except (PatternError, TypeError) as error:
            for pair in chosen.items():
                if pair in unused:
                    unused[pair] = str(error)
        else:
            for pair in chosen.items():
                unused.pop(pair, None)
    if unused:
        (key, index), reason = next(iter(_most_specific(unused).items()))
        raise PatternError(f"{here}: {key} = {family.fields[key][index]!r} is in no pattern: {reason}")


def _most_specific(unused: Mapping[tuple[str, int], str]) -> dict[tuple[str, int], str]:
    """Values that the message is about first: one bad value makes all others of a one-line table look bad, too."""
    about = {pair: text for pair, text in unused.items() if pair[0] in text}
    return {**about, **unused} if about else dict(unused)


def _hint(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
