"""What calibration notes about a reuse layer beside its output's range."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.quant.graph import FloatReuse
from ostinato.reuse.functional import cluster_ids, quantised_columns
from ostinato.reuse.views import weight_matrix

_POSITIONS = 4096
"""Output positions whose ids are kept, to weigh table errors by how often they would occur."""


@dataclass
class ReuseStatistics:
    """Extremes of sums and of numbers of clusters (image scope), or ids as they occur (compiled scope)."""

    op: FloatReuse
    peak: float = 0.0  # the largest |bias + sum over the first slices| of any output, in real units
    clusters: int = 0  # the most clusters of any slice, or panel, of any image
    _ids: list[Tensor] = field(default_factory=list)
    _kept: int = 0

    def see(self, x: Tensor) -> None:
        """Take one batch of the layer's inputs (B, C, H, W) into account."""
        x = self.op.as_image(x)
        if self.op.pattern.scope == "image":
            if self.op.pattern.direction == "vertical":
                self._see_sums(x)
            self._see_clusters(x)
        elif self._kept < _POSITIONS:
            ids = row_ids(self.op, x).flatten(0, 1)
            step = max(1, len(ids) // (_POSITIONS // 4))
            self._ids.append(ids[::step])
            self._kept += len(self._ids[-1])

    @property
    def ids(self) -> Tensor:
        """(positions, rows) int64 ids, compiled scope."""
        return torch.cat(self._ids)

    def _see_sums(self, x: Tensor) -> None:
        op = self.op
        with torch.no_grad():
            columns = quantised_columns(x, op.hash_vectors.to(x), op.thresholds.to(x), op.geometry, op.pattern)
            weights = weight_matrix(op.weight.to(x), op.pattern.order)
            total = op.bias.to(x).expand(*columns.shape[:2], -1)
            for start, stop in op.geometry.slices(op.pattern.length):
                total = total + columns[..., start:stop] @ weights[start:stop]
                self.peak = max(self.peak, float(total.abs().max()))

    def _see_clusters(self, x: Tensor) -> None:
        op = self.op
        ids = cluster_ids(x, op.hash_vectors.to(x), op.thresholds.to(x), op.geometry, op.pattern)
        for panel in ids.transpose(1, 2).flatten(0, 1):
            self.clusters = max(self.clusters, len(panel.unique()))


def row_ids(op: FloatReuse, x: Tensor) -> Tensor:
    """The id of every slice at every output position: (B, OH·OW, S)."""
    ids = cluster_ids(x, op.hash_vectors.to(x), op.thresholds.to(x), op.geometry, op.pattern)
    if not op.pattern.pixelwise:
        return ids
    g = op.geometry  # ids are per padded pixel and block: gather each output's window, in order kh, kw, block
    (ph, pw), (height, width) = g.padding, x.shape[2:]
    id_map = ids.view(len(x), height + 2 * ph, width + 2 * pw, -1).permute(0, 3, 1, 2).to(torch.float64)
    blocks = id_map.shape[1]
    taps = F.unfold(id_map, g.kernel_size, g.dilation, 0, g.stride)  # (B, blocks·KH·KW, P); ids are exact in float64
    return taps.view(len(x), blocks, -1, taps.shape[-1]).permute(0, 3, 2, 1).flatten(2).long()
