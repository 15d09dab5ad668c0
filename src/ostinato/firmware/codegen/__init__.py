"""From a bound and planned graph to the text of a C project."""

from __future__ import annotations
