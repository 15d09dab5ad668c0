"""Firmware: a quantised network as a C project for a board, and what it costs and scores there."""

from __future__ import annotations

from ostinato.firmware.deploy import deploy, deploy_graph, plan
from ostinato.firmware.firmware import Firmware
from ostinato.firmware.folder import FolderError
from ostinato.firmware.measured import MeasuredLayer, MeasuredReport, compare_with_board
from ostinato.firmware.preview import LayerPlan, PlanReport
from ostinato.firmware.report import LayerReport, SimulationReport
from ostinato.firmware.verification import Difference, LayerVerification, VerificationReport
from ostinato.firmware.verify import BitMismatchError

__all__ = [
    "BitMismatchError",
    "Difference",
    "Firmware",
    "FolderError",
    "LayerPlan",
    "LayerReport",
    "LayerVerification",
    "MeasuredLayer",
    "MeasuredReport",
    "PlanReport",
    "SimulationReport",
    "VerificationReport",
    "compare_with_board",
    "deploy",
    "deploy_graph",
    "plan",
]
