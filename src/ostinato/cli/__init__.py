"""The command line: parses, calls the rooms below, prints."""

from __future__ import annotations
