"""The papers' networks as plain `nn.Module`s, and a registry to make them by name."""

from ostinato.models.cifarnet import CifarNet, cifarnet
from ostinato.models.registry import create, names
from ostinato.models.resnet import ResNet, resnet18, resnet34
from ostinato.models.squeezenet import SqueezeNet, squeezenet

__all__ = [
    "CifarNet",
    "ResNet",
    "SqueezeNet",
    "cifarnet",
    "create",
    "names",
    "resnet18",
    "resnet34",
    "squeezenet",
]
