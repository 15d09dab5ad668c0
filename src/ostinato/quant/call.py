"""One call of an exported program, with its arguments, its layer, and a way to refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor, fx

from ostinato.errors import UnsupportedError
from ostinato.quant.exported import Exported
from ostinato.quant.graph import Shape
from ostinato.reuse.geometry import Pair

SUPPORTED = (
    "Conv2d (zero padding), ReuseConv2d, TransformStem, Linear, ReuseLinear, BatchNorm, ReLU, ReLU6, Hardtanh, "
    "MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, a mean over height and width, Flatten, the sum of two tensors of one "
    "shape, concatenation of channels, Dropout and a final Softmax"
)


def short_name(target: str) -> str:
    """`aten.add.Tensor` without its overload."""
    return target.rsplit(".", 1)[0]


@dataclass(frozen=True)
class Call:
    """One call of the exported program, with its arguments by position or name."""

    exported: Exported
    node: fx.Node
    values: dict[str, str]

    @property
    def target(self) -> str:
        """The operator with its overload, e.g. `aten.conv2d.default`."""
        return str(self.node.target)

    @property
    def in_place(self) -> bool:
        """Whether the first argument is changed: torch's names of such operators end with an underscore."""
        return short_name(self.target).endswith("_")

    @property
    def shape(self) -> Shape:
        """Output shape without the batch axis."""
        return tuple(int(size) for size in self.node.meta["val"].shape[1:])

    @property
    def input_shape(self) -> Shape:
        """Shape of the first argument without the batch axis."""
        return tuple(int(size) for size in self.node.args[0].meta["val"].shape[1:])  # type: ignore[union-attr]

    def refuse(self, reason: str) -> NoReturn:
        """Raise UnsupportedError with the layer's qualified name."""
        raise UnsupportedError(f"{self.exported.describe(self.node)}: {reason}")

    def refuse_unless(self, condition: bool, reason: str) -> None:
        """Refuse when `condition` does not hold."""
        if not condition:
            self.refuse(reason)

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """An argument that torch.export left out when it has its default."""
        if index < len(self.node.args):
            return self.node.args[index]
        return self.node.kwargs.get(name, default)

    def value(self, index: int) -> str:
        """The name of the activation that is argument `index`."""
        return self._activation(self.node.args[index] if index < len(self.node.args) else None)

    def _activation(self, argument: Any) -> str:
        if isinstance(argument, fx.Node) and argument.name in self.values:
            return self.values[argument.name]
        self.refuse(f"{short_name(self.target)} reads something other than an activation; supported are {SUPPORTED}")

    def values_of(self, index: int) -> tuple[str, ...]:
        """The names of the activations that are argument `index`: a list of them, or one."""
        argument = self.node.args[index] if index < len(self.node.args) else None
        if not isinstance(argument, list | tuple):
            return (self.value(index),)
        return tuple(self._activation(item) for item in argument)

    def constant(self, index: int, name: str) -> Tensor | None:
        """A parameter or buffer as float64; None when the layer has none."""
        argument = self.arg(index, name)
        if argument is None:
            return None
        if isinstance(argument, fx.Node) and argument.name in self.exported.constants:
            return self.exported.constants[argument.name][1].double()
        self.refuse(f"{name} of {short_name(self.target)} depends on the input; firmware needs it as a constant")

    def pair(self, index: int, name: str, default: Sequence[int]) -> Pair:
        """A (height, width) argument, which may be given as one number."""
        given = self.arg(index, name, default)
        numbers = [int(v) for v in given] if isinstance(given, list | tuple) else [int(given)]
        return (numbers[0], numbers[-1])
