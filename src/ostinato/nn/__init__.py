"""How the method meets torch.nn: the layer, conversion and back, calibration, measurement."""

from ostinato.nn.calibrate import calibrate
from ostinato.nn.conv import ReuseConv2d
from ostinato.nn.convert import LayerReport, conversion_report, convert, reuse_layers, revert, stem_layers
from ostinato.nn.grouping import ChannelGrouping, group_channels
from ostinato.nn.linear import ReuseLinear
from ostinato.nn.measure import measure_reuse, reset_caches
from ostinato.nn.stem import TransformStem

__all__ = [
    "ChannelGrouping",
    "LayerReport",
    "ReuseConv2d",
    "ReuseLinear",
    "TransformStem",
    "calibrate",
    "conversion_report",
    "convert",
    "group_channels",
    "measure_reuse",
    "reset_caches",
    "reuse_layers",
    "revert",
    "stem_layers",
]
