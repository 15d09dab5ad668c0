"""Checkpoints on disk: written whole or not at all, read with weights_only=True and only if nothing has changed."""

from ostinato.checkpoints.models import (
    Checkpoint,
    check_finite,
    complete_meta,
    first_mismatch,
    load_checkpoint,
    load_model_state,
    save_half,
    save_model,
    save_state,
)
from ostinato.checkpoints.tensors import load_tensors, save_tensors

__all__ = [
    "Checkpoint",
    "check_finite",
    "complete_meta",
    "first_mismatch",
    "load_checkpoint",
    "load_model_state",
    "load_tensors",
    "save_half",
    "save_model",
    "save_state",
    "save_tensors",
]
