"""How an integer operator meets a C kernel: the constant data, the parameter struct, the scratch and the phases.

Every kernel has the same C shape, so that generated code needs no special cases:

    ost_status ost_<kernel>(const <params_type> *params, const ost_scratch *scratch, const int8_t *in, int8_t *out);
    int32_t    ost_<kernel>_scratch_bytes(const <params_type> *params);

A kernel of an operator with several inputs takes `const int8_t *const *in`, an array of pointers to them.

A `Binding` is what the code generator needs to emit one call. Packing constants into a kernel's layout is part of the
kernel, and is done here, in Python, next to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Phase = Literal["transformation", "clustering", "gemm", "recovering", "other"]
"""The phases of GR Table 3; `other` is everything that a reuse layer does not have (pooling, fully connected, glue)."""

FLASH_LINE = 16
"""Alignment of large constant arrays: a table row of 16 bytes then lies in one line of an STM32F4's flash, not two."""


EXTERNAL_LINE = 32
"""Alignment of constants in external flash: a Cortex-M7's cache line."""


@dataclass(frozen=True)
class ArrayRef:
    """A struct field that points to the constant array of this name in `Binding.arrays`."""

    array: str


@dataclass(frozen=True)
class Binding:
    """One operator bound to one kernel."""

    kernel: str
    """Name without the `ost_` prefix, for example `conv_s8_dense`; empty where nothing is left to run."""
    params_type: str
    """C type of the parameter struct."""
    params: Mapping[str, Any]
    """Field name → int, `ArrayRef`, or a nested mapping for a nested struct. Emitted as designated initialisers."""
    arrays: Mapping[str, npt.NDArray[Any]]
    """Constant data that lives in flash; the dtype decides the C type. Flattened in C order, aligned to 4 bytes,
    large ones to `FLASH_LINE`."""
    scratch_bytes: int
    """What `ost_<kernel>_scratch_bytes` returns for these parameters (a test compares them)."""
    sources: tuple[str, ...]
    """Kernel source files (relative to the kernels' `src/`) that the generated project needs for it."""
    phases: Mapping[str, Phase] = field(default_factory=dict)
    """C function → phase; a function that is not named counts as `other`."""
    inputs: int = 1
    """Tensors it reads; if more than one, `in` is an array of pointers."""
    note: str = ""
    """Which of several kernels this is and why, in one line for the generated project and reports."""
    counts: str = ""
    """What the int32 at the start of the scratch says after a call, which reports show; empty: nothing."""
    generated: Mapping[str, str] = field(default_factory=dict)
    """File name → text of sources written for this layer's sizes, which define the kernel; they include by the same
    paths as the library's sources. Layers of one size have the same files."""

    strided: bool = False
    """Whether its parameters have an `out_stride`, so that it can write its channels into those of a wider tensor."""
    there: tuple[bool, ...] = ()
    """For a kernel of several inputs: those that it need not read, for they lie in its output already."""

    @property
    def flash_bytes(self) -> int:
        """Bytes of constant data."""
        return sum(int(np.asarray(a).nbytes) for a in self.arrays.values())
