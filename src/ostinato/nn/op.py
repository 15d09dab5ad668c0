"""`torch.ops.ostinato.reuse_conv2d`: evaluation of a reuse layer as one operator, so that export sees one node.

`torch.ops.ostinato.reuse_linear` is the same of a fully connected layer: x is (N, K), the result (N, M).

Arguments, in order: x, weight, bias, hash_vectors, thresholds, centroids, centroid_counts, table_offsets, pattern (its
`to_dict` as JSON), stride, padding, dilation, layer_name. An exported graph thus carries all that evaluation needs, and
the node's `nn_module_stack` names the module. In scope `across_batches` the operator begins each call without a cache.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ostinato.reuse import ConvGeometry, Pattern, reuse_conv2d


@lru_cache(maxsize=256)
def _read(text: str) -> Pattern:
    return Pattern.from_dict(json.loads(text))


@torch.library.custom_op("ostinato::reuse_conv2d", mutates_args=())
def _op(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    hash_vectors: Tensor,
    thresholds: Tensor,
    centroids: Tensor | None,
    centroid_counts: Tensor | None,
    table_offsets: Tensor | None,
    pattern: str,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    layer_name: str,
) -> Tensor:
    return reuse_conv2d(
        x, weight, bias, hash_vectors, thresholds, _read(pattern),
        stride=(stride[0], stride[1]), padding=(padding[0], padding[1]), dilation=(dilation[0], dilation[1]),
        centroids=centroids, counts=centroid_counts, table_offsets=table_offsets, layer_name=layer_name,
    ).contiguous()  # fmt: skip


@_op.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    hash_vectors: Tensor,
    thresholds: Tensor,
    centroids: Tensor | None,
    centroid_counts: Tensor | None,
    table_offsets: Tensor | None,
    pattern: str,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    layer_name: str,
) -> Tensor:
    size = [
        (x.shape[2 + a] + 2 * padding[a] - dilation[a] * (weight.shape[2 + a] - 1) - 1) // stride[a] + 1
        for a in range(2)
    ]
    return x.new_empty(x.shape[0], weight.shape[0], *size)


def reuse_conv2d_op(
    x: Tensor, weight: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
    centroids: Tensor | None, centroid_counts: Tensor | None, table_offsets: Tensor | None,
    pattern: str, geometry: ConvGeometry, layer_name: str,
) -> Tensor:  # fmt: skip
    """`reuse_conv2d` in evaluation through the operator; arguments as there, centroids filled, the pattern as JSON."""
    y: Tensor = torch.ops.ostinato.reuse_conv2d(
        x, weight, bias, hash_vectors, thresholds, centroids, centroid_counts, table_offsets, pattern,
        list(geometry.stride), list(geometry.padding), list(geometry.dilation), layer_name,
    )  # fmt: skip
    return y


@torch.library.custom_op("ostinato::reuse_linear", mutates_args=())
def _linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    hash_vectors: Tensor,
    thresholds: Tensor,
    centroids: Tensor | None,
    centroid_counts: Tensor | None,
    table_offsets: Tensor | None,
    pattern: str,
    layer_name: str,
) -> Tensor:
    y = reuse_conv2d(
        x.reshape(len(x), *weight.shape[1:]), weight, bias, hash_vectors, thresholds, _read(pattern),
        centroids=centroids, counts=centroid_counts, table_offsets=table_offsets, layer_name=layer_name,
    )  # fmt: skip
    return y.flatten(1).contiguous()


@_linear.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    hash_vectors: Tensor,
    thresholds: Tensor,
    centroids: Tensor | None,
    centroid_counts: Tensor | None,
    table_offsets: Tensor | None,
    pattern: str,
    layer_name: str,
) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


def reuse_linear_op(
    x: Tensor, weight: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
    centroids: Tensor | None, centroid_counts: Tensor | None, table_offsets: Tensor | None, pattern: str,
    layer_name: str,
) -> Tensor:  # fmt: skip
    """A fully connected reuse layer in evaluation through the operator; as `reuse_conv2d_op`."""
    y: Tensor = torch.ops.ostinato.reuse_linear(
        x, weight, bias, hash_vectors, thresholds, centroids, centroid_counts, table_offsets, pattern, layer_name
    )
    return y
