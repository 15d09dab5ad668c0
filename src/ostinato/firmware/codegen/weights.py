"""weights.h and weights.c: every constant array of the network, typed, aligned and readable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ostinato.errors import UnsupportedError
from ostinato.firmware.codegen.layer import Layer
from ostinato.firmware.codegen.names import comment
from ostinato.kernels.binding import EXTERNAL_LINE, FLASH_LINE
from ostinato.targets.external_flash import SECTION

_C_TYPES = {f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32)}
_LINE = 112
_LARGE = 16 * FLASH_LINE
"""Bytes from which an array is worth the padding in front of it."""


_EXTERNAL = [
    "",
    "/* In external flash, which has to be memory-mapped before model_run(): for the linker script to place. */",
    "#ifdef __arm__",
    f'#define EXTERNAL __attribute__((section("{SECTION}"), aligned({EXTERNAL_LINE})))',
    "#else",
    "#define EXTERNAL LINE_ALIGNED",
    "#endif",
]


def c_type(array: npt.NDArray[Any]) -> str:
    """The C element type of a constant array.

    Raises:
        UnsupportedError: not an integer of 8, 16 or 32 bits.
    """
    try:
        return _C_TYPES[array.dtype.name]
    except KeyError:
        raise UnsupportedError(f"Constant data of type {array.dtype} has no C type in firmware.") from None


def format_values(array: npt.NDArray[Any]) -> str:
    """The elements in C order as comma-separated decimals, in aligned columns."""
    flat = array.reshape(-1)
    width = max(len(str(int(flat.min()))), len(str(int(flat.max())))) if flat.size else 1
    columns = max(1, (_LINE - 4) // (width + 2))
    # INT32_MIN has no decimal literal of type int; every compiler accepts the expression.
    texts = ["(-2147483647 - 1)" if v == -(1 << 31) else f"{v:{width}d}" for v in flat.tolist()]
    lines = (", ".join(texts[i : i + columns]) for i in range(0, len(texts), columns))
    return ",\n".join(f"    {line}" for line in lines)


def weights_header(layers: Iterable[Layer]) -> str:
    """weights.h."""
    parts = ["/* Constant data of the network: declarations. */", "#ifndef WEIGHTS_H", "#define WEIGHTS_H", ""]
    parts += ["#include <stdint.h>", "", "#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
    for layer in layers:
        for name, array, _ in layer.arrays():
            parts.append(f"extern const {c_type(array)} {name}[{array.size}];")
    parts += ["", "#ifdef __cplusplus", "}", "#endif", "", "#endif /* WEIGHTS_H */", ""]
    return "\n".join(parts)


def weights_source(layers: Iterable[Layer]) -> str:
    """weights.c."""
    parts = [
        "/* Constant data of the network, in the layouts that its kernels read. Nothing writes it. */",
        '#include "weights.h"',
        "",
        "/* Kernels read several elements with one load; rows of tables lie in one line of the flash each. */",
        "#define ALIGNED __attribute__((aligned(4)))",
        f"#define LINE_ALIGNED __attribute__((aligned({FLASH_LINE})))",
    ]
    layers = list(layers)
    if any(layer.external for layer in layers):
        parts += _EXTERNAL
    for layer in layers:
        for name, array, external in layer.arrays():
            shape = " x ".join(str(n) for n in np.shape(array))
            parts += [
                "",
                f"/* {comment(layer.op.name)}: {shape}, {array.nbytes:,} bytes */",
                f"{'EXTERNAL' if external else _alignment(array)} const {c_type(array)} {name}[{array.size}] = {{",
                format_values(array),
                "};",
            ]
    return "\n".join(parts) + "\n"


def _alignment(array: npt.NDArray[Any]) -> str:
    return "LINE_ALIGNED" if array.nbytes >= _LARGE else "ALIGNED"
