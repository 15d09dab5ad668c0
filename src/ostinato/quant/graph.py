"""The float network between `torch.export` and the integers: few operators, all of them plain data.

Values are named after the operator that makes them; the network's input is called `INPUT`. Shapes leave out the batch
axis: (C, H, W) for maps, (features,) for vectors. Parameters are float64, so that folding one into another costs no
precision that quantisation would then be blamed for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from ostinato.reuse.geometry import ConvGeometry, Pair
from ostinato.reuse.pattern import Pattern
from ostinato.reuse.stem import StemTransform

INPUT = "input"
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FloatOp:
    """Base of all operators: `name` is the layer's qualified name, `shape` its output's."""

    name: str
    shape: Shape

    @property
    def inputs(self) -> tuple[str, ...]:
        """The values it reads, in order."""
        raise NotImplementedError

    def reading(self, old: str, new: str) -> FloatOp:
        """This operator, with value `new` wherever it reads `old`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class FloatUnaryOp(FloatOp):
    """Base of the operators that read one value, `input`."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """The input alone."""
        return (self.input,)

    def reading(self, old: str, new: str) -> FloatUnaryOp:
        """This operator, with value `new` if it reads `old`."""
        return replace(self, input=new) if self.input == old else self


@dataclass(frozen=True, kw_only=True)
class FloatJoin(FloatOp):
    """Base of the operators that read several values, `sources`; one may occur twice."""

    sources: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The sources."""
        return self.sources

    def reading(self, old: str, new: str) -> FloatJoin:
        """This operator, with value `new` wherever it reads `old`."""
        return replace(self, sources=tuple(new if source == old else source for source in self.sources))


@dataclass(frozen=True)
class Clamp:
    """An activation that only limits: ReLU is (0, ∞), ReLU6 (0, 6), none (−∞, ∞)."""

    low: float = -math.inf
    high: float = math.inf

    def then(self, other: Clamp) -> Clamp:
        """This clamp followed by `other`, as one."""
        limit = [min(max(bound, other.low), other.high) for bound in (self.low, self.high)]
        return Clamp(*limit)


@dataclass(frozen=True, kw_only=True)
class ClampedOp(FloatOp):
    """An operator that ends with a clamp, so that an activation behind it can be fused."""

    clamp: Clamp = field(default_factory=Clamp)


@dataclass(frozen=True, kw_only=True)
class FloatAdd(FloatJoin, ClampedOp):
    """The elementwise sum of two values of one shape, then the clamp."""


@dataclass(frozen=True, kw_only=True)
class FloatConcat(FloatJoin):
    """Maps side by side along the channels, or vectors end to end."""


@dataclass(frozen=True, kw_only=True)
class WeightedOp(FloatUnaryOp, ClampedOp):
    """An operator that is linear in `weight` (output channels first) and adds `bias` (M,), then clamps."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, kw_only=True)
class FloatConv(WeightedOp):
    """A conventional convolution; weight (M, C / groups, KH, KW)."""

    geometry: ConvGeometry
    groups: int = 1


@dataclass(frozen=True, kw_only=True)
class FloatReuse(WeightedOp):
    """A reuse convolution; weight (M, C, KH, KW) in torch's layout, whatever the pattern's order.

    A fully connected layer is one too: its kernel is the map that it flattens, or 1×1, and its shape is (M,).

    hash_vectors (G, L, H), thresholds (G, H); slice s is hashed by group s mod G. `centroids` (groups, 2^H, L) with
    every id filled, in compiled scope only; `table_offsets` (M, groups·2^H, KH, KW) where rows of the table have some.
    """

    geometry: ConvGeometry
    pattern: Pattern
    hash_vectors: Tensor
    thresholds: Tensor
    centroids: Tensor | None
    table_offsets: Tensor | None = None

    def as_image(self, x: Tensor) -> Tensor:
        """The input (B, C, H, W); of a fully connected layer also as a vector (B, K)."""
        return x if x.ndim == 4 else x.reshape(len(x), *self.weight.shape[1:])


@dataclass(frozen=True, kw_only=True)
class FloatStem(WeightedOp):
    """A transform-coded stem; weight (M, G, 2^H) is its table."""

    geometry: ConvGeometry
    transform: StemTransform


@dataclass(frozen=True, kw_only=True)
class FloatLinear(WeightedOp):
    """A fully connected layer; weight (M, K)."""


@dataclass(frozen=True, kw_only=True)
class FloatBatchNorm(FloatUnaryOp):
    """An inference-time batch norm, y = x · scale + shift, both (C,)."""

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, kw_only=True)
class FloatActivation(FloatUnaryOp):
    """A clamp that stands alone."""

    clamp: Clamp


@dataclass(frozen=True, kw_only=True)
class FloatPool(FloatUnaryOp):
    """A pooling window; `average` divides by the number of valid elements, otherwise the maximum is taken."""

    average: bool
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)


@dataclass(frozen=True, kw_only=True)
class FloatFlatten(FloatUnaryOp):
    """A map as a vector: in (C, H, W) order as torch has it, or `channels_last`, in (H, W, C) order."""

    channels_last: bool = False


@dataclass(frozen=True)
class FloatGraph:
    """Operators in execution order, with one input and one output; `notes` say what the front end left out."""

    input_shape: Shape
    ops: tuple[FloatOp, ...]
    output: str
    notes: tuple[str, ...] = ()

    def op(self, name: str) -> FloatOp:
        """The operator that makes value `name`. Raises KeyError when there is none."""
        for op in self.ops:
            if op.name == name:
                return op
        raise KeyError(name)

    def names(self, kind: type[FloatOp]) -> tuple[str, ...]:
        """Names of the operators of one kind: for passes, which change the graph that they walk."""
        return tuple(op.name for op in self.ops if isinstance(op, kind))

    def producer(self, op: FloatUnaryOp) -> FloatOp | None:
        """The operator whose value `op` reads; None for the network's input."""
        return None if op.input == INPUT else self.op(op.input)

    def consumers(self, name: str) -> tuple[FloatOp, ...]:
        """The operators that read value `name`."""
        return tuple(op for op in self.ops if name in op.inputs)

    def with_op(self, op: FloatOp) -> FloatGraph:
        """This graph with the operator of the same name replaced."""
        return replace(self, ops=tuple(op if old.name == op.name else old for old in self.ops))

    def without(self, op: FloatUnaryOp) -> FloatGraph:
        """This graph without `op`: what read its value reads its input instead."""
        kept = (old for old in self.ops if old.name != op.name)
        ops = tuple(old.reading(op.name, op.input) for old in kept)
        return replace(self, ops=ops, output=op.input if self.output == op.name else self.output)

    def value_shape(self, name: str) -> Shape:
        """Shape of a value."""
        return self.input_shape if name == INPUT else self.op(name).shape
