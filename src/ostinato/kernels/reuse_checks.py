"""What no reuse kernel can compute, refused when a layer is bound."""

from __future__ import annotations

from ostinato.errors import QuantizationError, UnsupportedError
from ostinato.kernels.conventional import check_window
from ostinato.quant.ops import QHash, QReuseCompiled, QReuseImage


def check_layer(op: QReuseImage | QReuseCompiled, kernel: str, most_hashes: int, remedy: str) -> None:
    """Refuse what no reuse kernel with int16 sums can compute.

    Raises:
        UnsupportedError: too many hashes, or a window that leaves the padded input.
        QuantizationError: fraction bits outside 1 to 7.
    """
    check_hashes(op.name, op.hash, kernel, most_hashes, remedy)
    if not 1 <= op.fraction_bits <= 7:
        raise QuantizationError(f"Layer {op.name}: {op.fraction_bits} fraction bits; the kernels take 1 to 7.")
    check_window(op.name, op.dims)


def check_hashes(name: str, hashing: QHash, kernel: str, most_hashes: int, remedy: str) -> None:
    """Refuse more hashes than a kernel has.

    Raises:
        UnsupportedError: with the numbers and the remedy.
    """
    hashes = hashing.hashes
    if not 1 <= hashes <= most_hashes:
        raise UnsupportedError(
            f"Layer {name}: {hashes} hashes ({1 << hashes} ids) do not fit the {kernel} kernel, which takes 1 to "
            f"{most_hashes} ({1 << most_hashes} ids); {remedy}."
        )
