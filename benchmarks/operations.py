"""Steps of training on an accelerator: how many each layer takes, and how many of them the processor waits for.

    python benchmarks/operations.py [--batch 64]

A layer of a CIFAR network is so small that an accelerator spends more time on being told what to do than on doing it:
what a step costs there is how many operations it has, and that none asks for a number before the next can be told.
Both are seen on a CPU, in the forms that accelerators take (`ostinato.reuse.accelerator`). An operation is one that
computes or copies, in PyTorch's own terms; views and allocations do not count. Forward and backward, on the inputs that
`training.py` takes. Writes docs/results/training-operations.md and .json.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ostinato import data
from ostinato.data import to_input
from ostinato.files import write_atomically
from ostinato.nn import ReuseConv2d
from ostinato.reuse.accelerator import as_on_accelerator
from provenance import COMMIT, RESULTS, machine, provenance
from training import configurations, layers, step

LAYERS = {"cifarnet": ("conv1", "conv2"), "squeezenet": ("fire2.expand3x3", "fire4.expand3x3", "fire9.expand3x3")}
FREE = {
    "view", "_unsafe_view", "t", "transpose", "permute", "unsqueeze", "squeeze", "expand", "slice", "select", "detach",
    "alias", "unbind", "split", "split_with_sizes", "as_strided", "_reshape_alias", "unfold", "lift_fresh", "empty",
    "empty_like", "empty_strided", "new_empty", "new_empty_strided",
}  # fmt: skip
ASKED = {"_local_scalar_dense", "nonzero", "bincount", "_unique2", "unique_dim", "equal", "is_nonzero"}


class Operations(TorchDispatchMode):
    """Counts what is done under it, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in FREE:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def count(layer: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """Operations of a step, and those of them that are waited for."""
    with as_on_accelerator():
        gradient = torch.empty_like(layer(x)).normal_()
        with Operations() as seen:
            step(layer, x, gradient)
    return seen.counts.total(), sum(n for name, n in seen.counts.items() if name in ASKED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    images = to_input(data.load("digits").train.images[: options.batch])
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for network, wanted in LAYERS.items():
        for name, (conv, x) in layers(network, images, wanted).items():
            conv.train()
            found[name] = {"nn.Conv2d": count(conv, x)}
            for title, pattern in configurations(conv).items():
                torch.manual_seed(0)
                layer = ReuseConv2d.from_conv(conv, pattern)
                if pattern.clustering == "tree":
                    nn.init.normal_(layer.hash_vectors)
                found[name][title] = count(layer, x)
    command = f"python benchmarks/operations.py --batch {options.batch}"
    write_atomically(RESULTS / "training-operations.md", page(found, command, options.batch).encode())
    record = {"command": command, "commit": COMMIT, "machine": machine(), "operations": found}
    write_atomically(RESULTS / "training-operations.json", json.dumps(record, indent=1).encode())


def page(found: dict[str, dict[str, tuple[int, int]]], command: str, batch: int) -> str:
    titles = dict.fromkeys(title for cells in found.values() for title in cells)
    lines = [f"| configuration | {' | '.join(found)} |", "|---|" + "---:|" * len(found)]
    for title in titles:
        cells = [cells.get(title) for cells in found.values()]
        shown = ("" if c is None else str(c[0]) if not c[1] else f"{c[0]}, waits {c[1]}" for c in cells)
        lines.append(f"| {title} | {' | '.join(shown)} |")
    table = "\n".join(lines)
    return f"""# Training speed on an accelerator: operations of a step

Forward and backward of one layer, {batch} images, in the forms that accelerators take, counted on a CPU: operations
that compute or copy, as PyTorch names them; a few are several kernels (a sort, a convolution's gradients). "Waits" are
those whose result the processor needs before it can go on. Patterns as on the [page of times](training-speed-cuda.md),
which was measured before these forms had become what they are.

{table}

{provenance(command, "0")}"""


if __name__ == "__main__":
    main()
