"""Tensors on disk: written whole or not at all, and read back only if nothing in them has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ostinato.errors import CheckpointError
from ostinato.files import write_atomically


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """`content` (JSON-like values and tensors) with a digest over all its tensors, atomically.

    PyTorch does not notice a flipped bit in a weight; the digest does.
    """
    write_atomically(path, lambda file: torch.save({"digest": digest(content), **content}, file))


def load_tensors(path: Path, what: str) -> dict[str, Any]:
    """What `save_tensors` wrote, loaded with weights_only=True. Raises CheckpointError, naming the file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such {what}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged archive raises whatever its first damaged part happens to raise.
    except Exception as error:
        raise CheckpointError(
            f"{path}: not a readable {what} ({path.stat().st_size:,} bytes; it is truncated, corrupt or something "
            "else); delete it or restore it from a copy."
        ) from error
    if not isinstance(content, dict) or "digest" not in content:
        raise CheckpointError(f"{path}: a PyTorch file, but no {what} of Ostinato.")
    stored = content.pop("digest")
    if stored != digest(content):
        raise CheckpointError(f"{path}: its content does not match its digest, so it is corrupt; restore a copy.")
    return content


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors in `content`, however deep."""
    sha = hashlib.sha256()
    for name, tensor in _tensors("", content):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        sha.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return sha.hexdigest()


def _tensors(prefix: str, value: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield prefix, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(f"{prefix}/{key}", item)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _tensors(f"{prefix}/{i}", item)
