"""Trained networks that come with the package, each with what it was trained on, how, and what it reaches."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import nn

from ostinato.errors import CheckpointError
from ostinato.models.stored import load_network

FOLDER = Path(__file__).parent / "zoo_files"
INDEX = FOLDER / "index.json"
MODEL_FILE = "model.pt"
"""In the folder of a training."""


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One trained network.

    Accuracies are top-1, 0 ... 1, of the weights as they are stored (float16 matrices, float32 vectors): `valid_top1`
    chose the epoch, `test_top1` is the whole test set's in float32, `int8_test_top1` that of the int8 firmware's own C
    code, calibrated on training images. `reuse` has the pattern of each layer that reuses computation, in words, whose
    multiplications `macs` leaves out; it is empty for a conventional network. `data_note` says what is particular about
    the data. `command` made it, at `commit`; `recipe` is the optimiser's.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    model: str
    dataset: str
    data_note: str
    parameters: int
    macs: int
    valid_top1: float
    test_top1: float
    int8_test_top1: float
    epochs: int
    seed: int
    command: str
    commit: str
    recipe: Mapping[str, Any]
    reuse: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where its checkpoint lies."""
        return FOLDER / self.file


def entries() -> dict[str, ZooEntry]:
    """All trained networks by name, sorted.

    Raises:
        CheckpointError: the index is damaged.
    """
    known = {f.name for f in fields(ZooEntry)} - {"name"}
    try:
        index = json.loads(INDEX.read_text(encoding="utf-8"))
        return {
            name: ZooEntry(name=name, **{key: value for key, value in entry.items() if key in known})
            for name, entry in sorted(index.items())
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{INDEX}: not a readable index of trained networks ({error}); reinstall.") from error


def pretrained(name: str) -> nn.Module:
    """A trained network by name, in evaluation mode; `ostinato zoo` lists them.

    Raises:
        CheckpointError: an unknown name (with the known ones), or a file that is not the one that the index describes.
    """
    return load_network(checkpoint_path(name))[0]


def checkpoint_path(network: str | Path) -> Path:
    """The checkpoint of a training's folder, of a file, or of a trained network by name, whichever there is.

    Raises:
        CheckpointError: none of them; or the named network's file is damaged.
    """
    path = Path(network)
    if path.is_dir():
        return path / MODEL_FILE
    if path.exists():
        return path
    known = entries()
    entry = known.get(str(network))
    if entry is None:
        close = difflib.get_close_matches(str(network), known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise CheckpointError(
            f"{network}: there is no such folder, no such file, and no trained network of this name (known: "
            f"{', '.join(known) or 'none'}){hint}"
        )
    if not entry.path.is_file() or hashlib.sha256(entry.path.read_bytes()).hexdigest() != entry.sha256:
        raise CheckpointError(f"{entry.path}: missing, or not the file that the index describes; reinstall.")
    return entry.path
