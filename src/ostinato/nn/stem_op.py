"""`torch.ops.ostinato.transform_stem`: evaluation of a transform-coded stem as one operator for export.

Arguments, in order: x, table, bias, rotation, axes, horizontal, offset, maps, groups, pattern (its `to_dict` as JSON),
kernel_size, stride, padding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ostinato.reuse import ConvGeometry
from ostinato.reuse.stem import StemFilters, StemTransform, add_rows, coefficients, stem_ids
from ostinato.reuse.stem_pattern import StemPattern


@lru_cache(maxsize=256)
def _read(text: str) -> StemPattern:
    return StemPattern.from_dict(json.loads(text))


@torch.library.custom_op("ostinato::transform_stem", mutates_args=())
def _op(
    x: Tensor,
    table: Tensor,
    bias: Tensor,
    rotation: Tensor,
    axes: Tensor,
    horizontal: Tensor,
    offset: Tensor,
    maps: Tensor,
    groups: Tensor,
    pattern: str,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
) -> Tensor:
    geometry = ConvGeometry(
        x.shape[1], len(bias), (kernel_size[0], kernel_size[1]), (stride[0], stride[1]), (padding[0], padding[1])
    )
    transform = StemTransform(rotation, axes, horizontal, offset, maps, groups)
    return stem_output(x, table, bias, transform, _read(pattern), geometry).contiguous()


@_op.register_fake
def _(
    x: Tensor,
    table: Tensor,
    bias: Tensor,
    rotation: Tensor,
    axes: Tensor,
    horizontal: Tensor,
    offset: Tensor,
    maps: Tensor,
    groups: Tensor,
    pattern: str,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
) -> Tensor:
    size = [(x.shape[2 + a] + 2 * padding[a] - kernel_size[a]) // stride[a] + 1 for a in range(2)]
    return table.new_empty(x.shape[0], bias.shape[0], *size)


def transform_stem_op(
    x: Tensor, table: Tensor, bias: Tensor, transform: StemTransform, pattern: str, geometry: ConvGeometry
) -> Tensor:
    """`stem_output` in evaluation through the operator; the pattern as JSON."""
    t, g = transform, geometry
    y: Tensor = torch.ops.ostinato.transform_stem(
        x, table, bias, t.rotation, t.axes, t.horizontal, t.offset, t.maps, t.groups, pattern,
        list(g.kernel_size), list(g.stride), list(g.padding),
    )  # fmt: skip
    return y


def stem_output(
    x: Tensor, table: Tensor, bias: Tensor, transform: StemTransform, pattern: StemPattern, geometry: ConvGeometry,
    filters: StemFilters | None = None,
) -> Tensor:  # fmt: skip
    """(B, M, OH, OW) of pixels (B, C, H, W), differentiable in table and bias; see `TransformStem`.

    `filters`: the transform's, if they are at hand.
    """
    with torch.no_grad():
        z = coefficients(x, transform, geometry, filters)
        ids = stem_ids(z, transform, pattern.groups) if pattern.groups else None
    if ids is not None:
        return add_rows(ids, table, bias)
    y = z.permute(0, 2, 3, 1).to(table) @ table + bias
    return y.permute(0, 3, 1, 2)
