"""The integer operators a firmware network is made of, as data.

Tensors are int8, batch 1, height × width × channels (NHWC) or a flat vector of features. A real value is
scale · (q − zero_point). `reference.py` gives each operator its bits; `ostinato.kernels` gives it C.

Symbols are DESIGN §2's: M output channels, K = C·KH·KW columns, L slice length, S slices, H hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ostinato.quant.arithmetic import Int8Array, Int32Array


@dataclass(frozen=True)
class QTensor:
    """An int8 activation: `shape` is (H, W, C) or (features,); real = scale · (q − zero_point)."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Number of elements, which is also its bytes."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class ConvDims:
    """Sizes of a convolution or pooling window. All pairs are (height, width)."""

    input: tuple[int, int, int]  # (H, W, C)
    output: tuple[int, int, int]  # (OH, OW, M)
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def columns(self) -> int:
        """K = KH · KW · C, the length of an im2col row."""
        return self.kernel[0] * self.kernel[1] * self.input[2]

    @property
    def positions(self) -> int:
        """N = OH · OW, the number of im2col rows."""
        return self.output[0] * self.output[1]


@dataclass(frozen=True, kw_only=True)
class QOp:
    """Base of all operators: `name` is the layer's qualified name in the float model."""

    name: str
    output: QTensor

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """What it reads, in the order of its kernel's arguments; the same tensor may occur twice."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class QUnaryOp(QOp):
    """Base of the operators that read one tensor."""

    input: QTensor

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The input alone."""
        return (self.input,)


@dataclass(frozen=True, kw_only=True)
class QAdd(QOp):
    """The elementwise sum of two tensors of one shape, with a limiting activation: the join of a residual block.

    acc = offset + terms[0] · multipliers[0] + terms[1] · multipliers[1];
    out = clamp(acc >> fraction_bits, act_min, act_max).

    multipliers[i] = round(scale_i / scale_out · 2^F) < 2^15, so that both products are one SMLAD; `offset` folds the
    zero points and the rounding: (zp_out << F) + (1 << (F − 1)) − Σ_i zp_i · multipliers[i]. Rounding is half up.
    """

    terms: tuple[QTensor, QTensor]
    multipliers: tuple[int, int]  # 0 … 32767
    offset: int
    fraction_bits: int  # F, 1 … 14
    activation_min: int = -128
    activation_max: int = 127

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The two terms."""
        return self.terms


@dataclass(frozen=True, kw_only=True)
class QConcat(QOp):
    """Tensors side by side along the channels. All share scale and zero point: bytes are moved, not changed."""

    parts: tuple[QTensor, ...]

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The parts, in channel order."""
        return self.parts


@dataclass(frozen=True, kw_only=True)
class QConv2d(QUnaryOp):
    """A conventional convolution, TensorFlow Lite's arithmetic.

    acc[m] = bias[m] + Σ (q − zp_in) · weight[m];  out = clamp(requantize(acc) + zp_out, act_min, act_max).
    Padding pixels hold zp_in, that is, real zero. With groups, output channel m reads only the C / groups input
    channels of group m // (M / groups); a depthwise convolution has C groups.
    """

    dims: ConvDims
    weight: Int8Array  # (M, KH, KW, C / groups), symmetric per output channel, in [-127, 127]
    bias: Int32Array  # (M,), in units of scale_in · scale_w[m]; the zero point is not folded in
    multiplier: Int32Array  # (M,)
    shift: Int32Array  # (M,), > 0 is left
    activation_min: int = -128
    activation_max: int = 127
    groups: int = 1


@dataclass(frozen=True, kw_only=True)
class QLinear(QUnaryOp):
    """A fully connected layer on the flattened (H, W, C order) input; same arithmetic as `QConv2d`."""

    weight: Int8Array  # (M, K)
    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array
    activation_min: int = -128
    activation_max: int = 127


@dataclass(frozen=True, kw_only=True)
class QMaxPool2d(QUnaryOp):
    """Maximum over each window; padding never wins. Input and output share scale and zero point."""

    dims: ConvDims


@dataclass(frozen=True, kw_only=True)
class QAvgPool2d(QUnaryOp):
    """Mean over the valid elements of each window, rounded half away from zero (padding is not counted).

    Input and output share scale and zero point.
    """

    dims: ConvDims


