"""Encoded images to one uint8 tensor, with an error that names the image that fails."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ostinato.data.progress import track
from ostinato.errors import DataError


def decode_images(
    encoded: Sequence[bytes], names: Sequence[str], side: int, progress: bool, grey: bool = False
) -> Tensor:
    """Decode PNG or JPEG images to (N, 3, side, side) uint8; with `grey`, grey ones get three equal channels.

    `names[i]` is what an error calls image i. Raises DataError unless every image decodes to side x side RGB.
    """
    pixels = np.empty((len(encoded), side, side, 3), dtype=np.uint8)
    for i, data in enumerate(track(encoded, "Decoding images", progress)):
        pixels[i] = _decode(data, names[i], side, grey)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _decode(data: bytes, name: str, side: int, grey: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if not data:
        raise DataError(f"{name}: the image is empty; get the file again.")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.size != (side, side) or image.mode not in ("RGB", "L" if grey else "RGB"):
                width, height = image.size
                raise DataError(f"{name}: found {width}x{height} {image.mode}, expected {side}x{side} RGB.")
            return np.asarray(image.convert("RGB"))
    # Pillow reports a broken image in all of these ways, depending on where it is broken.
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: not a readable PNG or JPEG image ({error}); get the file again.") from error
