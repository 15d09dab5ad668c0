"""The papers' networks as plain `nn.Module`s, a registry to make them by name, and some of them trained."""

from ostinato.models.alexnet import AlexNet, alexnet
from ostinato.models.cifarnet import CifarNet, cifarnet
from ostinato.models.counting import macs, parameters
from ostinato.models.registry import create, names
from ostinato.models.resnet import ResNet, resnet18, resnet34
from ostinato.models.resnet8 import ResNet8, resnet8
from ostinato.models.squeezenet import SqueezeNet, squeezenet
from ostinato.models.stored import load_network
from ostinato.models.vgg import Vgg, vgg16, vgg19
from ostinato.models.zfnet import ZfNet, zfnet
from ostinato.models.zoo import ZooEntry, pretrained
from ostinato.models.zoo import entries as zoo_entries

__all__ = [
    "AlexNet",
    "CifarNet",
    "ResNet",
    "ResNet8",
    "SqueezeNet",
    "Vgg",
    "ZfNet",
    "ZooEntry",
    "alexnet",
    "cifarnet",
    "create",
    "load_network",
    "macs",
    "names",
    "parameters",
    "pretrained",
    "resnet8",
    "resnet18",
    "resnet34",
    "squeezenet",
    "vgg16",
    "vgg19",
    "zfnet",
    "zoo_entries",
]
