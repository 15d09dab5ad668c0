"""Sums over the processes of a distributed training, as SyncBatchNorm forms them."""

from __future__ import annotations

from torch import Tensor, distributed


def several_processes() -> bool:
    """Whether this is one of several processes of `torch.distributed`."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def sum_over_processes(values: Tensor) -> Tensor:
    """`values`, overwritten with their sums over all processes, which must all call this."""
    distributed.all_reduce(values)
    return values
