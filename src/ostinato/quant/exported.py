"""What we need of a `torch.export` program: its calls in order, its constants, and the layers they came from."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind, OutputKind

from ostinato.errors import UnsupportedError


@dataclass
class Exported:
    """An exported program with one tensor in and one tensor out."""

    model: nn.Module
    calls: tuple[fx.Node, ...]
    constants: dict[str, tuple[str, Tensor]]  # by node name: the qualified name of a parameter or buffer, its value
    input: str
    output: str
    _used_names: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, model: nn.Module, example: Tensor) -> Exported:
        """Export `model`.

        Raises:
            UnsupportedError: `torch.export` cannot, or the model has several inputs or outputs.
        """
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.export.export(model, (example,))
        except Exception as error:  # torch.export raises whatever it met while tracing
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UnsupportedError(
                f"{type(model).__name__} cannot be exported by torch.export for an input of shape "
                f"{tuple(example.shape)}: {reason}"
            ) from error
        signature = program.graph_signature
        inputs = [spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
        outputs = [spec.arg.name for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
        if len(inputs) != 1 or len(outputs) != 1:
            raise UnsupportedError(
                f"{type(model).__name__} has {len(inputs)} inputs and {len(outputs)} outputs; firmware has one of each"
            )
        constants = {}
        for spec in signature.input_specs:
            if spec.kind is not InputKind.USER_INPUT and spec.target is not None:
                value = program.state_dict.get(spec.target, program.constants.get(spec.target))
                if isinstance(value, Tensor):
                    constants[spec.arg.name] = (spec.target, value.detach())
        calls = tuple(node for node in program.graph.nodes if node.op == "call_function")
        exported = cls(model, calls, constants, inputs[0], outputs[0])
        exported._fold_constants()
        return exported

    def _fold_constants(self) -> None:
        """Compute once what does not depend on the input, as parametrised weights do."""
        remaining = []
        for node in self.calls:
            constant = all(source.name in self.constants for source in node.all_input_nodes)
            random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
            if not constant or random or not callable(node.target):
                remaining.append(node)
                continue
            arguments = fx.node.map_arg(node.args, lambda source: self.constants[source.name][1])
            with torch.no_grad():
                value = node.target(*arguments, **node.kwargs)
            self.constants[node.name] = (node.name, value)
        self.calls = tuple(remaining)

    @property
    def copies(self) -> frozenset[str]:
        """Nodes that have a value of another node in memory of their own."""
        return frozenset(node.name for node in self.calls if str(node.target) == "aten.clone.default")

    def is_output(self, node: fx.Node) -> bool:
        """Whether this node's value is what the model returns."""
        return node.name == self.output

    def is_used(self, node: fx.Node) -> bool:
        """Whether anything reads this node's value."""
        return bool(node.users)

    def layer(self, node: fx.Node) -> str:
        """Qualified name of the innermost module whose forward made this call; empty for the model itself."""
        stack: dict[str, Any] = node.meta.get("nn_module_stack") or {}
        path = list(stack.values())[-1][0] if stack else ""
        return re.sub(r"@\d+", "", path)  # a module called twice is marked name@1

    def describe(self, node: fx.Node) -> str:
        """The layer as an error message names it."""
        layer = self.layer(node)
        kind = type(self.model.get_submodule(layer)).__name__
        return f"layer '{layer}' ({kind})" if layer else f"the forward of {kind}"

    def unique_name(self, node: fx.Node) -> str:
        """A name for this call's operator: its layer's, or its own inside the layer when that is a container."""
        layer = self.layer(node)
        base = layer
        if not layer or any(True for _ in self.model.get_submodule(layer).children()):
            operator = str(node.target).split(".")[1].rstrip("_") if "." in str(node.target) else node.name
            base = f"{layer}.{operator}" if layer else operator
        name, count = base, 1
        while name in self._used_names:
            name, count = f"{base}_{count}", count + 1
        self._used_names.add(name)
        return name
