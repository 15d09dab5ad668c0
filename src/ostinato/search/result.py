"""What a search found, and the files that hold it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ostinato.files import write_atomically
from ostinato.reuse import Pattern, StemPattern, read_pattern
from ostinato.search.profile import Row
from ostinato.search.settings import SearchError

SEARCH_FILE = "search.json"
PATTERNS_FILE = "patterns.toml"
_COLUMNS = (
    "key", "layer", "pattern", "kernel", "dropped", "r_t", "clusters", "unseen", "error", "published", "corrected",
    "kl", "key_condition", "flops", "cycles", "cycles_simulated", "cycles_model", "cycles_published",
    "cycles_external", "cycles_external_simulated", "cycles_external_model", "flash_bytes", "external_bytes",
    "staged_bytes", "scratch_bytes", "code_bytes", "input_mean", "input_std", "input_zeros", "seconds", "failed",
)  # fmt: skip


@dataclass(frozen=True)
class SearchResult:
    """What a search found; `search.json` is the same.

    Attributes:
        front: networks that no other measured one is better than in latency and accuracy, fastest first. Each has
            `patterns` (layer → fields), `ms`, `cycles`, `kl`, `valid_top1`, `loss_points`, `flash_bytes`, `sram_bytes`,
            `external_bytes` and `external_wait_cycles` (of external flash), `epochs` of fine-tuning and, except the
            conventional one, what was `predicted` of it.
        chosen: the one that the budgets ask for.
        candidates: how many patterns were profiled.
        seconds: of workers, all together, by phase: profile, prune, train, simulate.
        about: network, data, board, seed, budgets, the conventional network's numbers, drops by reason, errors of the
            latency model on unseen layers, factors of interaction, notes.
    """

    front: tuple[Mapping[str, Any], ...]
    chosen: Mapping[str, Any]
    candidates: int
    seconds: Mapping[str, float]
    about: Mapping[str, Any]

    @property
    def patterns(self) -> dict[str, Pattern | StemPattern]:
        """Of the chosen network, for `convert` or `compile_tables`."""
        return {layer: read_pattern(fields) for layer, fields in self.chosen["patterns"].items()}

    def to_dict(self) -> dict[str, Any]:
        """The document."""
        return {"front": list(self.front), "chosen": dict(self.chosen), "candidates": self.candidates,
                "seconds": dict(self.seconds), **self.about}  # fmt: skip

    @classmethod
    def read(cls, folder: Path) -> SearchResult:
        """The result in a search's folder.

        Raises:
            SearchError: there is none, or it cannot be read.
        """
        path = folder / SEARCH_FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            front, chosen = tuple(document.pop("front")), document.pop("chosen")
            return cls(front, chosen, document.pop("candidates"), document.pop("seconds"), document)
        except FileNotFoundError:
            raise SearchError(f"{folder} has no {path.name}: the search there is not finished; go on with it") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SearchError(f"{path} cannot be read ({error})") from None

    def write(self, folder: Path, rows: Sequence[Row]) -> None:
        """`search.json`, `patterns.toml`, and the table of all candidates as CSV and Parquet.

        Raises:
            SearchError: they cannot be written.
        """
        files = {
            "candidates.csv": _csv(rows), "candidates.parquet": _parquet(rows),
            PATTERNS_FILE: patterns_toml(self.patterns).encode(),
            SEARCH_FILE: (json.dumps(self.to_dict(), indent=1) + "\n").encode(),  # last: who finds it, finds the others
        }  # fmt: skip
        try:
            for name, content in files.items():
                write_atomically(folder / name, content)
        except OSError as error:
            raise SearchError(f"{folder} cannot be written: {error.strerror}; make room, and search again") from None


def patterns_toml(patterns: Mapping[str, Pattern | StemPattern]) -> str:
    """One table for each layer, for `ostinato convert --patterns`; fields with their default values are left out."""
    tables = []
    for layer, pattern in patterns.items():
        default = type(pattern)(length=1, hashes=1) if isinstance(pattern, Pattern) else StemPattern()
        usual, needed = default.to_dict(), ("length", "hashes", "groups")
        fields = {k: v for k, v in pattern.to_dict().items() if k in needed or v != usual[k]}
        lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
        tables.append("\n".join([f"[{json.dumps(layer)}]", *lines]) + "\n")
    return "\n".join(tables) or "# the conventional network: no layer is reused\n"


def _cells(row: Row) -> dict[str, Any]:
    cells = {name: row.get(name) for name in _COLUMNS}
    return cells | {"pattern": json.dumps(row["pattern"])}


def _csv(rows: Sequence[Row]) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS)
    writer.writeheader()
    writer.writerows(_cells(row) for row in rows)
    return stream.getvalue().encode()


def _parquet(rows: Sequence[Row]) -> bytes:
    texts = {"key", "layer", "pattern", "kernel", "dropped", "failed"}
    cells = [_cells(row) for row in rows]
    columns = {
        name: pa.array(
            [cell[name] if name in texts or cell[name] is None else float(cell[name]) for cell in cells],
            pa.string() if name in texts else pa.float64(),
        )
        for name in _COLUMNS
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()
