"""A `ReuseConv2d` module as an operator of the float graph."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.quant.call import Call
from ostinato.quant.graph import FloatReuse
from ostinato.reuse import Pattern


def convert_reuse(call: Call) -> FloatReuse:
    """The reuse layer that this call of `ostinato::reuse_conv2d` came from, looked up by its qualified name."""
    layer: Any = call.exported.model.get_submodule(call.exported.layer(call.node))
    pattern = layer.pattern
    call.refuse_unless(
        pattern.scope != "batch",
        "clusters shared across a batch do not exist on a device that sees one image; use scope 'image' or 'compiled' "
        "and train in that scope",
    )
    _refuse_unsupported(call, pattern)
    weight = layer.weight.detach().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if layer.bias is None else layer.bias.detach().double()
    return FloatReuse(
        name="",
        input=call.value(0),
        shape=call.shape,
        weight=weight,
        bias=bias,
        geometry=layer.geometry,
        pattern=pattern,
        hash_vectors=layer.hash_vectors.detach().double(),
        thresholds=layer.thresholds.detach().double(),
        centroids=layer.filled_centroids().detach().double() if pattern.scope == "compiled" else None,
        table_offsets=None if layer.table_offsets is None else layer.table_offsets.detach().double(),
    )


def _refuse_unsupported(call: Call, pattern: Pattern) -> None:
    """What the float side has and firmware has no kernel for."""
    supported: dict[str, tuple[object, ...]] = {
        "scope": ("image", "compiled"),
        "clustering": ("lsh", "tree"),
        "similarity": ("euclidean",),
    }
    if pattern.scope == "compiled":
        supported["block_rows"] = (1,)
    for field, values in supported.items():
        found = getattr(pattern, field)
        where = "" if field == "scope" else f" in {pattern.scope} scope"
        call.refuse_unless(
            found in values,
            f"firmware has no kernel for {field}={found!r}{where}; supported is "
            f"{' or '.join(map(repr, values))}: convert the layer with that, or leave it conventional",
        )
