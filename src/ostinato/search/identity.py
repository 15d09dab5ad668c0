"""What makes two searches the same: everything that decides their journals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

import ostinato
from ostinato.data import Split
from ostinato.search.candidate import digest
from ostinato.search.context import Context
from ostinato.search.space import SearchSpace


def identity(context: Context, space: SearchSpace, layers: Sequence[str]) -> dict[str, Any]:
    """The journal's header. Budgets are not in it: they choose among results, which stay what they are."""
    data = context.dataset
    return {
        "ostinato": ostinato.__version__,
        "network": f"{type(context.model).__name__} {_weights(context.model)}",
        "data": f"{data.name} {_images(data.train)} {_images(data.valid)}",
        "board": context.board.name,
        "flash_bytes": context.board.flash_bytes,
        "external_flash": context.outside,
        "space": digest(space.to_dict()),
        "layers": list(layers),
        "settings": dict(context.settings.to_dict()),
    }


def _weights(model: nn.Module) -> str:
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        found.update(_bytes(tensor))
    return found.hexdigest()[:16]


def _images(split: Split) -> str:
    return hashlib.sha256(_bytes(split.images) + _bytes(split.labels)).hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()
