"""reuse_conv2d: a convolution that computes each group of similar vectors once."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ostinato.errors import ModelError, PatternError
from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.assignment import Reuse, ReuseStats, block_ids
from ostinato.reuse.autograd import ReuseMatmul, multiply, quantise
from ostinato.reuse.backward import no_autocast
from ostinato.reuse.blocks import Rows, from_blocks, to_blocks
from ostinato.reuse.cache import ResultCache, cached_matmul
from ostinato.reuse.column_layout import ColumnLayout
from ostinato.reuse.geometry import ConvGeometry, Pair
from ostinato.reuse.layout import Layout
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.pattern_rules import check_rows
from ostinato.reuse.pixel_layout import PixelLayout, pixel_aligned
from ostinato.reuse.pixelwise import pixelwise_convolution
from ostinato.reuse.running import RunningCentroids
from ostinato.reuse.views import im2col, pad_pixels, weight_matrix, whole_slices


def reuse_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    hash_vectors: Tensor,
    thresholds: Tensor,
    pattern: Pattern,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    centroids: Tensor | None = None,
    counts: Tensor | None = None,
    table_offsets: Tensor | None = None,
    training: bool = False,
    momentum: float | None = None,
    synchronised: bool = False,
    stats: ReuseStats | None = None,
    cache: ResultCache | None = None,
    layer_name: str = "reuse_conv2d",
) -> Tensor:
    """Convolution by reuse (TREC §3.1), differentiable as `pattern.gradient` says (TREC §3.2).

    Half-precision input is computed in float32, as sums over clusters need it, and cast back; where the layer is a
    conventional convolution of a quantised input, that convolution is in the input's precision.

    Args:
        x: (B, C, H, W), finite.
        weight: (M, C, KH, KW).
        bias: (M,) or None.
        hash_vectors: (G, b·L, P), P = `pattern.planes`; slice s uses matrix s mod G. Rows beyond a ragged last slice
            are ignored.
        thresholds: (G, P).
        pattern: of the reuse.
        stride: as in torch's conv2d.
        padding: as in torch's conv2d, with zeros.
        dilation: as in torch's conv2d.
        centroids: (S or blocks, 2^H, b·L), compiled scope only: looked up in evaluation, updated in place in training.
        counts: (S or blocks, 2^H), with `centroids`.
        table_offsets: (M, blocks·2^H, KH, KW), with `table="free"`: what each row of the table has besides centroid·W.
        training: compiled scope only: form clusters over the batch and update `centroids` and `counts`.
        momentum: weight of this batch in that update; None accumulates.
        synchronised: with `training`: form clusters over the batches of all processes of `torch.distributed` together,
            as SyncBatchNorm does its statistics; all of them must call this.
        stats: its counts are added to, if given.
        cache: scope `across_batches` in evaluation: what earlier batches computed with the same weights and hash; None
            begins without. The result has no gradient.
        layer_name: for error messages.

    Returns:
        (B, M, OH, OW).

    Raises:
        PatternError: if the pattern or the shapes do not fit the layer.
        ModelError: for an empty or non-finite input (training on an accelerator does not look for the latter: the
            gradients tell), or a compiled layer without centroids.
    """
    geometry = ConvGeometry(weight.shape[1], weight.shape[0], (weight.shape[2], weight.shape[3]),
                            stride, padding, dilation)  # type: ignore[arg-type]  # fmt: skip
    check_input(x, geometry, layer_name, look=not (accelerated(x) and training))
    check_hash(hash_vectors, thresholds, geometry, pattern, layer_name)
    check_rows(pattern, x.shape[0], *geometry.output_size(x.shape[2], x.shape[3]), layer_name)
    running = _running(centroids, counts, pattern, training, layer_name)
    together = synchronised and training and pattern.scope == "compiled"
    reuse = Reuse(pattern, training, running, momentum, stats, together)
    compute = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    product = multiply
    if pattern.scope == "across_batches" and not training:
        product = partial(cached_matmul, cache=ResultCache(pattern.cache_entries) if cache is None else cache)
    form = partial(_reuse_product, product=product)
    if pattern.pixelwise:
        form = partial(pixelwise_convolution, precision=x.dtype, table_offsets=table_offsets)
    elif pattern.direction == "horizontal":
        form = partial(_horizontal_product)
    with no_autocast(x.device.type):
        y: Tensor = form(
            x.to(compute), weight.to(compute), None if bias is None else bias.to(compute),
            hash_vectors.to(compute), thresholds.to(compute), reuse, geometry,
        )  # fmt: skip
        return y.to(x.dtype)


def _reuse_product(
    x: Tensor, weight: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
    reuse: Reuse, geometry: ConvGeometry, product: Callable[..., Tensor],
) -> Tensor:  # fmt: skip
    """A product per cluster and slice, then recovery: the general vertical form."""
    pattern = reuse.pattern
    if product is multiply and not pattern.blocked:
        return _vertical_product(x, weight, bias, hash_vectors, thresholds, reuse, geometry)
    matrix = weight_matrix(weight, pattern.order)
    weights = whole_slices(matrix.t(), pattern.length, 1).contiguous()
    columns = im2col(x, geometry, pattern.order)
    if not pattern.blocked:
        y = product(whole_slices(columns, pattern.length, 2), weights, hash_vectors, thresholds, reuse)
    else:
        order = _rows(x, geometry, pattern)
        rows = order.arrange(columns)
        y = product(to_blocks(rows, pattern), weights, hash_vectors, thresholds, reuse)
        y = order.restore(torch.cat([y, rows[:, y.shape[1] :] @ matrix], 1))
    return _image(y, bias, x, geometry)


def _vertical_product(
    x: Tensor, weight: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
    reuse: Reuse, geometry: ConvGeometry,
) -> Tensor:  # fmt: skip
    """`_reuse_product` of vectors that are one row high, from the input: nothing of im2col's size is kept."""
    pattern, size = reuse.pattern, (x.shape[2], x.shape[3])
    layout: Layout
    if pixel_aligned(geometry, pattern):
        layout = PixelLayout.of(geometry, pattern, x.shape[0], size)
        taps = weight.permute(0, 2, 3, 1) if pattern.order == "kh.kw.c" else weight.permute(0, 3, 2, 1)
        weights = taps.flatten(1, 2)
    else:
        layout = ColumnLayout.of(geometry, pattern, x.shape[0], size)
        matrix = whole_slices(weight_matrix(weight, pattern.order).t(), pattern.length, 1)
        weights = matrix.reshape(len(matrix), layout.slices, -1)
    y: Tensor = ReuseMatmul.apply(  # type: ignore[no-untyped-call]
        x, weights, bias, hash_vectors, thresholds, reuse, layout
    )
    return y.view(x.shape[0], -1, *geometry.output_size(*size))


