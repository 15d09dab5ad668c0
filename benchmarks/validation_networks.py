"""The shapes of networks that others have timed on microcontrollers, as layers of our kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from kernels import random_conv, random_linear
from ostinato.kernels.binding import Binding
from ostinato.kernels.conventional import bind_conv, bind_linear
from ostinato.kernels.joins import bind_add
from ostinato.kernels.pools import bind_avg_pool, bind_max_pool
from ostinato.quant.ops import ConvDims, QAdd, QAvgPool2d, QMaxPool2d, QOp, QTensor

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """One operator: `conv`, `max_pool`, `avg_pool` or `add` with `dims`, or `linear` from `inputs` to `outputs`."""

    kind: str
    dims: ConvDims | None = None
    inputs: int = 0
    outputs: int = 0


def conv(x: Shape, channels: int, kernel: int, stride: int = 1, padding: int = 0) -> Layer:
    """A convolution; a window that reaches past the bottom by its padding is counted, as frameworks do."""
    height, width = ((n + 2 * padding - kernel) // stride + 1 for n in x[:2])
    dims = ConvDims(x, (height, width, channels), (kernel, kernel), (stride, stride), (padding, padding))
    return Layer("conv", dims)


def pool(kind: str, x: Shape, kernel: int, stride: int, padding: int = 0) -> Layer:
    """`max_pool` or `avg_pool`."""
    height, width = ((n + 2 * padding - kernel) // stride + 1 for n in x[:2])
    dims = ConvDims(x, (height, width, x[2]), (kernel, kernel), (stride, stride), (padding, padding))
    return Layer(kind, dims)


def linear(inputs: int, outputs: int) -> Layer:
    """A fully connected layer."""
    return Layer("linear", inputs=inputs, outputs=outputs)


def add(x: Shape) -> Layer:
    """A sum of two tensors."""
    return Layer("add", ConvDims(x, x, (1, 1)))


def shape(layer: Layer) -> Shape:
    """Output of a layer with `dims`."""
    assert layer.dims is not None
    return layer.dims.output


def products(layer: Layer) -> int:
    """Multiplications of a convolution or a fully connected layer; 0 for others."""
    if layer.kind == "linear":
        return layer.inputs * layer.outputs
    dims = layer.dims
    return dims.columns * dims.positions * dims.output[2] if layer.kind == "conv" and dims is not None else 0


def describe(layer: Layer) -> str:
    """`conv 5×5, 32×32×3 → 32×32×32`."""
    dims = layer.dims
    if dims is None:
        return f"{layer.kind} {layer.inputs} → {layer.outputs}"
    sizes = ["×".join(map(str, size)) for size in (dims.kernel, dims.input, dims.output)]
    return f"{layer.kind} {sizes[0]}, {sizes[1]} → {sizes[2]}"


def cifarnet() -> Sequence[Layer]:
    """The TREC artifact's: two 5×5 convolutions without padding, three fully connected layers; 14.7 M products."""
    first = conv((32, 32, 3), 64, 5)
    second = conv((14, 14, 64), 64, 5)
    pools = pool("max_pool", shape(first), 2, 2), pool("max_pool", shape(second), 2, 2)
    return first, pools[0], second, pools[1], linear(1600, 384), linear(384, 192), linear(192, 10)


def caffe_cifar10() -> Sequence[Layer]:
    """Caffe's CIFAR-10 network as CMSIS-NN's paper timed it; 12.3 M products.

    Caffe's pooling windows may reach past the bottom and right edges; ours reach past the top and left instead.
    """
    first = conv((32, 32, 3), 32, 5, padding=2)
    second = conv((16, 16, 32), 32, 5, padding=2)
    third = conv((8, 8, 32), 64, 5, padding=2)
    pools = [pool("max_pool", shape(layer), 3, 2, 1) for layer in (first, second, third)]
    return first, pools[0], second, pools[1], third, pools[2], linear(1024, 10)


FIRES = ((96, 128, 16), (128, 128, 16), (128, 256, 32), (256, 256, 32),
         (256, 384, 48), (384, 384, 48), (384, 512, 64), (512, 512, 64))  # fmt: skip
"""Input, output and squeezed channels of SqueezeNet's Fire modules; a pool follows the third and the seventh."""


def squeezenet(*, complex_bypass: bool = False) -> Sequence[Layer]:
    """For 32×32 images: stem, eight Fire modules, 1×1 to the classes; identity bypass around every second module."""
    stem = conv((32, 32, 3), 96, 3, padding=1)
    layers = [stem, pool("max_pool", shape(stem), 2, 2)]
    size = 16
    for number, (inputs, outputs, squeezed) in enumerate(FIRES):
        x = (size, size, inputs)
        layers += [conv(x, squeezed, 1), *expand((size, size, squeezed), outputs // 2)]
        if complex_bypass and number % 2 == 0:
            layers.append(conv(x, outputs, 1))
        if complex_bypass or number % 2 == 1:
            layers.append(add((size, size, outputs)))
        if number in (2, 6):
            layers.append(pool("max_pool", (size, size, outputs), 2, 2))
            size //= 2
    last = conv((size, size, 512), 10, 1)
    return [*layers, last, pool("avg_pool", shape(last), size, size)]


def expand(x: Shape, channels: int) -> tuple[Layer, Layer]:
    """A Fire module's second half."""
    return conv(x, channels, 1), conv(x, channels, 3, padding=1)


def resnet8() -> Sequence[Layer]:
    """MLPerf Tiny's image classification network for 32×32 images; 12.5 M products."""
    layers = [conv((32, 32, 3), 16, 3, padding=1)]
    x: Shape = (32, 32, 16)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        first = conv(x, channels, 3, stride, 1)
        layers += [first, conv(shape(first), channels, 3, padding=1)]
        if stride > 1:
            layers.append(conv(x, channels, 1, stride))
        x = shape(first)
        layers.append(add(x))
    return [*layers, pool("avg_pool", x, 8, 8), linear(64, 10)]


NETWORKS: dict[str, Callable[[], Sequence[Layer]]] = {
    "CifarNet": cifarnet,
    "SqueezeNet": squeezenet,
    "SqueezeNet, complex bypass": lambda: squeezenet(complex_bypass=True),
    "ResNet-8": resnet8,
    "Caffe's CIFAR-10 network": caffe_cifar10,
}


@cache
def binding_of(layer: Layer, kernel: str) -> tuple[QOp, Binding]:
    """The layer with random weights, on a kernel: `cmsis` or `dense` for convolutions, the only one for others."""
    rng = np.random.default_rng(0)
    if layer.kind == "linear":
        op = random_linear(rng, layer.inputs, layer.outputs)
        return op, bind_linear(op)
    dims = layer.dims
    assert dims is not None
    if layer.kind == "conv":
        convolution = random_conv(rng, dims)
        return convolution, bind_conv(convolution, "cmsis" if kernel == "cmsis" else "dense")
    x, y = (QTensor(name, size, scale=0.05, zero_point=-3) for name, size in (("x", dims.input), ("y", dims.output)))
    if layer.kind == "add":
        total = QAdd(name="add", terms=(x, x), output=y, multipliers=(8192, 8192), offset=8192, fraction_bits=14)
        return total, bind_add(total)
    if layer.kind == "max_pool":
        largest = QMaxPool2d(name="pool", input=x, output=y, dims=dims)
        return largest, bind_max_pool(largest)
    mean = QAvgPool2d(name="pool", input=x, output=y, dims=dims)
    return mean, bind_avg_pool(mean)
