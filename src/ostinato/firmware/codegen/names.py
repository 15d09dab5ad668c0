"""C identifiers and comments from qualified layer names, which may hold anything."""

from __future__ import annotations

import re
from collections.abc import Iterable


def identifier(name: str) -> str:
    """A C identifier that still reads like `name`: `features.0.conv` becomes `features_0_conv`."""
    clean = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return clean if clean and not clean[0].isdigit() else f"layer_{clean}".rstrip("_")


def unique_identifiers(names: Iterable[str]) -> list[str]:
    """One identifier per name; names that collide get their position appended."""
    taken = {"model"}  # the prefix of the generated functions
    result = []
    for i, name in enumerate(names):
        candidate = identifier(name)
        while candidate in taken:
            candidate = f"{candidate}_{i}"
        taken.add(candidate)
        result.append(candidate)
    return result


def comment(text: str) -> str:
    """`text` made safe for the inside of a C comment."""
    return " ".join(text.split()).replace("*/", "* /").replace("/*", "/ *")


def string_literal(text: str) -> str:
    """`text` as a C string literal (UTF-8; escapes cannot run into the next character: they are octal)."""
    body = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{body}"'
