"""From ids to clusters and their sums, without a loop over images (DESIGN §5.7).

Sums over clusters are bags of the vectors in the order of their clusters: that order comes from one radix sort, and a
bag adds whole rows, where adding row by row to their clusters (`index_add_`) takes five times as long on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.reuse.accelerator import accelerated
from ostinato.reuse.layout import small_ints


@dataclass(frozen=True)
class Clusters:
    """Which vectors belong together.

    Attributes:
        index: (R,) int64, each vector's cluster.
        keys: (C,) int64, each cluster's flat key (panel << bits | id), ascending.
        sizes: (C,) int64, vectors in each cluster.
    """

    index: Tensor
    keys: Tensor
    sizes: Tensor

    def __len__(self) -> int:
        return len(self.keys)


def flat_keys(ids: Tensor, batch: int, slices: int, bits: int, per_image: bool) -> Tensor:
    """Keys of vectors that may share a cluster only inside their panel.

    Args:
        ids: (B·P·S,) ids of vectors, images outermost, slices innermost.
        batch: B.
        slices: S.
        bits: of an id.
        per_image: whether a panel is one slice of one image (image scope) or one slice of all.

    Returns:
        (B·P·S,) int64 keys panel << bits | id, where panels of one slice are neighbours.
    """
    panel = torch.arange(slices, device=ids.device).view(1, 1, slices)
    if per_image:
        panel = panel * batch + torch.arange(batch, device=ids.device).view(batch, 1, 1)
    return ((panel << bits) | ids.view(batch, -1, slices)).reshape(-1)


def compact(keys: Tensor, key_range: int) -> Clusters:
    """Number the keys that occur, ascending.

    Counting is linear in `key_range` and much faster than sorting, but for a range far beyond the number of keys
    (H near 16) sorting needs less memory.
    """
    if key_range > 4 * keys.numel() + 1024:
        occurring, index, sizes = torch.unique(keys, return_inverse=True, return_counts=True)
        return Clusters(index, occurring, sizes)
    sizes = torch.bincount(keys, minlength=key_range)
    occupied = sizes > 0
    number = torch.cumsum(occupied, 0) - 1
    occurring = occupied.nonzero().squeeze(1)
    return Clusters(number[keys], occurring, sizes[occurring])


def cluster_means(rows: Tensor, clusters: Clusters) -> Tensor:
    """Centroids (C, L) of `rows` (R, L): TREC Eq. 3.5 with the exact Avg matrix."""
    sums = rows.new_zeros(len(clusters), *rows.shape[1:]).index_add_(0, clusters.index, rows)
    return sums / clusters.sizes.to(rows.dtype).unsqueeze(1)


@dataclass(frozen=True)
class Slots:
    """The clusters of the vectors (s, n) of S slices, in slots of which each slice has as many, some of them empty.

    Equal numbers of slots make a slice's products one matrix of a batch. A slot is its key (`keys` is None) if most
    keys occur somewhere; else the keys that occur are numbered, ascending.

    Attributes:
        index: (S, N), each vector's slot.
        sizes: (S·slots of a slice,) integers, vectors in each slot.
        keys: (S·slots of a slice,) integers, the key of each slot, ascending within a slice, −1 in slots at its end
            that have none; None: its number.
        members: (S, N) the n of all vectors of a slice, slot by slot; None if nothing is summed.
        starts: (S·slots,) where the members of each slot begin, counted through all slices; with `members`.
        possible: how many keys all slices can have, if they have `keys` and not far more than vectors; else 0.
    """

    index: Tensor
    sizes: Tensor
    keys: Tensor | None = None
    members: Tensor | None = None
    starts: Tensor | None = None
    possible: int = 0

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def per_slice(self) -> int:
        """Slots of one slice."""
        return len(self.sizes) // len(self.index)

    def ordered(self, order: Tensor | None = None, starts: Tensor | None = None) -> Slots:
        """With `members` and `starts`; `order`, if known, has the positions in `index` in the order of their slots."""
        if self.members is not None:
            return self
        if order is None:
            order = torch.sort(_narrow(self.index, len(self)).reshape(-1), stable=True).indices
        slices, units = self.index.shape
        kind = self.index.dtype
        first = torch.arange(0, slices * units, units, dtype=kind, device=order.device).unsqueeze(1)
        members = order.to(kind).view(slices, units).sub_(first)  # a slice has exactly N vectors
        starts = torch.cumsum(self.sizes, 0) - self.sizes if starts is None else starts
        return replace(self, members=members, starts=starts.to(self.index.dtype))

    def find(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Slot of each of `keys` (A,), and how many vectors it has: 0, with some slot, if it is not there."""
        if self.keys is None:
            return keys, self.sizes.index_select(0, keys)
        if self.possible:
            table = torch.full((self.possible + 1,), -1, dtype=small_ints(len(self)), device=keys.device)
            table[self.keys] = torch.arange(len(self), dtype=table.dtype, device=keys.device)  # −1: in its last place
            slot = table.index_select(0, keys)
            found = slot.clamp_min(0)
            return found, self.sizes.index_select(0, found).masked_fill_(slot < 0, 0)
        there = (self.keys >= 0).nonzero().squeeze(1)
        occurring = self.keys[there].long()
        position = torch.searchsorted(occurring, keys).clamp(max=len(occurring) - 1)
        slot = there[position]
        return slot, torch.where(occurring[position] == keys, self.sizes[slot], torch.zeros_like(slot))

    def sums(
        self, rows: Tensor, base: Tensor | None = None, offset: Tensor | None = None, part: slice | None = None
    ) -> Tensor:
        """(slots, D) sums over each slot of the table `rows` (T, D).

        Args:
            rows: the values.
            base, offset: vector (s, n) is row base[n] + offset[s], s counted from the beginning of `part`; or row n.
            part: slices whose slots are wanted, if not all.
        """
        assert self.members is not None
        assert self.starts is not None
        members, starts = self.members, self.starts
        if part is not None:
            members = members[part]
            first = part.start * self.per_slice
            starts = starts[first : part.stop * self.per_slice] - part.start * members.shape[1]
        if base is not None and offset is not None:
            members = base.index_select(0, members.reshape(-1)).view_as(members) + offset.unsqueeze(1)
        return bag_sums(members.reshape(-1), rows, starts)


