"""Ranges of activations, and the scale and zero point that a range becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

_SAMPLES = 1 << 19
"""Values kept per tensor for the percentile and the squared error; their extremes are exact."""
_CANDIDATES = 100
_LEAST_FRACTION = 0.2
_HALVINGS = 4


@dataclass(frozen=True)
class Range:
    """Real values [low, high] that int8 is to represent; zero is always among them, as padding needs it."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"a range must be finite, got [{self.low}, {self.high}]")
        object.__setattr__(self, "low", min(self.low, 0.0))
        object.__setattr__(self, "high", max(self.high, 0.0))

    def parameters(self) -> tuple[float, int]:
        """(scale, zero point): asymmetric int8, with real zero exactly representable.

        A range that starts at zero (after ReLU) has zero point −128 exactly. A range of nothing but zero gets scale 1.
        """
        if self.high == self.low:
            return 1.0, -128
        scale = (self.high - self.low) / 255.0
        return scale, int(min(127, max(-128, round(-128 - self.low / scale))))


def power_of_two(real: Range) -> Range:
    """The least range around this one whose scale is a power of two: 8-bit fixed point (GR §5.1).

    Its zero point is 0, or −128 where nothing is below zero, as after ReLU: then all 8 bits are the number's.
    """
    unsigned = real.low == 0.0
    need = real.high / 255.0 if unsigned else max(real.high / 127.0, -real.low / 128.0)
    if need == 0.0:  # nothing but zero, or so little that its step is none
        return _fixed_point(0, unsigned=True)
    return _fixed_point(math.ceil(math.log2(need)), unsigned)


def _fixed_point(exponent: int, unsigned: bool) -> Range:
    step = 2.0**exponent
    return Range(0.0, 255 * step) if unsigned else Range(-128 * step, 127 * step)


def hull(ranges: Sequence[Range]) -> Range:
    """The least range that contains all of `ranges`, of which there is at least one."""
    return Range(min(r.low for r in ranges), max(r.high for r in ranges))


@dataclass
class Observer:
    """Sees the values of one tensor, batch by batch: exact extremes and an even sample."""

    batches: int
    low: float = math.inf
    high: float = -math.inf
    _kept: list[Tensor] = field(default_factory=list)

    def see(self, values: Tensor) -> None:
        """Take one batch into account. Raises ValueError for NaN or infinity."""
        low, high = (float(v) for v in values.aminmax())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("NaN or infinite activations")
        self.low, self.high = min(self.low, low), max(self.high, high)
        flat = values.reshape(-1)
        step = max(1, -(-flat.numel() * self.batches // _SAMPLES))
        step += step % 2 == 0  # an even step would always meet the same columns of a map
        self._kept.append(flat[::step].float().clone())

    @property
    def sample(self) -> Tensor:
        """Values seen, evenly thinned."""
        return torch.cat(self._kept)


def minimum_maximum(observer: Observer) -> Range:
    """Everything that was seen."""
    return Range(observer.low, observer.high)


def percentile(observer: Observer, share: float = 0.9999) -> Range:
    """What is left after cutting the outermost (1 − share) at each end that is not a zero."""
    ordered = observer.sample.sort().values
    last = len(ordered) - 1
    return Range(float(ordered[round((1 - share) * last)]), float(ordered[round(share * last)]))


def least_squares(observer: Observer) -> Range:
    """The fraction of the full range with the least mean squared quantisation and clipping error."""
    full, sample = minimum_maximum(observer), observer.sample
    fractions = (1.0 - step * (1.0 - _LEAST_FRACTION) / _CANDIDATES for step in range(_CANDIDATES + 1))
    return _least_error([Range(full.low * f, full.high * f) for f in fractions], sample)


def least_squares_power_of_two(observer: Observer) -> Range:
    """`least_squares` among the powers of two."""
    full, sample = minimum_maximum(observer), observer.sample
    halvings = (2.0**-step for step in range(_HALVINGS))
    return _least_error([power_of_two(Range(full.low * f, full.high * f)) for f in halvings], sample)


def _least_error(candidates: Sequence[Range], sample: Tensor) -> Range:
    best, least = candidates[0], math.inf
    for candidate in candidates:
        scale, zero = candidate.parameters()
        rounded = ((sample / scale).round_().add_(zero).clamp_(-128, 127).sub_(zero)).mul_(scale)
        error = float((rounded - sample).square_().mean())
        if error < least:
            best, least = candidate, error
    return best


METHODS: dict[str, Callable[[Observer], Range]] = {
    "minmax": minimum_maximum,
    "percentile": percentile,
    "mse": least_squares,
}

POWER_OF_TWO_METHODS: dict[str, Callable[[Observer], Range]] = {
    **{name: lambda observer, method=method: power_of_two(method(observer)) for name, method in METHODS.items()},  # type: ignore[misc]
    "mse": least_squares_power_of_two,
}

Scales = Literal["real", "power_of_two"]
"""Scales may be any real number, or powers of two only: the papers' 8-bit fixed point (GR §5.1)."""
