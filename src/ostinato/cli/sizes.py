"""Sizes of memory as people write them."""

from __future__ import annotations

import math
import re

from ostinato.errors import OstinatoError

_UNITS = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "KIB": 1024, "MIB": 1024**2}


def parse_bytes(text: str | None, option: str) -> int | None:
    """Bytes of `1.5MB`, `900KiB` or `65536`; None stays.

    Raises:
        OstinatoError: it is none of these, with the option's name.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([A-Za-z]*)", text.strip())
    unit = None if found is None else _UNITS.get(found[2].upper())
    if found is None or unit is None:
        raise OstinatoError(f"{option} is {text!r}; write a size such as 1.5MB, 900KiB or 65536")
    return math.floor(float(found[1]) * unit)
