"""The command that the user typed, for reports."""

from __future__ import annotations

import shlex
import sys


def command_line() -> str:
    """`ostinato ...` with its arguments quoted for a shell."""
    return shlex.join(["ostinato", *sys.argv[1:]])
