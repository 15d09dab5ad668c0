"""The shape of a convolution: everything about it but its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.errors import PatternError

Pair = tuple[int, int]


def _pair(value: int | Pair, field: str, minimum: int) -> Pair:
    """`value` as (vertical, horizontal), refusing anything that is not two integers of at least `minimum`."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, int) or v < minimum for v in pair):
        raise PatternError(f"{field} of a convolution must be one or two integers of at least {minimum}, not {value!r}")
    return pair


@dataclass(frozen=True)
class ConvGeometry:
    """Shape of a two-dimensional convolution with zero padding and without groups.

    Pairs are (vertical, horizontal); a single integer stands for both.

    Raises:
        PatternError: if a field is not a positive integer (padding: not negative).
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        for field in ("in_channels", "out_channels"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise PatternError(f"{field} of a convolution must be a positive integer, not {value!r}")
        for field, minimum in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            object.__setattr__(self, field, _pair(getattr(self, field), field, minimum))

    @property
    def K(self) -> int:  # noqa: N802 (the papers' name)
        """Columns of the im2col matrix X: C·KH·KW."""
        return self.in_channels * self.kernel_size[0] * self.kernel_size[1]

    def output_size(self, height: int, width: int) -> Pair:
        """(OH, OW) for an input of `height` × `width`.

        Raises:
            PatternError: if the kernel does not fit into the padded input.
        """
        sizes = []
        for axis, size in enumerate((height, width)):
            extent = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            room = size + 2 * self.padding[axis] - extent
            if size < 1 or room < 0:
                raise PatternError(
                    f"an input of {height}×{width} with padding {self.padding} is smaller than the "
                    f"{self.kernel_size[0]}×{self.kernel_size[1]} kernel with dilation {self.dilation}"
                )
            sizes.append(room // self.stride[axis] + 1)
        return sizes[0], sizes[1]

    def slices(self, length: int) -> list[tuple[int, int]]:
        """Columns [start, stop) of each slice of X; the last one is shorter when `length` does not divide K."""
        return [(start, min(start + length, self.K)) for start in range(0, self.K, length)]

    def macs(self, height: int, width: int) -> int:
        """Multiply-accumulates of the conventional convolution for one image of `height` × `width`."""
        rows, columns = self.output_size(height, width)
        return rows * columns * self.K * self.out_channels
