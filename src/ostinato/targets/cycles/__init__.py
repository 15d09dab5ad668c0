"""Cycle models, one per core."""

from __future__ import annotations

from ostinato.errors import SimulationError
from ostinato.targets.cores import Core
from ostinato.targets.cycles.base import CycleModel
from ostinato.targets.cycles.cortex_m4 import CortexM4Model
from ostinato.targets.cycles.cortex_m7 import CortexM7Model

__all__ = ["CortexM4Model", "CortexM7Model", "CycleModel", "cycle_model_for"]

_MODELS: dict[str, type[CycleModel]] = {"cortex-m4": CortexM4Model, "cortex-m7": CortexM7Model}


def cycle_model_for(core: Core) -> CycleModel:
    """The cycle model of a core.

    Raises:
        SimulationError: there is none for that core.
    """
    model = _MODELS.get(core.name)
    if model is None:
        raise SimulationError(
            f"no cycle model is available for {core.name}, so its time cannot be simulated; "
            f"cores with a model: {', '.join(sorted(_MODELS))}"
        )
    return model()
