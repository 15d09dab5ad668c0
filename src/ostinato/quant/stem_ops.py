"""The integer operator of a transform-coded stem, as data (DESIGN §5.11)."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.quant.arithmetic import Int8Array, Int32Array, IntArray
from ostinato.quant.ops import ConvDims, QUnaryOp


@dataclass(frozen=True, kw_only=True)
class QStem(QUnaryOp):
    """A first layer that adds G table rows per output, found by the patch's cosine transform.

    p[c] = Σ_c' rotation[c, c'] · q[c'] at every pixel of the padded input (padding holds zp_in);
    v[f] = (Σ_i vertical[f, i] · p[channels[f]] at row i of the window + 2^15) >> 16 at every pixel column;
    z[k] = sat8((Σ_j horizontal[k, j] · v[planes[k]] at column j of the window + centre[k]) >> 16);
    id[g] = Σ_{k: groups[k] = g} maps[k, z[k] + 128], below 2^H whatever z;
    A[n, m] = offset[m] + Σ_g table[g, id[g], m], within int16 if it can be, or int32;  out = sat8(A >> fraction_bits).

    p and v are provably within int16, all sums within int32. F planes, n coefficients sorted by plane.
    """

    dims: ConvDims  # dilation 1
    rotation: Int8Array  # (C, C)
    channels: Int32Array  # (F,)
    vertical: IntArray  # (F, KH) int16
    planes: Int32Array  # (n,), not decreasing
    horizontal: IntArray  # (n, KW) int16
    centre: Int32Array  # (n,), the rounding 2^15 included
    maps: IntArray  # (n, 256) uint8
    groups: Int32Array  # (n,)
    table: Int8Array  # (G, 2^H, M), units scale_out / 2^fraction_bits
    offset: Int32Array  # (M,)
    fraction_bits: int  # F, 0..7

    @property
    def rows(self) -> int:
        """G, table rows added per output."""
        return int(self.table.shape[0])

    @property
    def hashes(self) -> int:
        """H, bits of an id."""
        return int(self.table.shape[1]).bit_length() - 1
