"""Ostinato: convolutional networks that compute every repeating tile once.

import ostinato as ost

model = ost.models.cifarnet(num_classes=10)
dataset = ost.data.load("digits")
ost.fit(model, dataset, epochs=12)
reuse = ost.compile_tables(model, dataset, {"conv2": ost.Pattern.compiled(8, 4)})
ost.fit(reuse, dataset, epochs=3, lr=0.003, teacher=model)
firmware = ost.deploy(reuse, calibration=dataset, board="stm32f469i")
print(firmware.simulate())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ostinato import data, models, nn, theory
    from ostinato.firmware import Firmware, deploy, plan
    from ostinato.nn import (
        ReuseConv2d,
        calibrate,
        conversion_report,
        convert,
        group_channels,
        measure_reuse,
        revert,
    )
    from ostinato.pipeline import RunConfig, run
    from ostinato.reuse import Pattern, StemPattern
    from ostinato.search.run import search
    from ostinato.training import compile_tables, evaluate, fit, prune_channels

# Imported when first used, so that `ostinato --help` does not wait for PyTorch.
_HOMES = {
    "Firmware": "firmware",
    "Pattern": "reuse",
    "ReuseConv2d": "nn",
    "RunConfig": "pipeline",
    "StemPattern": "reuse",
    "calibrate": "nn",
    "compile_tables": "training",
    "conversion_report": "nn",
    "convert": "nn",
    "deploy": "firmware",
    "evaluate": "training",
    "fit": "training",
    "group_channels": "nn",
    "measure_reuse": "nn",
    "plan": "firmware",
    "prune_channels": "training",
    "revert": "nn",
    "run": "pipeline",
}

__all__ = [
    "Firmware",
    "Pattern",
    "ReuseConv2d",
    "RunConfig",
    "StemPattern",
    "calibrate",
    "compile_tables",
    "conversion_report",
    "convert",
    "data",
    "deploy",
    "evaluate",
    "fit",
    "group_channels",
    "measure_reuse",
    "models",
    "nn",
    "plan",
    "prune_channels",
    "revert",
    "run",
    "search",
    "theory",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"ostinato.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"ostinato.{name}")
    raise AttributeError(f"module 'ostinato' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
