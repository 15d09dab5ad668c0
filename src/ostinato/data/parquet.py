"""Image sets in the parquet layout of the Hugging Face hub: a struct of image bytes and path, and a label."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ostinato.data.dataset import Split, check_labels
from ostinato.data.decode import decode_images
from ostinato.errors import DataError

_IMAGE_COLUMNS = ("img", "image")
_MISSPELT = {"cra": "crab"}
"""The hub's CIFAR-100 calls one class so."""


def read_parquet_split(
    folder: Path,
    name: str,
    side: int,
    classes: tuple[str, ...],
    progress: bool = True,
    *,
    label: str = "label",
    grey: bool = False,
) -> Split:
    """All rows of `folder`'s `<name>*.parquet`, in the order of the files' names and their rows.

    Columns: `img` or `image`, a struct with `bytes`; and `label`, an integer, under the name given. With `grey`, grey
    images are taken as well. Raises DataError when a file is missing, truncated or corrupt, lacks a column, names other
    classes, or has a label or an image out of range.
    """
    files = sorted(folder.glob(f"{name}*.parquet"))
    if not files:
        raise DataError(f"{folder} has no {name}*.parquet; files of training and of test images are needed.")
    parts = [_read_file(file, side, classes, progress, label, grey) for file in files]
    return Split(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def read_parquet_images(file: Path, side: int, progress: bool = True) -> Tensor:
    """The images (N, 3, side, side) uint8 of one parquet file, whatever its other columns say.

    For images outside a network's classes, which have no label or a label of -1. Raises DataError as
    `read_parquet_split` does.
    """
    table = _read_table(file)
    return decode_images(*_encoded(table, file), side, progress)


def parquet_classes(file: Path) -> tuple[str, ...] | None:
    """What a file says about the meaning of its `label`; None if it says nothing."""
    return _class_names(_read_table(file), "label")


def _read_table(file: Path) -> pa.Table:
    try:
        return pq.read_table(file, partitioning=None, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        size = file.stat().st_size if file.exists() else 0
        raise DataError(
            f"{file}: not a readable parquet file ({size:,} bytes; {_first_line(error)}); get it again."
        ) from error


def _read_file(file: Path, side: int, classes: tuple[str, ...], progress: bool, label: str, grey: bool) -> Split:
    table = _read_table(file)
    _check_label_column(table, file, label)
    encoded, names = _encoded(table, file)
    found = _class_names(table, label)
    if found is not None and found != classes:  # what the file says its labels mean must be what we take them to mean
        raise DataError(f"{file}: its classes are {', '.join(found)}; expected {', '.join(classes)}.")
    if table[label].null_count:
        raise DataError(f"{file}: {table[label].null_count} rows have no label; get the file again.")
    labels = torch.tensor(table[label].to_pylist(), dtype=torch.int64)
    check_labels(labels, len(classes), str(file))
    return Split(decode_images(encoded, names, side, progress, grey), labels)


def _encoded(table: pa.Table, file: Path) -> tuple[list[bytes], list[str]]:
    """The images as they are stored, and what to call each of them."""
    column = next((name for name in _IMAGE_COLUMNS if name in table.column_names), None)
    if column is None:
        raise DataError(f"{file}: has the columns {', '.join(table.column_names)}; expected 'img' or 'image'.")
    kind = table.schema.field(column).type
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise DataError(f"{file}: column {column!r} is {kind}; expected a struct with the image's 'bytes'.")
    encoded = [(row or {}).get("bytes") or b"" for row in table[column].to_pylist()]
    return encoded, [f"{file}, row {row}" for row in range(len(encoded))]


def _check_label_column(table: pa.Table, file: Path, label: str) -> None:
    if label not in table.column_names:
        found = ", ".join(table.column_names)
        raise DataError(f"{file}: has the columns {found}; expected 'img' (or 'image') and {label!r}.")
    if not pa.types.is_integer(table.schema.field(label).type):
        raise DataError(f"{file}: column {label!r} is {table.schema.field(label).type}; expected integers.")


def _class_names(table: pa.Table, label: str) -> tuple[str, ...] | None:
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        names = json.loads(metadata)["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return tuple(_MISSPELT.get(str(name), str(name)) for name in names)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
