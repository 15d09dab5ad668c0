"""main.c and the Makefile: the smallest program around the network, and a way to build it outside an IDE."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from ostinato.targets.cores import Core

MAIN = """\
/* Example: run the network once. Replace it by your application; nothing else depends on it. */
#include "model.h"

/* All the SRAM that the network needs, apart from the stack. */
__attribute__((aligned(MODEL_ARENA_ALIGNMENT))) int8_t model_arena[MODEL_ARENA_BYTES];
int8_t model_output[MODEL_OUTPUT_BYTES];

/* Index of the largest output, or the negative status of model_run(). */
static int classify(const int8_t *input)
{
    const int status = model_run(input, model_output, model_arena);
    if (status != 0) {
        return status;
    }
    int best = 0;
    for (int i = 1; i < MODEL_OUTPUT_BYTES; i++) {
        if (model_output[i] > model_output[best]) {
            best = i;
        }
    }
    return best;
}

int main(void)
{
    /* Put the image here (a camera's DMA may do it); its bytes are used again by later layers. */
    int8_t *const input = model_arena + MODEL_INPUT_OFFSET;
    for (int i = 0; i < MODEL_INPUT_BYTES; i++) {
        input[i] = MODEL_INPUT_ZERO_POINT;
    }
    return classify(input) < 0;
}
"""

_MAKEFILE = Template("""\
# Builds libmodel.a for the $core: link it with your start-up code and linker script.
#   make                   with arm-none-eabi-gcc
#   make TOOLCHAIN=zig     with zig's clang (pip install ziglang)
#   make host              build/example for this computer, to try the code
TOOLCHAIN ?= gcc
PYTHON    ?= python3
HOST_CC   ?= cc

SOURCES := model.c weights.c \\
$sources

INCLUDES := -I. -Ikernels/include -Ikernels/src
FLAGS    := -std=gnu11 -O3 -Wall -Wextra -ffunction-sections -fdata-sections -fomit-frame-pointer

ifeq ($$(TOOLCHAIN),zig)
  CC      := $$(PYTHON) -m ziglang cc
  AR      := $$(PYTHON) -m ziglang ar
  TARGET  := -target thumb-freestanding-eabihf -mcpu=$zig_cpu -fno-sanitize=undefined -Ifreestanding
else
  CC      := arm-none-eabi-gcc
  AR      := arm-none-eabi-ar
  # GCC would otherwise turn short copies into calls of memcpy.
  TARGET  := $gcc_flags -fno-tree-loop-distribute-patterns
endif

OBJECTS := $$(addprefix build/,$$(addsuffix .o,$$(SOURCES)))

build/libmodel.a: $$(OBJECTS)
\t$$(AR) rcs $$@ $$(OBJECTS)

build/%.o: %
\t@mkdir -p $$(dir $$@)
\t$$(CC) $$(TARGET) $$(FLAGS) $$(INCLUDES) -c $$< -o $$@

.PHONY: host clean
host:
\t@mkdir -p build
\t$$(HOST_CC) $$(FLAGS) $$(INCLUDES) main.c $$(filter %.c,$$(SOURCES)) -o build/example

clean:
\trm -rf build
""")


def makefile(kernel_sources: Sequence[str], core: Core) -> str:
    """The Makefile; `kernel_sources` are paths within the project."""
    return _MAKEFILE.substitute(
        core=core.name,
        zig_cpu=core.zig_cpu,
        gcc_flags=" ".join(core.gcc_flags),
        sources=" \\\n".join(f"    {path}" for path in kernel_sources),
    )
