"""What to say when a folder does not hold the data set that is asked for."""

from __future__ import annotations

from pathlib import Path


def not_found(name: str, data_dir: Path | None, layouts: str, download: bool = True) -> str:
    """One sentence: what there is, and what is read; `download` mentions the other way to get it."""
    if data_dir is None:
        way = "; or download=True" if download else ""
        return f"{name} needs data_dir, a folder with {layouts}{way}."
    if not data_dir.is_dir():
        return f"{data_dir} is not a folder; {name} is read from a folder with {layouts}."
    found = sorted(path.name for path in data_dir.iterdir())
    listing = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return f"{data_dir} does not hold {name} (found: {listing or 'nothing'}); expected {layouts}."
