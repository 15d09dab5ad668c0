"""Hash vectors and thresholds as integers."""

from __future__ import annotations

import numpy as np

from ostinato.errors import QuantizationError
from ostinato.quant.arithmetic import INT8_MAX
from ostinato.quant.graph import FloatReuse
from ostinato.quant.ops import QHash, QTensor

_OFFSET_LIMIT = 1 << 30
_TINY = 2.0**-100


def quantize_hash(op: FloatReuse, source: QTensor, groups: int) -> QHash:
    """The layer's hash on int8 inputs, repeated to `groups` groups: group g is the layer's g mod G.

    Each hash vector has a scale of its own, which its sign bit does not see:
    v·x − θ > 0  ⇔  Σ v_q q > t  with  t = zp · Σ v_q + θ / (scale_in · scale_v)  ⇔  Σ v_q q − ⌊t⌋ > 0, since the sum is
    an integer. An offset beyond ±2^30 decides the bit alone, and is clipped there.

    Raises:
        QuantizationError: slices so long that int32 could overflow.
    """
    length, rows = op.pattern.block_size, op.pattern.block_rows
    if INT8_MAX * 128 * length >= _OFFSET_LIMIT:
        raise QuantizationError(
            f"layer '{op.name}': hashing blocks of {length} values can overflow int32; the most are "
            f"{(_OFFSET_LIMIT - 1) // (INT8_MAX * 128)}"
        )
    real = np.swapaxes(op.hash_vectors.numpy(), 1, 2)  # (G, P, L)
    index = np.arange(groups) % len(real)
    real, thresholds = real[index].copy(), op.thresholds.numpy()[index]
    ragged = op.geometry.K % op.pattern.length
    if op.pattern.sharing != "block" and ragged:
        real.reshape(*real.shape[:2], rows, -1)[-1, :, :, ragged:] = 0.0  # beyond the last column
    scale = np.maximum(np.abs(real).max(axis=2) / INT8_MAX, _TINY)
    vectors = np.rint(real / scale[..., None]).astype(np.int8)
    threshold = source.zero_point * vectors.astype(np.int64).sum(axis=2) + thresholds / (source.scale * scale)
    offset = np.clip(-np.floor(threshold), -_OFFSET_LIMIT, _OFFSET_LIMIT)
    return QHash(vectors=vectors, offset=offset.astype(np.int32), tree=op.pattern.clustering == "tree")