def _horizontal_product(
    x: Tensor, weight: Tensor, bias: Tensor | None, hash_vectors: Tensor, thresholds: Tensor,
    reuse: Reuse, geometry: ConvGeometry,
) -> Tensor:  # fmt: skip
    """Y = X̂·W with the blocks of each panel of rows replaced by their centroids (GR §3.4).

    By the distributive law that is Y_i = Xc_i·Wc_i with weight rows summed per cluster, which is what a device
    computes; here sums of W for every panel would cost more than the product that they save.
    """
    pattern = reuse.pattern
    order = _rows(x, geometry, pattern)
    rows = order.arrange(im2col(x, geometry, pattern.order))
    blocks = quantise(to_blocks(rows, pattern), hash_vectors, thresholds, reuse)
    y = order.restore(from_blocks(blocks, rows, pattern) @ weight_matrix(weight, pattern.order))
    return _image(y, bias, x, geometry)


def _rows(x: Tensor, geometry: ConvGeometry, pattern: Pattern) -> Rows:
    return Rows.of(pattern, x.shape[0], geometry.output_size(x.shape[2], x.shape[3]), x.device)


def _image(y: Tensor, bias: Tensor | None, x: Tensor, geometry: ConvGeometry) -> Tensor:
    """(B, OH·OW, M) rows of Y to (B, M, OH, OW), with bias."""
    if bias is not None:
        y = y + bias
    rows, cols = geometry.output_size(x.shape[2], x.shape[3])
    return y.transpose(1, 2).reshape(x.shape[0], -1, rows, cols)


def hashed_vectors(x: Tensor, geometry: ConvGeometry, pattern: Pattern) -> Tensor:
    """The neuron blocks that a layer clusters: (panels, units, S·b·L).

    For b = 1 these are the slices of X, (B, P, S·L); where ids exist once per pixel, its channels (B, H·W, C).
    """
    if pattern.pixelwise:
        return pad_pixels(x, geometry).flatten(1, 2)
    columns = im2col(x, geometry, pattern.order)
    if pattern.blocked:
        columns = _rows(x, geometry, pattern).arrange(columns)
    return to_blocks(columns, pattern)


