"""Image sets in the parquet layout of the Hugging Face hub: a struct of image bytes and path, and a label."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ostinato.data.dataset import Split, check_labels
from ostinato.data.decode import decode_images
from ostinato.errors import DataError


def read_parquet_split(
    folder: Path, name: str, side: int, classes: tuple[str, ...], progress: bool = True
) -> Split:
    """All rows of `folder`'s `<name>*.parquet`, in the order of the files' names and their rows.

    Columns: `img` or `image`, a struct with `bytes`; and `label`, an integer. Raises DataError when a file is
    missing, truncated or corrupt, lacks a column, names other classes, or has a label or an image out of range.
    """
    files = sorted(folder.glob(f"{name}*.parquet"))
    if not files:
        raise DataError(f"{folder} has no {name}*.parquet; both train*.parquet and test*.parquet are needed.")
    parts = [_read_file(file, side, classes, progress) for file in files]
    return Split(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def _read_file(file: Path, side: int, classes: tuple[str, ...], progress: bool) -> Split:
    try:
        table = pq.read_table(file, partitioning=None, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        size = file.stat().st_size if file.exists() else 0
        raise DataError(
            f"{file}: not a readable parquet file ({size:,} bytes; {_first_line(error)}); get it again."
        ) from error
    _check_columns(table, file)
    _check_class_names(table, file, classes)
    column = next(name for name in ("img", "image") if name in table.column_names)
    encoded = [(row or {}).get("bytes") or b"" for row in table[column].to_pylist()]
    if table["label"].null_count:
        raise DataError(f"{file}: {table['label'].null_count} rows have no label; get the file again.")
    labels = torch.tensor(table["label"].to_pylist(), dtype=torch.int64)
    check_labels(labels, len(classes), str(file))
    names = [f"{file}, row {row}" for row in range(len(encoded))]
    return Split(decode_images(encoded, names, side, progress), labels)


def _check_columns(table: pa.Table, file: Path) -> None:
    found = ", ".join(table.column_names)
    image = next((name for name in ("img", "image") if name in table.column_names), None)
    if image is None or "label" not in table.column_names:
        raise DataError(f"{file}: has the columns {found}; expected 'img' (or 'image') and 'label'.")
    kind = table.schema.field(image).type
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise DataError(f"{file}: column {image!r} is {kind}; expected a struct with the image's 'bytes'.")
    if not pa.types.is_integer(table.schema.field("label").type):
        raise DataError(f"{file}: column 'label' is {table.schema.field('label').type}; expected integers.")


def _check_class_names(table: pa.Table, file: Path, classes: tuple[str, ...]) -> None:
    """When the file says what its labels mean, that must be what we take them to mean."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return
    try:
        names = json.loads(metadata)["info"]["features"]["label"]["names"]
    except (ValueError, KeyError, TypeError):
        return
    if tuple(names) != classes:
        raise DataError(f"{file}: its classes are {', '.join(map(str, names))}; expected {', '.join(classes)}.")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
