"""Which of two forms of a computation suits a device: few large steps, or steps that do no more than is needed.

On a CPU a step costs what it computes. On an accelerator each has a price of its own, and one whose result decides what
comes next makes the processor wait for all steps before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

_pretended = False  # a plain value: torch.compile can read it


def accelerated(tensor: Tensor) -> bool:
    """Whether computations with `tensor` are to take the form for accelerators."""
    return tensor.device.type != "cpu" or _pretended


@contextmanager
def as_on_accelerator() -> Iterator[None]:
    """Forms for accelerators on a CPU, too: what they give, and how many steps they take, can be seen without one.

    For all threads of the process.
    """
    global _pretended
    before, _pretended = _pretended, True
    try:
        yield
    finally:
        _pretended = before
