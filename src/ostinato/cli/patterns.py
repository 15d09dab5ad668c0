"""Patterns as users write them: a TOML file, or `layer:field=value,...` on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostinato.errors import PatternError
from ostinato.reuse import Pattern, StemPattern, read_pattern

_SHORT = {"L": "length", "H": "hashes", "G": "groups"}


def read_patterns(file: Path | None, given: Sequence[str]) -> dict[str, Pattern | StemPattern]:
    """Layer → pattern, from `file` (one TOML table per layer) and from the command line, which wins.

    Raises:
        PatternError: nothing was given, or something cannot be read, with the layer's name.
    """
    patterns = {} if file is None else _from_file(file)
    patterns.update(parse_pattern(text) for text in given)
    if not patterns:
        raise PatternError(
            "no patterns were given; use --pattern LAYER:FIELD=VALUE,..., for example conv2:L=8,H=4,scope=compiled, "
            "or --patterns FILE"
        )
    return patterns


def parse_pattern(text: str) -> tuple[str, Pattern | StemPattern]:
    """(layer, pattern) of `conv2:L=8,H=4,scope=compiled`.

    Raises:
        PatternError: the text has another form, or the pattern is nonsense.
    """
    layer, colon, rest = text.partition(":")
    if not (layer and colon and rest):
        raise PatternError(f"--pattern {text!r}: expected LAYER:FIELD=VALUE,..., for example conv2:L=8,H=4")
    fields: dict[str, Any] = {}
    for item in rest.split(","):
        name, equals, value = item.partition("=")
        if not equals:
            raise PatternError(f"--pattern {text!r}: {item!r} is not FIELD=VALUE")
        fields[_SHORT.get(name.strip(), name.strip())] = _value(value.strip())
    return layer.strip(), _pattern(layer, fields)


def _from_file(path: Path) -> dict[str, Pattern | StemPattern]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PatternError(f"cannot read the patterns in {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PatternError(f"{path} is not valid TOML ({error})") from None
    patterns = {}
    for layer, fields in tables.items():
        if not isinstance(fields, dict):
            raise PatternError(f"{path}: {layer} is {fields!r}; expected one table per layer, such as [conv2]")
        # TOML reads [features.conv2] as nested tables; a layer's qualified name has dots.
        patterns.update(_flatten(layer, fields))
    return {layer: _pattern(layer, fields) for layer, fields in patterns.items()}


def _flatten(name: str, fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if not any(isinstance(value, dict) for value in fields.values()):
        return {name: fields}
    found: dict[str, dict[str, Any]] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            found.update(_flatten(f"{name}.{key}", value))
        else:
            found.setdefault(name, {})[key] = value
    return found


def _pattern(layer: str, fields: dict[str, Any]) -> Pattern | StemPattern:
    try:
        return read_pattern({_SHORT.get(name, name): value for name, value in fields.items()})
    except PatternError as error:
        raise PatternError(f"layer '{layer}': {error}") from None


def _value(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
