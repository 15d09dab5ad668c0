"""CIFAR's original "python version": pickles, read by an unpickler that can build arrays and nothing else."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct

from ostinato.data.dataset import Split, check_labels
from ostinato.errors import DataError

TRAIN_FILES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_FILES = ("test_batch",)
ROWS_PER_FILE = 10_000
SIDE = 32
NUM_CLASSES = 10


def read_python_batches(folder: Path, rows_per_file: int = ROWS_PER_FILE) -> tuple[Split, Split]:
    """(train, test) from `data_batch_1` ... `data_batch_5` and `test_batch`, in the files' order.

    Each file is a pickled dict with `data`, uint8 (rows, 3072) with the planes R, G, B of 32x32, and `labels`.
    Raises DataError when a file is missing, truncated, corrupt, or contains anything but such arrays.
    """
    missing = [name for name in (*TRAIN_FILES, *TEST_FILES) if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}; unpack cifar-10-python.tar.gz again.")
    return _read_files(folder, TRAIN_FILES, rows_per_file), _read_files(folder, TEST_FILES, rows_per_file)


def _read_files(folder: Path, names: tuple[str, ...], rows: int) -> Split:
    parts = [read_python_batch(folder / name, rows, NUM_CLASSES) for name in names]
    return Split(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def read_python_batch(file: Path, rows: int, num_classes: int, label: str = "labels") -> Split:
    """One file of `rows` images, their labels under the key `label`. Raises DataError as `read_python_batches`."""
    content = _unpickle(file)
    key = label.encode()
    if not isinstance(content, dict) or not {b"data", key} <= set(content):
        raise DataError(f"{file}: not a CIFAR batch (a dict with 'data' and {label!r}); unpack the archive again.")
    data, labels = content[b"data"], content[key]
    expected = (rows, 3 * SIDE * SIDE)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != expected:
        found = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{file}: 'data' is {found}, expected uint8 {expected}; unpack the archive again.")
    if not isinstance(labels, list) or len(labels) != rows or not all(type(label) is int for label in labels):
        raise DataError(f"{file}: {label!r} is not a list of {rows} integers; unpack the archive again.")
    label_tensor = torch.tensor(labels, dtype=torch.int64)
    check_labels(label_tensor, num_classes, str(file))
    return Split(torch.from_numpy(data.reshape(rows, 3, SIDE, SIDE).copy()), label_tensor)


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """What a protocol-2 pickle calls `_codecs.encode` for: bytes that were written as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1_bytes,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Resolves only what an array is made of; a pickle that names anything else is refused, never run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no image batch contains")
        return _ALLOWED[module, name]


def _unpickle(file: Path) -> Any:
    try:
        return _ArrayUnpickler(io.BytesIO(file.read_bytes()), encoding="bytes").load()
    # A damaged pickle fails in as many ways as there are opcodes; none of them is worth a traceback.
    except Exception as error:
        raise DataError(
            f"{file}: not a readable CIFAR batch ({error or type(error).__name__}); unpack the archive again."
        ) from error
