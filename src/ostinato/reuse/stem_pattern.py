"""The pattern of a transform-coded stem: how many ids, of how many bits, from how many coefficients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ostinato.errors import PatternError
from ostinato.reuse.geometry import ConvGeometry

MAX_CHANNELS = 4
MAX_KERNEL = 16
MAX_HASHES = 8
MAX_GROUPS = 16
_LIMITS = {"groups": (0, MAX_GROUPS), "hashes": (1, MAX_HASHES), "coefficients": (1, 256), "bits": (1, MAX_HASHES)}


@dataclass(frozen=True)
class StemPattern:
    """How a first layer becomes a transform-coded stem (DESIGN §5.11). Refuses nonsense on construction.

    The layer's patches (KH·KW·C, C up to 4) are rotated to the principal axes of colours and transformed by a separable
    DCT; the coefficients that matter most for the outputs are rounded to 0 … `bits` bits each by Lloyd-Max quantisers,
    and concatenated to G ids of H bits. The output is the sum of G rows of a table.

    Attributes:
        groups: G, ids of a patch and table rows added per output. 0: no ids and no table, the coefficients are
            multiplied by a dense matrix (the same transform without reuse, to compare with).
        hashes: H, bits of an id, 1 to 8: the table has G·2^H·M entries. Without meaning if there are no groups.
        coefficients: at most so many coefficients are computed.
        bits: at most so many bits of a coefficient are kept.

    Raises:
        PatternError: if a field is no integer in its range, or G·H bits are more than the coefficients can have or
            fewer than one for each.
    """

    groups: int = 10
    hashes: int = 6
    coefficients: int = 20
    bits: int = 4

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise PatternError(f"a stem's {name} must be an integer from {low} to {high}, not {value!r}")
        if not self.groups:
            return
        if self.bits > self.hashes:
            object.__setattr__(self, "bits", self.hashes)
        if self.groups > self.coefficients:
            raise PatternError(
                f"a stem of {self.groups} ids needs a coefficient for each, not {self.coefficients}; use fewer groups"
            )
        total, most = self.groups * self.hashes, self.coefficients * self.bits
        if total > most or total < self.coefficients:
            raise PatternError(
                f"a stem of {self.groups} ids with {self.hashes} bits has {total} bits, but {self.coefficients} "
                f"coefficients can have {self.coefficients} to {most} (1 to {self.bits} each); change groups, hashes "
                "or coefficients"
            )

    @property
    def ids(self) -> int:
        """2^H."""
        return 1 << self.hashes

    def validate_for(self, geometry: ConvGeometry, layer_name: str) -> None:
        """Refuse a layer that cannot be a transform-coded stem.

        Raises:
            PatternError: with the layer's name, what was found and what is possible.
        """
        kernel, k = geometry.kernel_size, geometry.K
        if geometry.in_channels > MAX_CHANNELS:
            raise PatternError(
                f"layer '{layer_name}' has {geometry.in_channels} input channels; a transform-coded stem is for the "
                f"layer that reads the image, with at most {MAX_CHANNELS}: use a Pattern for this layer"
            )
        if geometry.dilation != (1, 1):
            raise PatternError(
                f"layer '{layer_name}' has dilation {geometry.dilation}; a transform-coded stem needs dilation 1"
            )
        if max(kernel) > MAX_KERNEL:
            raise PatternError(
                f"layer '{layer_name}' has a {kernel[0]}×{kernel[1]} kernel; a transform-coded stem takes kernels up "
                f"to {MAX_KERNEL}×{MAX_KERNEL}"
            )
        if self.coefficients > k:
            raise PatternError(
                f"layer '{layer_name}' has patches of K={k} numbers, which have no {self.coefficients} coefficients; "
                f"use at most {k}"
            )

    def to_dict(self) -> dict[str, int]:
        """All fields, for TOML or JSON; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> StemPattern:
        """The pattern that `to_dict` described; fields left out have their defaults.

        Raises:
            PatternError: for an unknown field.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise PatternError(f"a stem pattern has no field '{name}'; known: {', '.join(known)}")
        return cls(**fields)

    def __str__(self) -> str:
        if not self.groups:
            return f"DCT of {self.coefficients} coefficients, dense"
        return f"DCT of {self.coefficients} coefficients, G={self.groups} H={self.hashes}, compiled scope"
