"""Models on disk: weights with a header that says which network they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.checkpoints.tensors import load_tensors, save_tensors
from ostinato.errors import CheckpointError, ModelError

FORMAT = "ostinato-model"
FORMAT_VERSION = 1
HALF = "stored_as"
"""Key of the header of a checkpoint whose matrices and filters are float16 on disk, to be half as large."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """`meta` (model, kwargs, classes, dataset, seed, patterns, ...) and `state`, a state dict on the CPU."""

    meta: dict[str, Any]
    state: dict[str, Tensor]


def save_model(path: str | Path, model: nn.Module, *, meta: Mapping[str, Any]) -> None:
    """Write the model's state and `meta` (JSON-able) atomically.

    `meta` is completed: `model` and `kwargs` come from the model's `architecture` when it has one, `patterns`
    defaults to {} (a dict of dicts per reused layer, not interpreted here). Raises ModelError for a NaN or an
    infinity among the weights, naming the tensor, and CheckpointError for a `meta` that JSON cannot hold.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_state(path, state, meta=complete_meta(model, meta))


def save_state(path: str | Path, state: Mapping[str, Tensor], *, meta: Mapping[str, Any]) -> None:
    """`save_model` for a state dict whose model is not at hand; `meta` is written as it is."""
    check_finite(state)
    try:
        header = json.loads(json.dumps(meta))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the checkpoint's meta is not JSON ({error}).") from error
    save_tensors(Path(path), {"format": FORMAT, "version": FORMAT_VERSION, "meta": header, "state": dict(state)})


def complete_meta(model: nn.Module, meta: Mapping[str, Any]) -> dict[str, Any]:
    """`meta` with `model`, `kwargs` and `patterns` filled in from what the model says about itself."""
    architecture = getattr(model, "architecture", None)
    known: dict[str, Any] = {"model": type(model).__name__, "kwargs": {}}
    if isinstance(architecture, Mapping):
        known = dict(architecture)
    return {**known, "patterns": {}, **meta}


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Raise ModelError for the first tensor of `state` with a NaN or an infinity."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise ModelError(
                f"Tensor {name!r} has {bad} NaN or infinite values of {tensor.numel()}; such weights cannot be used, "
                "train again with a smaller learning rate."
            )


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read and check what `save_model` wrote. Raises CheckpointError (file) or ModelError (NaN weights)."""
    path = Path(path)
    content = load_tensors(path, "model checkpoint")
    if content.get("format") != FORMAT:
        raise CheckpointError(f"{path}: its format is {content.get('format')!r}, expected {FORMAT!r}.")
    if content.get("version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: written in format version {content.get('version')}, this release reads {FORMAT_VERSION}."
        )
    meta, state = content["meta"], content["state"]
    if meta.get(HALF) == "float16":
        state = {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in state.items()}
    check_finite(state)
    return Checkpoint(meta, state)


def save_half(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint with tensors of two dimensions and more in float16; vectors (biases, statistics) stay float32.

    `load_checkpoint` gives float32 again, rounded once to float16's 11 significant bits.

    Raises:
        ModelError: a weight is too large for float16, named.
    """
    state = {
        name: tensor.half() if tensor.dtype == torch.float32 and tensor.ndim > 1 else tensor
        for name, tensor in checkpoint.state.items()
    }
    save_state(path, state, meta={**checkpoint.meta, HALF: "float16"})


def load_model_state(path: str | Path, model: nn.Module) -> Checkpoint:
    """Load the weights at `path` into `model`, all or nothing, and return the checkpoint.

    Raises CheckpointError in one sentence that names the first key that is missing, superfluous, or of another
    shape; for a layer that the checkpoint has with reuse, it says to convert the model first.
    """
    checkpoint = load_checkpoint(path)
    mismatch = first_mismatch(model.state_dict(), checkpoint.state)
    if mismatch is not None:
        key, reason = mismatch
        raise CheckpointError(f"{path}: {reason}; {_advice(key, checkpoint.meta, model)}.")
    model.load_state_dict(checkpoint.state)
    return checkpoint


def first_mismatch(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """(key, what is wrong) of the first key in which two state dicts differ, or None."""
    for key, tensor in wanted.items():
        if key not in found:
            return key, f"it has no tensor {key!r}, which the model needs"
        if found[key].shape != tensor.shape:
            return key, f"{key!r} has shape {tuple(found[key].shape)}, the model needs {tuple(tensor.shape)}"
        if found[key].dtype != tensor.dtype:
            return key, f"{key!r} is {found[key].dtype}, the model needs {tensor.dtype}"
    for key in found:
        if key not in wanted:
            return key, f"it has a tensor {key!r}, which the model does not have"
    return None


def _advice(key: str, meta: Mapping[str, Any], model: nn.Module) -> str:
    layer = key.rpartition(".")[0]
    if layer in meta.get("patterns", {}):
        return f"its layer {layer!r} was saved with reuse: convert the model with the checkpoint's patterns first"
    name = meta.get("model")
    return f"it is a checkpoint of {name!r} with {meta.get('kwargs', {})}, not of this {type(model).__name__}"
