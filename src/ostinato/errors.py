"""What the user sees when something is wrong: one clear sentence, and what to do.

Every mistake that a user can make (a bad argument, a file that is not what it should be, a layer that does not
fit) raises a subclass of `OstinatoError`. The command line prints its message and exits with code 2; anything else
that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations


class OstinatoError(Exception):
    """Base of all errors that are about the user's input, not about a bug in the library."""

    exit_code = 2


class PatternError(OstinatoError, ValueError):
    """A reuse pattern is nonsense, or cannot apply to the layer it was given for."""


class ConversionError(OstinatoError, ValueError):
    """A model cannot be converted as asked (unknown layer name, wrong kind of layer)."""


class DataError(OstinatoError):
    """A dataset is missing, truncated, corrupt, or not in a layout that we read."""


class CheckpointError(OstinatoError):
    """A checkpoint is missing, corrupt, or belongs to another model."""


class ModelError(OstinatoError, ValueError):
    """An unknown model, or one whose weights cannot be used (NaN, infinity)."""


class UnsupportedError(OstinatoError):
    """The model has an operator or a configuration that firmware cannot express."""


class QuantizationError(OstinatoError):
    """A network cannot be quantised so that its integer arithmetic is provably safe."""


class DoesNotFitError(OstinatoError):
    """A network needs more SRAM or flash than the board has."""


class BoardError(OstinatoError, ValueError):
    """An unknown board."""


class ToolchainError(OstinatoError):
    """No usable compiler, or the compiler refused the generated project."""


class SimulationError(OstinatoError):
    """The simulated core faulted or ran out of time."""
