"""Counting executed blocks: a hook in C, compiled on first use, and its Python twin with the same counts.

Every translated block that runs adds one at its first and one behind its last half-word, so that a running sum gives
how often each instruction was executed, however the emulator cut the code into blocks. A third counter tells how
often a block was entered by falling out of the one before; executions of a branch minus that are its taken ones.
"""

from __future__ import annotations

import ctypes
import functools
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from unicorn import arm_const, unicorn_const

from ostinato.errors import ToolchainError
from ostinato.targets.cache import BuildCache, content_key
from ostinato.targets.codemap import CodeMap, CodeMapStruct
from ostinato.targets.emulator import Emulator
from ostinato.targets.toolchain import SUPPORT, compile_host_library

Counters = npt.NDArray[np.uint64]
NOWHERE = 0xFFFF_FFFF_FFFF_FFFF


class _BlockCounter(ctypes.Structure):
    """Mirror of `block_counter` in support/block_hook.c; see there for the fields."""

    _fields_ = (
        ("map", CodeMapStruct),
        ("enter", ctypes.c_void_p),
        ("leave", ctypes.c_void_p),
        ("fall", ctypes.c_void_p),
        ("descent", ctypes.c_void_p),
        ("stop", ctypes.c_uint64),
        ("previous_end", ctypes.c_uint64),
        ("lowest_sp", ctypes.c_int64),
        ("stack_limit", ctypes.c_int64),
        ("overflow_at", ctypes.c_uint64),
        ("outside", ctypes.c_uint64),
        ("reg_read", ctypes.c_void_p),
        ("emu_stop", ctypes.c_void_p),
        ("sp_register", ctypes.c_int32),
    )


class BlockHook:
    """Counters over the half-words of the code, filled while the emulator runs.

    Attributes:
        counts: uint64 [3, slots] (see `CodeMap`): blocks entered here, left just before here, fallen through to here.
        state: stack pointer bounds and what went wrong, shared with the C hook.
    """

    def __init__(self, code: CodeMap, descent: npt.NDArray[np.uint32], stop: int) -> None:
        self._code = code
        self.counts: Counters = np.zeros((3, code.slots), np.uint64)
        self.descent = np.ascontiguousarray(descent, np.uint32)
        self.state = _BlockCounter(
            map=code.struct(),
            enter=self.counts[0].ctypes.data,
            leave=self.counts[1].ctypes.data,
            fall=self.counts[2].ctypes.data,
            descent=self.descent.ctypes.data,
            stop=stop,
            sp_register=arm_const.UC_ARM_REG_SP,
        )

    def reset(self, stack_pointer: int, stack_limit: int) -> None:
        """Start a run: zero the counters, and watch the stack from here down to its limit."""
        self.counts[:] = 0
        state = self.state
        state.previous_end, state.lowest_sp, state.stack_limit = NOWHERE, stack_pointer, stack_limit
        state.overflow_at, state.outside = 0, 0

    def install_c(self, emulator: Emulator, library: ctypes.CDLL) -> None:
        """Register the C function with the emulator, by pointer."""
        from unicorn.unicorn_py3.unicorn import uclib

        self.state.reg_read = ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value
        self.state.emu_stop = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value
        self._library = library  # must live as long as the emulator calls into it
        emulator.add_c_hook(unicorn_const.UC_HOOK_BLOCK, library.count_block, self.state)

    def install_python(self, emulator: Emulator) -> None:
        """Register the same function written in Python: some hundred times slower."""
        enter, leave, fall = self.counts
        code, state, descent = self._code, self.state, self.descent

        def count_block(uc: Any, address: int, size: int, _: Any) -> None:
            if address == state.stop:
                return
            begin, end = code.slot(address), code.slot(address + size)
            if end != begin + (size >> 1) or not code.contains(address):
                state.outside = address
                return
            if address == state.previous_end:
                fall[begin] += np.uint64(1)
            enter[begin] += np.uint64(1)
            leave[end] += np.uint64(1)
            state.previous_end = address + size
            if descent[begin]:
                lowest = uc.reg_read(arm_const.UC_ARM_REG_SP) - int(descent[begin])
                state.lowest_sp = min(state.lowest_sp, max(lowest, 0))
                if lowest < state.stack_limit and not state.overflow_at:
                    state.overflow_at = address
                    uc.emu_stop()

        emulator.uc.hook_add(unicorn_const.UC_HOOK_BLOCK, count_block)


@functools.cache
def c_hook_library() -> ctypes.CDLL | None:
    """The compiled hooks from the build cache, or None where no host compiler works."""
    sources = [SUPPORT / name for name in ("block_hook.c", "access_hook.c", "memory_hook.c", "guard_hook.c")]
    try:
        texts = [path.read_bytes() for path in (*sources, *sorted(SUPPORT.glob("*.h")))]
        library = BuildCache().path("hook", content_key(texts), ".so")
        # Through the object cache each time: it notices another compiler or computer, and costs milliseconds.
        compile_host_library(sources, library, toolchain="auto")
        return ctypes.CDLL(str(library))
    except (ToolchainError, OSError) as error:
        warnings.warn(f"simulated code is counted in Python, some hundred times slower: {error}", stacklevel=2)
        return None
