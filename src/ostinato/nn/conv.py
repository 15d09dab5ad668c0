"""ReuseConv2d: the convolution that computes each group of similar vectors once, as a torch module."""

from __future__ import annotations

import json
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.errors import ConversionError, ModelError
from ostinato.nn.op import reuse_conv2d_op
from ostinato.reuse import (
    ConvGeometry,
    Pattern,
    ResultCache,
    ReuseStats,
    RunningCentroids,
    random_hash,
    reuse_conv2d,
)
from ostinato.reuse.functional import cluster_ids
from ostinato.reuse.synchronise import several_processes


def refusal(conv: nn.Conv2d) -> str | None:
    """Why a convolution cannot be reused, or None if it can."""
    if conv.groups != 1:
        return f"groups={conv.groups}; only groups=1 can be reused"
    if conv.padding_mode != "zeros":
        return f"padding_mode='{conv.padding_mode}'; only 'zeros' can be reused"
    if conv.padding == "same":
        if any(s != 1 for s in conv.stride) or any(
            d * (k - 1) % 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True)
        ):
            return "padding='same' is uneven for this kernel; only even zero padding can be reused"
    elif not all(isinstance(p, int) for p in conv.padding) and conv.padding != "valid":
        return f"padding={conv.padding!r} is not understood"
    return None


