"""The main job from end to end: which methods are compared, in which stages, into which folder."""

from __future__ import annotations

from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.job import run

__all__ = ["RunConfig", "run"]
