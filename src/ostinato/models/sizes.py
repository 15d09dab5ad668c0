"""What every network checks before it is built, and how many pixels a layer leaves."""

from __future__ import annotations

from ostinato.errors import ModelError


def check_sizes(name: str, num_classes: int, in_channels: int, image_size: int, smallest: int, why: str) -> None:
    """Raise ModelError for fewer than 2 classes, no channel, or an image under `smallest`; `why` ends that sentence."""
    if num_classes < 2:
        raise ModelError(f"{name}: num_classes={num_classes}; a classifier needs at least 2 classes.")
    if in_channels < 1:
        raise ModelError(f"{name}: in_channels={in_channels}; images have at least 1 channel.")
    if image_size < smallest:
        raise ModelError(f"{name}: image_size={image_size} {why}; the smallest is {smallest}.")


def check_dropout(name: str, dropout: float) -> None:
    """Raise ModelError unless `dropout` is a probability below 1."""
    if not 0.0 <= dropout < 1.0:
        raise ModelError(f"{name}: dropout={dropout}; it is a probability, 0 <= dropout < 1.")


def check_hidden(name: str, hidden: int) -> None:
    """Raise ModelError unless fully connected layers have a unit."""
    if hidden < 1:
        raise ModelError(f"{name}: hidden={hidden}; fully connected layers have at least 1 unit.")


def side_after(side: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Side of the map behind a convolution or pooling that rounds down."""
    return (side + 2 * padding - kernel) // stride + 1
