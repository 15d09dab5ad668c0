"""The papers' networks as plain `nn.Module`s, and a registry to make them by name."""

from ostinato.models.cifarnet import CifarNet, cifarnet
from ostinato.models.registry import create, names

__all__ = ["CifarNet", "cifarnet", "create", "names"]
