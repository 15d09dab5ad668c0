"""The reference of `report.json` as Markdown, made from the dataclasses: `python -m ostinato.report.reference`.

`docs/report.md` holds its output; a test compares them.
"""

from __future__ import annotations

import sys
from typing import Any, get_args, get_origin

from ostinato.report.decode import Record, hints, limits, parts
from ostinato.report.schema import Layer, Phases, Report, Row, Spread


def reference() -> str:
    """One table of fields for each object of the interface."""
    return "\n".join(_table(record) for record in (Report, Row, Layer, Phases, Spread))


def _table(record: type[Record]) -> str:
    lines = [f"### {record.__name__}", "", "| field | type | required | meaning |", "| --- | --- | --- | --- |"]
    for name, hint in hints(record).items():
        kind, about, optional = parts(hint)
        type_name = _type_name(kind) + (" or null" if optional else "")
        allowed = f"; {limits(about).removeprefix('of ')}" if limits(about) else ""
        lines.append(f"| `{name}` | {type_name} | {'yes' if record.requires(name) else 'no'} | {about.text}{allowed} |")
    return "\n".join([*lines, ""])


def _type_name(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"list of {_type_name(get_args(kind)[0])}"
    names: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean"}
    return names.get(kind) or str(kind.__name__)


if __name__ == "__main__":
    sys.stdout.write(reference())
