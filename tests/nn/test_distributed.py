"""Two processes train one model: same statistics on both, and what one process makes of both batches."""

import os

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ostinato.nn import convert
from ostinato.reuse import Pattern

PATTERNS = {
    "pixels": Pattern(4, 3, scope="compiled", sharing="block", gradient="trec", slope=5.0),
    "slices": Pattern(5, 3, scope="compiled", gradient="trec", slope=5.0),
    "more ids than vectors": Pattern(4, 10, scope="compiled", gradient="frozen"),
    "flips": Pattern(4, 3, scope="compiled", sharing="block"),
    "soft": Pattern(
        4, 3, scope="compiled", sharing="block", clustering="tree", init="pca", gradient="soft", table="free"
    ),
    "images": Pattern(4, 3, gradient="trec", slope=5.0),
}
EXACT = {name for name in PATTERNS if name != "flips"}  # flips scale by the deviation within a process's batch
STEPS = 3


def network(pattern):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).double()
    return convert(model, {"2": pattern}).train()


def trained(model, module, batches):
    """State and gradients of `module` after some steps of `model`."""
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05)
    for x in batches:
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()
    gradients = {f"gradient of {name}": p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {**module.state_dict(), **gradients}


def batches(part=slice(None)):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(6, 3, 8, 8, generator=generator, dtype=torch.float64)[part] for _ in range(STEPS)]


def process(rank, folder):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    results = {}
    for name, pattern in PATTERNS.items():
        module = network(pattern)
        part = slice(0, 3) if rank == 0 else slice(3, 6)
        results[name] = trained(DistributedDataParallel(module), module, batches(part))
    torch.save(results, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_available(), reason="this PyTorch has no torch.distributed")
def test_two_processes_have_the_statistics_of_one_with_both_batches(tmp_path):
    torch.multiprocessing.spawn(process, args=(tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for name, pattern in PATTERNS.items():
        for key, value in first[name].items():
            torch.testing.assert_close(value, second[name][key], rtol=0, atol=0, msg=f"{name}: {key}")
        if pattern.scope == "compiled":
            assert first[name]["2.centroid_counts"].any()
        if name in EXACT:
            alone = network(pattern)
            for key, value in trained(alone, alone, batches()).items():
                torch.testing.assert_close(first[name][key], value, msg=lambda m, at=(name, key): f"{at}: {m}")
