"""Images in whatever form users have them, as the int8 arrays that firmware reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ostinato.data import Split, to_input
from ostinato.errors import DataError
from ostinato.quant import quantize_input
from ostinato.quant.arithmetic import Int8Array
from ostinato.quant.ops import QTensor

Images = Split | Tensor | npt.NDArray[Any]
"""A split; uint8 images or float model inputs, tensors (N, C, H, W); int8 firmware inputs, an array (N, H, W, C)."""


def to_int8(images: Images, tensor: QTensor) -> Int8Array:
    """Firmware inputs (N, H, W, C), int8 and contiguous; a single image without a batch axis gets one.

    Raises:
        DataError: the images' type or shape does not belong to this network, or a value is not finite.
    """
    if isinstance(images, Split):
        images = images.images
    if isinstance(images, Tensor):
        return _from_tensor(images, tensor)
    array = np.asarray(images)
    if array.dtype != np.int8:
        raise DataError(
            f"An array of firmware inputs must be int8 (N, H, W, C); found {array.dtype}. Pass images as a tensor."
        )
    if array.shape == tensor.shape:
        array = array[None]
    if array.shape[1:] != tensor.shape or len(array) == 0:
        sizes = ", ".join(map(str, tensor.shape))
        raise DataError(f"Firmware inputs must have shape (N, {sizes}); found {tuple(array.shape)}.")
    return np.ascontiguousarray(array)


def _from_tensor(images: Tensor, tensor: QTensor) -> Int8Array:
    if images.ndim == 3:
        images = images[None]
    if images.dtype == torch.uint8:
        images = to_input(images)
    if not images.dtype.is_floating_point:
        raise DataError(f"Images must be uint8 or float; found {images.dtype}.")
    if len(images) == 0:
        raise DataError("There are no images to run.")
    return quantize_input(images, tensor)