def _narrow(numbers: Tensor, limit: int) -> Tensor:
    """`numbers`, 0 ... limit − 1, or int16 in the same order, where those suffice: a radix sort takes a pass a byte."""
    half = 1 << 15
    if limit <= half:
        return numbers.to(torch.int16)
    return (numbers - half).to(torch.int16) if limit <= 2 * half else numbers


def bag_sums(members: Tensor, rows: Tensor, starts: Tensor) -> Tensor:
    """(bags, D) sums of `rows` (T, D) at `members` (n,), where each bag begins at its place in `starts`."""
    return F.embedding_bag(members, rows.detach(), starts.to(members.dtype), mode="sum")


_SPARSE = 4  # times as many possible keys as vectors are sorted rather than counted

_CROWDED = 2  # a slice's slots are its keys where more than a half of them occur


def number_slots(keys: Tensor, per_slice: int, ordered: bool, by_key: bool = False) -> Slots:
    """Slots of vectors with `keys` (S, N), ascending by slice: s·per_slice ≤ key < (s + 1)·per_slice.

    Args:
        keys: integers.
        per_slice: how many keys a slice can have.
        ordered: whether sums over the slots will be wanted.
        by_key: whether a slot must be its key.
    """
    if by_key or per_slice <= _SPARSE * keys.shape[1]:
        slots = _counted(keys, per_slice, by_key)
        return slots.ordered() if ordered else slots
    return _sorted(keys, per_slice)


def _counted(keys: Tensor, per_slice: int, by_key: bool) -> Slots:
    slices = len(keys)
    if by_key and accelerated(keys):
        return _by_key(keys, per_slice)
    sizes = torch.bincount(keys.reshape(-1), minlength=slices * per_slice)
    occurs = (sizes > 0).view(slices, per_slice)
    rank = torch.cumsum(occurs, 1, dtype=torch.int32)
    width = per_slice if by_key else int(rank[:, -1].max())
    if _CROWDED * width > per_slice:
        return Slots(keys, sizes)
    first = torch.arange(-1, slices * width - 1, width, dtype=torch.int32, device=keys.device).unsqueeze(1)
    table = (rank + first).masked_fill_(~occurs, -1).view(-1)
    occurring = occurs.view(-1).nonzero().squeeze(1)
    slot = table.index_select(0, occurring).long()
    known = torch.full((slices * width,), -1, device=keys.device).index_copy_(0, slot, occurring)
    number = torch.zeros_like(known).index_copy_(0, slot, sizes.index_select(0, occurring))
    index = table.index_select(0, keys.reshape(-1)).view_as(keys)
    return Slots(index, number, known, possible=slices * per_slice)


def _by_key(keys: Tensor, per_slice: int) -> Slots:
    """`_counted` with slots that are keys, in steps that need not be waited for."""
    ascending, order = torch.sort(_narrow(keys, len(keys) * per_slice).reshape(-1), stable=True)
    every = torch.arange(len(keys) * per_slice, dtype=keys.dtype, device=keys.device)
    starts = torch.searchsorted(ascending, _narrow(every, len(keys) * per_slice))
    return Slots(keys, starts.diff(append=starts.new_full((1,), keys.numel()))).ordered(order, starts)


def _sorted(keys: Tensor, per_slice: int) -> Slots:
    slices, units = keys.shape
    ascending, order = torch.sort(keys.reshape(-1), stable=True)
    first = torch.ones_like(ascending, dtype=torch.bool)
    first[1:] = ascending[1:] != ascending[:-1]
    position = first.nonzero().squeeze(1)
    occurring = ascending[position].long()
    of_slice = occurring // per_slice
    counts = torch.bincount(of_slice, minlength=slices)
    width = int(counts.max())
    slot = torch.arange(len(occurring), device=keys.device) + (
        torch.arange(slices, device=keys.device) * width - (torch.cumsum(counts, 0) - counts)
    ).index_select(0, of_slice)
    number = slot.index_select(0, torch.cumsum(first, 0) - 1)
    index = torch.empty_like(number).index_copy_(0, order, number).view(slices, units).to(small_ints(slices * units))
    sizes = slot.new_zeros(slices * width)
    sizes[slot] = torch.diff(position, append=position.new_tensor([slices * units]))
    known = torch.full_like(sizes, -1).index_copy_(0, slot, occurring)
    return Slots(index, sizes, known).ordered(order)
