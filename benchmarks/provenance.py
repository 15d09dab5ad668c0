"""Where a result comes from, in the words that every page under docs/results ends with."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from ostinato.pipeline.job import commit

COMMIT = commit()
"""Of the code as this program began: a checkout may move on while it runs."""

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"


def machine() -> str:
    """What trained and ran the host code; modelled cycles do not depend on it."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def provenance(command: str, seeds: str) -> str:
    """Markdown lines: command, commit, seeds, machine."""
    return f"* command: `{command}`\n* commit: `{COMMIT}`\n* seeds: {seeds}\n* machine: {machine()}\n"
