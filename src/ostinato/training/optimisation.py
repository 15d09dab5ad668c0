"""Parameter groups, losses and gradient checks of one optimiser step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ostinato.errors import ModelError
from ostinato.nn import ReuseConv2d
from ostinato.training.recipes import Recipe

HASH_PARAMETERS = ("hash_vectors", "thresholds")
"""Last part of the names of the parameters that decide clusters, in any module."""


def is_hash(name: str) -> bool:
    """Whether the parameter of this qualified name belongs to a hash."""
    return name.rpartition(".")[2] in HASH_PARAMETERS


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with groups: decayed weights, undecayed weights, hashes, and offsets of tables' rows by their rate.

    Each group has its `base_lr`. A row of a table is read by one of 2^H pixels, so that the loss is as many times
    flatter along its offsets as along a weight: at `table_lr_power` 1 their rate is 2^H times the weights', and their
    steps have 2^(H/2) times the noise (a sum of 2^H times fewer gradients, scaled by 2^H); at 0.5 the noise is alike.
    Parameters without gradient are left out. Raises ModelError when nothing is left to train.
    """
    decayed, plain, hashes = [], [], []
    offsets: dict[int, list[nn.Parameter]] = {}
    rows = {id(m.table_offsets): m.pattern.ids for m in model.modules() if isinstance(m, ReuseConv2d)}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if is_hash(name):
            hashes.append(parameter)
        elif id(parameter) in rows:
            offsets.setdefault(rows[id(parameter)], []).append(parameter)
        elif recipe.decay_all or parameter.ndim > 1:
            decayed.append(parameter)
        else:
            plain.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay, "lr": recipe.lr, "hashes": False},
        {"params": plain, "weight_decay": 0.0, "lr": recipe.lr, "hashes": False},
        {"params": hashes, "weight_decay": 0.0, "lr": recipe.hash_lr, "hashes": True},
    ]
    for ids, some in sorted(offsets.items()):
        times = ids**recipe.table_lr_power
        groups.append(
            {"params": some, "weight_decay": recipe.weight_decay / times, "lr": recipe.lr * times, "hashes": False}
        )
    used = [{**group, "base_lr": group["lr"]} for group in groups if group["params"]]
    if not used:
        raise ModelError("The model has no parameter that requires a gradient; there is nothing to train.")
    return torch.optim.SGD(used, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def set_learning_rates(optimizer: torch.optim.SGD, factor: float) -> None:
    """Every group's learning rate to `factor` times its own base."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def clip_gradients(model: nn.Module, recipe: Recipe, wait: bool = True) -> Tensor:
    """Scale the weights' gradients to norm `clip_norm` at most, the hashes' to `hash_clip_norm`, each on its own.

    Raises ModelError, naming the parameter, when a gradient is NaN or infinite; without `wait` for an accelerator, call
    `refuse_non_finite` when what this returns, whether all gradients are finite, is known to be false.
    """
    finite = torch.ones((), dtype=torch.bool, device=next(model.parameters()).device)
    for hashes, limit in ((False, recipe.clip_norm), (True, recipe.hash_clip_norm)):
        members = [p for name, p in _with_gradient(model) if is_hash(name) == hashes]
        if not members:
            continue
        norm = nn.utils.get_total_norm([p.grad for p in members if p.grad is not None])
        finite = finite & torch.isfinite(norm)
        if wait and not bool(finite):
            refuse_non_finite(model)
        nn.utils.clip_grads_with_norm_(members, limit, norm)
    return finite


def training_loss(logits: Tensor, labels: Tensor, teacher_logits: Tensor | None, recipe: Recipe) -> Tensor:
    """Cross-entropy; with a teacher, mixed with T² KL(teacher || model) at temperature T (Hinton et al. 2015)."""
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    if teacher_logits is None:
        return loss
    temperature = recipe.temperature
    divergence = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(teacher_logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1.0 - recipe.teacher_share) * loss + recipe.teacher_share * temperature**2 * divergence


def _with_gradient(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad and p.grad is not None)


def refuse_non_finite(model: nn.Module) -> NoReturn:
    """Raise ModelError that names the first parameter whose gradient is NaN or infinite."""
    raise ModelError(_non_finite(model))


def _non_finite(model: nn.Module) -> str:
    for name, parameter in _with_gradient(model):
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return f"The gradient of {name!r} has NaN or infinite values; train with a smaller learning rate" + (
                " for the hashes (hash_lr)." if is_hash(name) else " (lr)."
            )
    return "The gradients' norm overflows; train with a smaller learning rate (lr)."