def geometry_of(conv: nn.Conv2d) -> ConvGeometry:
    """Shape of a torch convolution for which `refusal` is None."""
    vertical, horizontal = (int(k) for k in conv.kernel_size)
    padding = conv.padding
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        padding = (conv.dilation[0] * (vertical - 1) // 2, conv.dilation[1] * (horizontal - 1) // 2)
    return ConvGeometry(
        conv.in_channels, conv.out_channels, (vertical, horizontal),
        tuple(conv.stride), tuple(padding), tuple(conv.dilation),  # type: ignore[arg-type]
    )  # fmt: skip


class ReuseConv2d(nn.Module):
    """A convolution under a reuse pattern.

    Parameters: `weight` (M, C, KH, KW), `bias` (M,) or None, `hash_vectors` (G, b·L, P), `thresholds` (G, P), with
    P = `pattern.planes` and G = slices, blocks or 1 as `pattern.sharing` says; a bit is v·x − θ > 0. Rows of hash
    vectors beyond a ragged last slice are zero and stay zero. With `table="free"` also `table_offsets` (M, blocks·2^H,
    KH, KW), zeros at first: what a row of the table has besides centroid·W.

    Buffers in compiled scope: `centroids` (slices or blocks, 2^H, b·L) and `centroid_counts` (slices or blocks, 2^H);
    None in the other scopes. In evaluation, centroids of ids never seen (count zero) hold their nearest seen
    neighbours' mean, see `filled_centroids`.

    In scope `across_batches`, evaluation keeps results in `cache`, which is no part of the state dictionary. It forgets
    them in training and when weights or hashes have changed; `reset_cache` makes it forget at will.

    In a training by several processes (`torch.distributed`, `DistributedDataParallel`), compiled scope forms clusters
    over the batches of all of them, as SyncBatchNorm does its statistics: they have the same centroids and counts.

    In evaluation without gradients, and under `torch.export`, the forward pass is one operator,
    `torch.ops.ostinato.reuse_conv2d` (except with such a cache).

    Raises:
        PatternError: if the pattern cannot apply to the geometry.
    """

    weight: nn.Parameter
    hash_vectors: nn.Parameter
    thresholds: nn.Parameter
    table_offsets: nn.Parameter | None
    centroids: Tensor | None
    centroid_counts: Tensor | None

    def __init__(
        self, geometry: ConvGeometry, pattern: Pattern, *, bias: bool = True, name: str = "reuse_conv2d"
    ) -> None:
        super().__init__()
        pattern.validate_for(geometry, name)
        self.geometry, self.pattern, self.layer_name = geometry, pattern, name
        self.weight = nn.Parameter(torch.empty(geometry.out_channels, geometry.in_channels, *geometry.kernel_size))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.bias = nn.Parameter(torch.zeros(geometry.out_channels)) if bias else None
        # Fitted initialisations start from the random one until `calibrate` has shown them data.
        vectors, thresholds = random_hash(geometry, pattern)
        learns = pattern.gradient != "frozen"
        self.hash_vectors = nn.Parameter(vectors, requires_grad=learns)
        self.thresholds = nn.Parameter(thresholds, requires_grad=learns)
        compiled = pattern.scope == "compiled"
        groups = pattern.centroid_groups(geometry)
        rows = geometry.out_channels, groups * pattern.ids, *geometry.kernel_size
        self.table_offsets = nn.Parameter(torch.zeros(rows)) if pattern.table == "free" else None
        self.register_buffer("centroids", torch.zeros(groups, pattern.ids, pattern.block_size) if compiled else None)
        self.register_buffer("centroid_counts", torch.zeros(groups, pattern.ids) if compiled else None)
        self.cache = ResultCache(pattern.cache_entries) if pattern.scope == "across_batches" else None
        self._cached_for: object = None
        self._pattern_text = json.dumps(pattern.to_dict())
        self.recorder: ReuseStats | None = None  # set by `measure_reuse`
        self._needs_filling = False
        self._ran = False
        self._counted: tuple[int, int] | None = None  # which state of the counts was seen not to be empty
        self.register_load_state_dict_post_hook(_fill_after_load)  # type: ignore[no-untyped-call]

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, pattern: Pattern, name: str = "conv") -> ReuseConv2d:
        """The reuse twin of `conv`, with copies of its weights, on its device and in its mode.

        Raises:
            ConversionError: if `conv` has groups, or padding other than zeros.
            PatternError: if the pattern cannot apply to it.
            ModelError: if its weights are not finite.
        """
        reason = refusal(conv)
        if reason is not None:
            raise ConversionError(f"layer '{name}' has {reason}")
        layer = cls(geometry_of(conv), pattern, bias=conv.bias is not None, name=name)
        layer.take_weights(conv)
        return layer

    def take_weights(self, conventional: nn.Conv2d | nn.Linear) -> None:
        """Copies of a conventional layer's weights, its device, precision and mode.

        Raises:
            ModelError: if they are not finite.
        """
        for parameter, value in conventional.named_parameters():
            if not bool(torch.isfinite(value).all()):
                raise ModelError(
                    f"layer '{self.layer_name}': its {parameter} has NaN or infinite numbers; train it again or load a "
                    "sound checkpoint"
                )
        self.to(device=conventional.weight.device, dtype=conventional.weight.dtype)
        with torch.no_grad():
            self.weight.copy_(conventional.weight.view_as(self.weight))
            if conventional.bias is not None and self.bias is not None:
                self.bias.copy_(conventional.bias)
        self.weight.requires_grad_(conventional.weight.requires_grad)
        if conventional.bias is not None and self.bias is not None:
            self.bias.requires_grad_(conventional.bias.requires_grad)
        self.train(conventional.training)

    def _give_weights(self, conventional: nn.Conv2d | nn.Linear) -> nn.Module:
        with torch.no_grad():
            conventional.weight.copy_(self.weight.view_as(conventional.weight))
            if conventional.bias is not None and self.bias is not None:
                conventional.bias.copy_(self.bias)
        conventional.weight.requires_grad_(self.weight.requires_grad)
        return conventional.train(self.training)

    def as_image(self, x: Tensor) -> Tensor:
        """The layer's input as (B, C, H, W), which it is."""
        return x

    def to_conv(self) -> nn.Module:
        """The conventional layer, an `nn.Conv2d`, with copies of this layer's weights."""
        g = self.geometry
        conv = nn.Conv2d(
            g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, g.dilation,
            bias=self.bias is not None, device=self.weight.device, dtype=self.weight.dtype,
        )  # fmt: skip
        return self._give_weights(conv)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, M, OH, OW).

        Raises:
            ModelError: for an empty or non-finite input, in evaluation of a compiled layer without centroids, and
                when exported in training mode.
        """
        exporting = torch.compiler.is_exporting()
        if exporting and self.training:
            raise ModelError(f"layer '{self.layer_name}' cannot be exported in training mode; call model.eval() first")
        if not exporting:
            self._prepare()
        gradient = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in self.parameters()))
        plain = not (self.training or gradient or self.recorder is not None or self.cache is not None)
        if exporting or plain:
            return reuse_conv2d_op(
                x, self.weight, self.bias, self.hash_vectors, self.thresholds, self.centroids, self.centroid_counts,
                self.table_offsets, self._pattern_text, self.geometry, self.layer_name,
            )  # fmt: skip
        y: Tensor = self._differentiable(x)
        if self.training:
            self._needs_filling = self.pattern.scope == "compiled"
        return y

    # Clusters are as many as the data have: torch.compile runs this part as it is.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _differentiable(self, x: Tensor) -> Tensor:
        g = self.geometry
        return reuse_conv2d(
            x, self.weight, self.bias, self.hash_vectors, self.thresholds, self.pattern,
            stride=g.stride, padding=g.padding, dilation=g.dilation,
            centroids=self.centroids, counts=self.centroid_counts, table_offsets=self.table_offsets,
            training=self.training, momentum=self.pattern.momentum, synchronised=several_processes(),
            stats=self.recorder, cache=self._valid_cache(), layer_name=self.layer_name,
        )  # fmt: skip

    def reset_cache(self) -> None:
        """Forget what earlier batches computed (scope `across_batches`)."""
        if self.cache is not None:
            self.cache.reset()

    def _valid_cache(self) -> ResultCache | None:
        """The cache, emptied if this is training or its results are not those of the present weights and hashes."""
        made_of = self.weight, self.hash_vectors, self.thresholds
        now = None if self.training else [(p.data_ptr(), p._version, p.dtype, p.device) for p in made_of]
        if now is None or now != self._cached_for:
            self.reset_cache()
        self._cached_for = now
        return self.cache

    def running(self) -> RunningCentroids:
        """The compiled scope's running centroids and counts (the buffers themselves).

        Raises:
            ModelError: in another scope.
        """
        if self.centroids is None or self.centroid_counts is None:
            raise ModelError(
                f"layer '{self.layer_name}' has {self.pattern.scope} scope; only compiled scope keeps centroids"
            )
        return RunningCentroids(self.centroids, self.centroid_counts)

    def filled_centroids(self) -> Tensor:
        """(slices or blocks, 2^H, b·L): the centroid of every id, those never seen from their nearest seen neighbours.

        Raises:
            ModelError: in another scope, or if nothing was seen yet.
        """
        running = self.running()
        if not bool((running.counts > 0).any()):
            raise ModelError(
                f"layer '{self.layer_name}' has compiled scope but no centroids yet: train it, or call "
                "ostinato.calibrate with some images"
            )
        return running.filled(self.pattern.clustering)

    def cluster_ids(self, x: Tensor) -> Tensor:
        """Ids int64 of what the layer clusters, see `ostinato.reuse.cluster_ids`."""
        return cluster_ids(x, self.hash_vectors, self.thresholds, self.geometry, self.pattern)

    def fill_centroids(self) -> None:
        """Write `filled_centroids` into the buffer, which leaves seen ids and counts as they are."""
        filled = self.filled_centroids()
        assert self.centroids is not None
        with torch.no_grad():
            self.centroids.copy_(filled)
        self._needs_filling = False

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _prepare(self) -> None:
        """What must hold before a forward pass: hashes fitted if they are to be, centroids of all ids in evaluation."""
        if not self._ran and self.pattern.init != "random" and self._unfitted():
            warnings.warn(
                f"layer '{self.layer_name}' runs with random hashes: init={self.pattern.init!r} is fitted to images by "
                "ostinato.calibrate, which was not called",
                stacklevel=3,
            )
        self._ran = True
        evaluates = self.pattern.scope == "compiled" and not self.training
        if evaluates and (self._needs_filling or not self._has_centroids()):
            self.fill_centroids()

    def _has_centroids(self) -> bool:
        """Whether any id was seen; asked again only when counts have changed, since an accelerator is waited for."""
        counts = self.centroid_counts
        assert counts is not None
        now = None if counts.is_inference() else (counts.data_ptr(), counts._version)
        if now is not None and now == self._counted:
            return True
        found = bool(counts.any())
        self._counted = now if found else None
        return found

    def _unfitted(self) -> bool:
        """Whether hashes are the random ones, which have no thresholds; a tree may be all zeros."""
        return bool(self.hash_vectors.any()) and not bool(self.thresholds.any())

    def train(self, mode: bool = True) -> ReuseConv2d:
        """Training forms clusters and updates centroids; evaluation looks centroids up (as BatchNorm)."""
        super().train(mode)
        if not mode and self._needs_filling:
            self.fill_centroids()
        return self

    def extra_repr(self) -> str:
        """As torch's convolutions, and the pattern."""
        g = self.geometry
        return (
            f"{g.in_channels}, {g.out_channels}, kernel_size={g.kernel_size}, stride={g.stride}, padding={g.padding}, "
            f"dilation={g.dilation}, bias={self.bias is not None}, {self.pattern}"
        )


def _fill_after_load(module: nn.Module, _: Any) -> None:
    """A checkpoint written while training may hold stale centroids for ids never seen."""
    assert isinstance(module, ReuseConv2d)
    if module.centroid_counts is not None and bool(module.centroid_counts.any()):
        module.fill_centroids()
