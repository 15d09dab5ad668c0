"""Networks out of checkpoints: built by name, converted where they were, with the weights put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ostinato.checkpoints import load_checkpoint, load_model_state
from ostinato.errors import CheckpointError
from ostinato.models.registry import create
from ostinato.nn import convert
from ostinato.reuse import read_pattern


def load_network(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a checkpoint, with its reuse layers, in evaluation mode; and the checkpoint's meta.

    Raises:
        CheckpointError: the file is missing, corrupt, or its meta does not describe a network of ours.
    """
    meta = load_checkpoint(path).meta
    for key in ("model", "kwargs", "patterns", "classes"):
        if key not in meta:
            raise CheckpointError(f"{path}: its header has no {key!r}, so the network cannot be rebuilt.")
    network = create(meta["model"], **meta["kwargs"])
    if meta["patterns"]:
        patterns = {name: read_pattern(fields) for name, fields in meta["patterns"].items()}
        size = meta["kwargs"].get("image_size")  # linear layers are converted by the map that they flatten
        example = None if size is None else torch.zeros(1, 3, size, size)
        network = convert(network, patterns, inplace=True, example_input=example)
    load_model_state(path, network)
    return network.eval(), meta
