"""Running a quantised network over images with the reference executor (slow and exact; C is for large sets)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ostinato.errors import DataError
from ostinato.quant.arithmetic import INT8_MAX, INT8_MIN, Int8Array
from ostinato.quant.ops import QGraph, QTensor
from ostinato.quant.reference import execute


def quantize_input(images: Tensor, tensor: QTensor) -> Int8Array:
    """Float images (N, C, H, W) as int8 (N, H, W, C): q = clamp(round(x / scale) + zero_point), ties to even.

    Raises:
        DataError: images of another shape than `tensor`, or NaN or infinite ones.
    """
    height, width, channels = tensor.shape
    if images.ndim != 4 or tuple(images.shape[1:]) != (channels, height, width):
        raise DataError(
            f"images have shape {tuple(images.shape)}; the network's input needs (N, {channels}, {height}, {width})"
        )
    real = images.detach().permute(0, 2, 3, 1).double().numpy()
    if not np.isfinite(real).all():
        raise DataError("images have NaN or infinite pixels")
    quantized = np.clip(np.rint(real / tensor.scale) + tensor.zero_point, INT8_MIN, INT8_MAX)
    return np.ascontiguousarray(quantized.astype(np.int8))


def dequantize(values: Int8Array, tensor: QTensor) -> npt.NDArray[np.float64]:
    """Real values of an int8 array: scale · (q − zero_point)."""
    real: npt.NDArray[np.float64] = tensor.scale * (values.astype(np.float64) - tensor.zero_point)
    return real


def outputs(graph: QGraph, images: Tensor) -> Int8Array:
    """Int8 outputs (N, …) of the network, by the reference executor."""
    return np.stack([execute(graph, image)[graph.output.name] for image in quantize_input(images, graph.input)])


def predictions(graph: QGraph, images: Tensor) -> npt.NDArray[np.int64]:
    """The class with the largest output for each image, the first one among equals: (N,)."""
    flat = outputs(graph, images).reshape(len(images), -1)
    classes: npt.NDArray[np.int64] = flat.argmax(axis=1).astype(np.int64)
    return classes


def top1(graph: QGraph, images: Tensor, labels: Tensor) -> float:
    """Share of `images` whose prediction is the label, in [0, 1]."""
    return float((predictions(graph, images) == labels.numpy()).mean())
