"""A `TransformStem` module as an operator of the float graph, and what calibration notes about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ostinato.quant.call import Call
from ostinato.quant.graph import INPUT, FloatStem
from ostinato.reuse.stem import StemTransform, add_rows, coefficients, stem_ids

_POSITIONS = 4096


def convert_stem(call: Call) -> FloatStem:
    """The stem that this call of `ostinato::transform_stem` came from, looked up by its qualified name."""
    layer: Any = call.exported.model.get_submodule(call.exported.layer(call.node))
    call.refuse_unless(
        layer.pattern.groups > 0,
        "firmware has no kernel for a transform-coded stem without groups (the dense one, to compare with); use groups "
        "of 1 or more, or leave the layer conventional",
    )
    call.refuse_unless(
        call.value(0) == INPUT,
        "a transform-coded stem reads pixels, so it must read the network's input; here something comes before it",
    )
    transform: StemTransform = layer.transform
    return FloatStem(
        name="",
        input=call.value(0),
        shape=call.shape,
        weight=layer.table.detach().double().permute(2, 0, 1).contiguous(),
        bias=layer.bias.detach().double(),
        geometry=layer.geometry,
        transform=transform,
    )


def stem_row_ids(op: FloatStem, x: Tensor) -> Tensor:
    """(B, OH, OW, G)."""
    return stem_ids(coefficients(x, op.transform, op.geometry), op.transform, op.weight.shape[1])


def execute_stem(op: FloatStem, x: Tensor) -> Tensor:
    """A stem on a batch of its inputs."""
    return add_rows(stem_row_ids(op, x), op.weight.to(x).permute(1, 2, 0).contiguous(), op.bias.to(x))


@dataclass
class StemStatistics:
    """Ids as they occur, to weigh table errors by how often they would."""

    op: FloatStem
    _ids: list[Tensor] = field(default_factory=list)
    _kept: int = 0

    def see(self, x: Tensor) -> None:
        """Take one batch of the layer's inputs (B, C, H, W) into account."""
        if self._kept < _POSITIONS:
            ids = stem_row_ids(self.op, x).flatten(0, 2)
            self._ids.append(ids[:: max(1, len(ids) // (_POSITIONS // 4))])
            self._kept += len(self._ids[-1])

    @property
    def ids(self) -> Tensor:
        """(positions, G) int64."""
        return torch.cat(self._ids)
