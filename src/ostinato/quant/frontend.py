"""From a float `nn.Module` to a `FloatGraph`: `torch.export`, then an allow-list of ATen operators.

Whatever is not on the list is refused with the layer's qualified name, what was found and what is supported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from ostinato.errors import ModelError, UnsupportedError
from ostinato.quant.aten import CONVERTERS
from ostinato.quant.call import SUPPORTED, Call, short_name
from ostinato.quant.exported import Exported
from ostinato.quant.graph import INPUT, FloatFlatten, FloatGraph, FloatOp

_FINAL = {"aten.softmax.int", "aten._softmax.default", "aten.log_softmax.int", "aten._log_softmax.default"}


def from_module(model: nn.Module, example: Tensor) -> FloatGraph:
    """The inference graph of `model`, in eval mode, for one input like `example` (1, C, H, W).

    A softmax at the end is left out (it changes no ranking) and noted. The model is not changed.

    Raises:
        UnsupportedError: an operator or a setting that firmware cannot express, or a model that cannot be exported.
        ModelError: a weight that is NaN or infinite.
    """
    if example.ndim != 4 or example.shape[0] != 1:
        raise UnsupportedError(
            f"the example input has shape {tuple(example.shape)}; firmware runs one image (1, C, H, W)"
        )
    check_finite(model)
    with _eval_mode(model):
        exported = Exported.of(model, example)
    return _convert(exported, tuple(example.shape[1:]))


def check_finite(model: nn.Module) -> None:
    """Refuse a model with a NaN or infinite parameter or buffer.

    Raises:
        ModelError: naming the layer and the tensor.
    """
    for kind, tensors in (("parameter", model.named_parameters()), ("buffer", model.named_buffers())):
        for name, tensor in tensors:
            bad = int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0
            if bad:
                layer, _, own = name.rpartition(".")
                raise ModelError(
                    f"layer '{layer or '(the model itself)'}': {bad} of {tensor.numel()} values of {kind} '{own}' are "
                    "NaN or infinite; train again, or load an earlier checkpoint"
                )


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _convert(exported: Exported, input_shape: tuple[int, ...]) -> FloatGraph:
    ops: list[FloatOp] = []
    notes: list[str] = []
    values = {exported.input: INPUT}  # torch's node names to ours
    for node in exported.calls:
        call = Call(exported, node, values)
        if call.target in _FINAL:
            values[node.name] = call.value(0)
            call.refuse_unless(
                exported.is_output(node), f"{short_name(call.target)} is only supported as the last operator"
            )
            notes.append(f"{short_name(call.target)} at the end is left out: it changes no ranking of the classes")
            continue
        converter = CONVERTERS.get(call.target)
        if converter is None:
            call.refuse(f"operator {short_name(call.target)} is not supported; supported are {SUPPORTED}")
        source = call.values_of(0)[0]
        used = exported.is_used(node) or call.in_place
        call.refuse_unless(used, f"the result of {short_name(call.target)} is not used; remove it")
        op = converter(call)
        if op is None:
            values[node.name] = source
        else:
            op = replace(op, name=exported.unique_name(node))
            ops.append(op)
            if call.in_place:  # what reads the changed tensor from here on, under any of its names, reads the new value
                changed = [name for name, value in values.items() if value == source and name not in exported.copies]
                values.update(dict.fromkeys(changed, op.name))
            values[node.name] = op.name
    graph = FloatGraph(input_shape, tuple(ops), values[exported.output], tuple(notes))
    _check_output(graph)
    return graph


def _check_output(graph: FloatGraph) -> None:
    if not graph.ops:
        raise UnsupportedError("the model computes nothing that firmware could run: its output is its input")
    last = graph.op(graph.output)
    if isinstance(last, FloatFlatten):
        before = graph.value_shape(last.input)
        if len(before) == 3 and before[1:] != (1, 1):
            raise UnsupportedError(
                f"layer '{last.name}': the output is a flattened {before[1]}×{before[2]} map; firmware keeps maps in "
                "height, width, channels order; end with a linear layer, a global pooling, or the map itself"
            )