@dataclass(frozen=True, kw_only=True)
class QHash:
    """Integer hashing: plane p of group g answers the bit [ Σ_l vectors[g, p, l] · q_l + offset[g, p] > 0 ].

    LSH: one plane a bit, P = H, the id is all bits, most significant first. Tree: P = 2^H − 1 planes in heap order; at
    level h the plane 2^h − 1 + prefix is asked, its bit is appended to the prefix, and the id is the last prefix.

    `offset` folds the input's zero point and the threshold: −(zp_in · Σ_l v_l + θ / (scale_in · scale_v)), rounded.
    The rows of a ragged last slice are zero-padded to `length`. Of a block of b rows, L is b times the slice's.
    """

    vectors: Int8Array  # (G, P, L)
    offset: Int32Array  # (G, P)
    tree: bool = False

    @property
    def hashes(self) -> int:
        """H, bits of an id."""
        planes = int(self.vectors.shape[1])
        return planes.bit_length() if self.tree else planes


@dataclass(frozen=True, kw_only=True)
class QReuseImage(QUnaryOp):
    """A convolution that clusters the neuron blocks of this one image (TREC §3.1, GR §3.3, vertical direction).

    A block is `block_rows` rows of X, in the order `rows`, by L columns. Per slice s, in order: id of every block by
    `hash` (group s, vectors b·L); the first `slots` different ids have a cluster each, in the order of their blocks,
    and a block of any other id is a cluster by itself. Of each cluster, with n blocks,
    centroid c[r] = trunc(128 · Σ (q − zp_in) / n), within ±32640, for each row r of a block;
    `T[s, cluster, r, m]` = sat16(rounding_high_multiply(Σ_l c[r]_l · weight[m, s·L + l], multiplier[m])), and for s = 0
    T = sat16(T + offset[m]).
    A[n, m] = the T rows of row n's clusters added in slice order with int16 saturation at every addition;
    out = sat8(A >> fraction_bits). The last N mod b rows are in no block: each is a cluster by itself in every slice.

    T is in units of scale_out / 2^fraction_bits: requantisation is paid per cluster, not per pixel. The int32
    accumulator is safe when 32640 · Σ_l |weight| < 2^31 in every slice, which the quantiser proves.
    """

    dims: ConvDims
    length: int  # L
    columns: Int32Array  # (K, 3): (c, kh, kw) of each im2col column, in the pattern's order
    hash: QHash  # S groups
    weight: Int8Array  # (M, K), columns in the same order
    multiplier: Int32Array  # (M,): round(scale_in · scale_w[m] / (128 · scale_out) · 2^fraction_bits · 2^32)
    offset: Int32Array  # (M,), within int16: round(bias / scale_out · 2^F) + (zp_out << F) + (1 << (F − 1))
    fraction_bits: int  # F, 1..7
    slots: int = 1 << 16  # clusters that a slice can have; as many as there are ids, or more: all have one
    block_rows: int = 1  # b
    rows: Int32Array | None = None  # (N,) the output position of each row of X in the pattern's order; None: its own

    @property
    def slices(self) -> int:
        """S = ceil(K / L)."""
        return -(-self.dims.columns // self.length)


@dataclass(frozen=True, kw_only=True)
class QReuseCompiled(QUnaryOp):
    """A convolution whose cluster results were computed at export (scope `compiled`): hash, look up, add.

    Rows of the table:
      * `pixel_aligned`: order kh.kw.c, L divides C, hashes shared by kernel positions. Ids exist once per pixel of the
        padded input and channel block cb (hash group cb; padding pixels hold zp_in). R = KH·KW·CB, row = (kh, kw, cb).
      * otherwise: ids exist per output position and slice (hash group s). R = S.
    A[n, m] = offset[m] + Σ_r table[r, id_r(n), m], provably within int16 if it can be, within int32 otherwise;
    out = sat8(A >> fraction_bits).
    """

    dims: ConvDims
    length: int
    columns: Int32Array  # (K, 3)
    pixel_aligned: bool
    hash: QHash  # CB or S groups
    table: Int8Array  # (R, 2^H, M), units scale_out / 2^fraction_bits
    offset: Int32Array  # (M,): bias, zp_out << F and the rounding 1 << (F − 1) together
    fraction_bits: int

    @property
    def rows(self) -> int:
        """R, table rows added per output."""
        return int(self.table.shape[0])


@dataclass(frozen=True)
class QGraph:
    """A directed acyclic graph of operators in execution order, with one input and one output tensor."""

    name: str
    input: QTensor
    output: QTensor
    ops: tuple[QOp, ...]
    classes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def op(self, name: str) -> QOp:
        """The operator of the layer with this qualified name.

        Raises:
            KeyError: no operator has it.
        """
        for op in self.ops:
            if op.name == name:
                return op
        raise KeyError(name)
