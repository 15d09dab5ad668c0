"""Data flow one way through the rooms: a room imports only rooms above it (docs/design.md)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "ostinato"


def rooms() -> list[str]:
    """The rooms in the order in which the design page lists them."""
    table = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").split("## Rooms")[1]
    return [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)/?`", row)]


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "ostinato":
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ostinato."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ostinato."))
    return found


def test_every_room_is_listed() -> None:
    there = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if not path.name.startswith(("_", "py."))}
    assert there == set(rooms())


# The front doors, __init__.py and __main__.py, import from every room, when asked.
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up(path: Path) -> None:
    order = rooms()
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    above = {name for name in order if order.index(name) <= order.index(room)}
    assert imported_rooms(path) <= above | {"__version__"}
