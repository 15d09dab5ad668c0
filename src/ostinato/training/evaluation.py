"""Accuracy and loss of a model on a split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ostinato.data import Split, to_input
from ostinato.data.progress import track
from ostinato.errors import DataError


@dataclass(frozen=True)
class Evaluation:
    """`top1` in 0 ... 1 and mean cross-entropy `loss` in nats over `n` images."""

    top1: float
    loss: float
    n: int


def evaluate(model: nn.Module, split: Split, batch_size: int = 250, progress: bool = False) -> Evaluation:
    """Top-1 and loss in evaluation mode, float32, without gradients; every module's mode is restored.

    Images go to the device of the model's parameters, a batch at a time.

    With reuse whose clusters span a batch, `batch_size` is the scope: say which one was used (DESIGN's scope
    honesty). Raises DataError for an empty split.
    """
    if len(split) == 0:
        raise DataError("There is nothing to evaluate: the split is empty.")
    device = device_of(model)
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    with evaluating(model), torch.inference_mode():
        for start in track(range(0, len(split), batch_size), "Evaluating", progress):
            labels = split.labels[start : start + batch_size].to(device)
            images = to_input(split.images[start : start + batch_size].to(device))
            logits = model(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
            sums += torch.stack([(logits.argmax(1) == labels).sum().double(), loss.double()])
    correct, total = sums.tolist()  # asked for once: an accelerator would have to be waited for
    return Evaluation(correct / len(split), total / len(split), len(split))


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter is; the CPU if it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Training or evaluation mode inside; afterwards every module has its own again (some may be frozen apart)."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, before in modes:
            module.training = before


def evaluating(model: nn.Module) -> AbstractContextManager[None]:
    """Evaluation mode inside (`in_mode`)."""
    return in_mode(model, False)
