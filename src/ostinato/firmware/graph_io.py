"""A quantised graph as JSON plus an `.npz` of its arrays: readable, versioned, and nothing in it can run code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import CheckpointError
from ostinato.quant import horizontal_ops, pooled_op, softmax_op, stem_ops
from ostinato.quant import ops as quant_ops

Arrays = dict[str, npt.NDArray[Any]]

_TYPES: dict[str, type[Any]] = {
    cls.__name__: cls
    for module in (quant_ops, softmax_op, stem_ops, horizontal_ops, pooled_op)
    for cls in vars(module).values()
    if isinstance(cls, type) and is_dataclass(cls) and cls.__module__ == module.__name__
}


def graph_to_document(graph: quant_ops.QGraph) -> tuple[dict[str, Any], Arrays]:
    """(JSON-able document, arrays that it refers to by key)."""
    arrays: Arrays = {}
    document = _encode(graph, "graph", arrays)
    assert isinstance(document, dict)
    return document, arrays


def graph_from_document(document: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> quant_ops.QGraph:
    """The graph that `graph_to_document` wrote.

    Raises:
        CheckpointError: the document is not one of ours.
    """
    try:
        graph = _decode(document, arrays)
    except (KeyError, TypeError, ValueError) as problem:
        raise CheckpointError(f"The saved network is damaged or of another version ({problem!r}).") from problem
    if not isinstance(graph, quant_ops.QGraph):
        raise CheckpointError(f"The saved network is a {type(graph).__name__}, not a QGraph.")
    return graph


def _encode(value: Any, path: str, arrays: Arrays) -> Any:
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if is_dataclass(value) and not isinstance(value, type):
        body = {f.name: _encode(getattr(value, f.name), f"{path}.{f.name}", arrays) for f in fields(value)}
        return {"type": type(value).__name__, **body}
    if isinstance(value, Mapping):
        return {"mapping": {str(k): _encode(v, f"{path}.{k}", arrays) for k, v in value.items()}}
    if isinstance(value, tuple | list):
        return [_encode(v, f"{path}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _decode(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(v, arrays) for v in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "mapping" in value:
        return {k: _decode(v, arrays) for k, v in value["mapping"].items()}
    cls = _TYPES[value["type"]]
    return cls(**{k: _decode(v, arrays) for k, v in value.items() if k != "type"})