@torch.no_grad()
def cluster_ids(
    x: Tensor, hash_vectors: Tensor, thresholds: Tensor, geometry: ConvGeometry, pattern: Pattern
) -> Tensor:
    """Ids (panels, units, S) int64 of the `hashed_vectors` of `x`."""
    vectors = hashed_vectors(x, geometry, pattern)
    ids, _ = block_ids(vectors, hash_vectors, thresholds, pattern)
    return ids.view(vectors.shape[0], vectors.shape[1], -1)


@torch.no_grad()
def quantised_columns(
    x: Tensor, hash_vectors: Tensor, thresholds: Tensor, geometry: ConvGeometry, pattern: Pattern,
    centroids: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """X̂ (B, P, K): im2col with every vector replaced by its centroid, as in evaluation.

    In scope `across_batches` it is what training sees: the centroids of this batch.

    Args:
        x: (B, C, H, W).
        hash_vectors, thresholds: as in `reuse_conv2d`.
        geometry, pattern: the layer's.
        centroids: compiled scope: (S or blocks, 2^H, b·L).
    """
    running = None if centroids is None else RunningCentroids(centroids, centroids.new_ones(centroids.shape[:2]))
    reuse = Reuse(pattern, False, running)
    if not pattern.pixelwise:
        order = _rows(x, geometry, pattern)
        rows = order.arrange(im2col(x, geometry, pattern.order))
        blocks = quantise(to_blocks(rows, pattern), hash_vectors, thresholds, reuse)
        return order.restore(from_blocks(blocks, rows, pattern))
    vectors = hashed_vectors(x, geometry, pattern)
    quantised = quantise(vectors, hash_vectors, thresholds, reuse)
    (ph, pw), (height, width) = geometry.padding, x.shape[2:]
    image = quantised.view(x.shape[0], height + 2 * ph, width + 2 * pw, -1).permute(0, 3, 1, 2)
    unpadded = ConvGeometry(
        geometry.in_channels, geometry.out_channels, geometry.kernel_size, geometry.stride, (0, 0), geometry.dilation
    )
    return im2col(image, unpadded, pattern.order)


def check_input(x: Tensor, geometry: ConvGeometry, layer_name: str, look: bool = True) -> None:
    """Refuse an input of a wrong shape, an empty one, and one with NaN or infinity.

    Without `look`, the numbers are not looked at: an accelerator would have to be waited for, in every layer.
    """
    if x.dim() != 4 or x.shape[1] != geometry.in_channels or not x.is_floating_point():
        raise ModelError(
            f"layer '{layer_name}' takes floating-point images (B, {geometry.in_channels}, H, W), "
            f"not {x.dtype} of shape {tuple(x.shape)}"
        )
    if x.numel() == 0:
        raise ModelError(f"layer '{layer_name}' got an empty input of shape {tuple(x.shape)}")
    geometry.output_size(x.shape[2], x.shape[3])
    if not look:
        return
    # A sum is one cheap pass; only if it overflows or is NaN are the elements looked at.
    if not math.isfinite(float(x.detach().sum())) and not bool(torch.isfinite(x.detach()).all()):
        bad = int((~torch.isfinite(x)).sum())
        raise ModelError(
            f"layer '{layer_name}' got {bad} NaN or infinite numbers in its input; if this is training, it diverged: "
            "lower the learning rate"
        )


def check_hash(
    hash_vectors: Tensor, thresholds: Tensor, geometry: ConvGeometry, pattern: Pattern, layer_name: str
) -> None:
    """Refuse hash tensors whose shapes are not the pattern's."""
    pattern.validate_for(geometry, layer_name)
    groups = pattern.hash_groups(geometry)
    expected = (groups, pattern.block_size, pattern.planes), (groups, pattern.planes)
    found = tuple(hash_vectors.shape), tuple(thresholds.shape)
    if found != expected:
        raise PatternError(
            f"layer '{layer_name}': hash vectors and thresholds must have shapes {expected[0]} and {expected[1]}, "
            f"not {found[0]} and {found[1]}"
        )


def _running(
    centroids: Tensor | None, counts: Tensor | None, pattern: Pattern, training: bool, layer_name: str
) -> RunningCentroids | None:
    if pattern.scope != "compiled":
        return None
    if centroids is not None and counts is not None:
        return RunningCentroids(centroids, counts)
    if not training:
        raise ModelError(f"layer '{layer_name}' evaluates in compiled scope and needs centroids and counts")
    return None
