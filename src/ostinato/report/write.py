"""The files of a run directory that are read by people: all made first, then each written whole."""

from __future__ import annotations

from pathlib import Path

from ostinato.files import write_atomically
from ostinato.report.html import to_html
from ostinato.report.plots import accuracy_latency, latency_by_layer
from ostinato.report.schema import Report
from ostinato.report.tables import to_markdown
from ostinato.report.tiles import TilePicture, similar_tiles

_TILES = "similar_tiles.png"


def write_report(run_dir: Path, report: Report, tile_picture: TilePicture | None = None) -> list[Path]:
    """Write `report.json`, `report.md`, `report.html` and `plots/*.png` into `run_dir`; returns their paths.

    Without `tile_picture`, a `plots/similar_tiles.png` of an earlier call stays and is shown. A plot for which the
    report has no numbers is left out, and its old file removed.
    """
    plots = run_dir / "plots"
    drawn: dict[str, bytes | None] = {
        "accuracy_latency.png": accuracy_latency(report),
        "latency_by_layer.png": latency_by_layer(report),
    }
    if tile_picture is not None:
        drawn[_TILES] = similar_tiles(tile_picture)
    elif (plots / _TILES).is_file():
        drawn[_TILES] = (plots / _TILES).read_bytes()
    pictures = {name: content for name, content in drawn.items() if content is not None}
    files = {plots / name: content for name, content in pictures.items()}
    files[run_dir / "report.md"] = to_markdown(report).encode()
    files[run_dir / "report.html"] = to_html(report, pictures).encode()
    files[run_dir / "report.json"] = report.to_json().encode()  # last: who finds it, finds the others
    for path, content in files.items():
        write_atomically(path, content)
    for name in drawn.keys() - pictures.keys():
        (plots / name).unlink(missing_ok=True)
    return list(files)
