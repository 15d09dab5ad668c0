"""The integer operator of horizontal reuse, as data (GR §3.4)."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.quant.arithmetic import Int8Array, Int32Array
from ostinato.quant.ops import ConvDims, QHash, QUnaryOp


@dataclass(frozen=True, kw_only=True)
class QReuseHorizontal(QUnaryOp):
    """A convolution that clusters the columns of each panel of rows of X, and sums weights by cluster (M-2).

    A panel is l = `panel_rows` rows of X in the order `rows`; the last one may have fewer, and zp_in in place of the
    others. Its unit j is the block of columns j·L … j·L + L − 1, of which there are ⌊K/L⌋; ids by `hash` (one group,
    vectors l·L, row by row). The first `slots` different ids have a cluster each, in the order of their units, and a
    unit of any other id is a cluster by itself. For each cluster of n units, f = `centroid_bits`:
    c[r, i] = trunc(2^f · Σ (q − zp_in) / n) for its l × L values, and Wc[i, m] = Σ_units weight[m, j·L + i];
    acc[r, m] = bias[m] + Σ_clusters Σ_i c[r, i] · Wc[i, m] + Σ_k 2^f · (q − zp_in) · weight[m, k], the last over the
    columns that fill no unit; out = sat8(requantize(acc, multiplier[m], shift[m]) + zp_out).

    int32 is enough, whatever the clusters, when (255 · 2^f · Σ_k |weight[m, k]| + |bias[m]|) · 2^max(shift, 0) < 2^31,
    which the quantiser proves.
    """

    dims: ConvDims
    length: int  # L
    columns: Int32Array  # (K, 3): (c, kh, kw) of each im2col column, in the pattern's order
    panel_rows: int  # l
    rows: Int32Array | None  # (N,) the output position of each row of X in the pattern's order; None: its own
    hash: QHash
    slots: int  # clusters that a panel can have
    weight: Int8Array  # (M, K), columns in the same order
    bias: Int32Array  # (M,), in units of scale_in · scale_w[m] / 2^f
    multiplier: Int32Array  # (M,)
    shift: Int32Array  # (M,), > 0 is left
    centroid_bits: int  # f, 0 to 7

    @property
    def units(self) -> int:
        """Blocks of columns in a panel."""
        return self.dims.columns // self.length

    @property
    def panels(self) -> int:
        """Panels of an image."""
        return -(-self.dims.positions // self.panel_rows)
