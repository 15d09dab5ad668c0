"""Time and memory of training with reuse, over the conventional layer's in the same run.

    python benchmarks/training.py [--threads 1] [--rounds 9] [--batch 32] [--only "conv2: compiled.*flip"]
    python benchmarks/training.py --device cuda --batch 256

Forward and backward of every reuse configuration and of `nn.Conv2d`, one after the other in each round, on the inputs
that CifarNet's convolutions and SqueezeNet's 3×3 expands get; the best of the rounds counts. On a CPU with one thread a
time is the processor's (other programs do not count), else the wall clock's. Memory is the peak of what PyTorch has
allocated in one step beyond what was there before, over the bytes of im2col: on a CPU from the profiler's record of
allocations, which leaves out the libraries' own scratch; on a GPU from the allocator. Evaluation is the whole
network in compiled scope over the conventional one. Writes docs/results/training-speed.md and .json; on a GPU
training-speed-cuda. With `--only`, which measures what a regular expression finds in "network layer: configuration",
nothing is written.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from ostinato import data, models
from ostinato.data import to_input
from ostinato.files import write_atomically
from ostinato.nn import ReuseConv2d, convert
from ostinato.reuse import Pattern
from provenance import COMMIT, RESULTS, machine, provenance

CIFARNET = ("conv1", "conv2")
SQUEEZENET = tuple(f"fire{n}.expand3x3" for n in range(2, 10))
GRADIENTS = ("frozen", "flip", "straight-through", "trec")
GOALS = {"time": 2.5, "time on a GPU": 2.0, "memory": 2.0, "evaluation": 1.5}


@dataclass(frozen=True)
class Result:
    """One configuration of one layer on one device; `time` and `memory` are ratios, milliseconds for the record."""

    device: str
    layer: str
    configuration: str
    milliseconds: float
    time: float
    memory: float


def configurations(conv: nn.Conv2d) -> dict[str, Pattern]:
    """By name: scope, sharing and clustering with each gradient."""
    if conv.in_channels < 8:  # a first layer: nothing but colours in a pixel
        sliced = {"image, slice": Pattern(15 if conv.kernel_size[0] == 5 else 9, 4)}
        tree = "image, slice"
    else:
        sliced = {
            "image, slice": Pattern(16, 4),
            "image, block": Pattern(16, 4, sharing="block"),
            "compiled, slice": Pattern(8, 6, scope="compiled"),
            "compiled, block": Pattern(8, 6, scope="compiled", sharing="block"),
        }
        tree = "compiled, block"
    found = {}
    for name, pattern in sliced.items():
        few = GRADIENTS if name in ("image, slice", "compiled, block") else GRADIENTS[:2]
        found |= {f"{name}, {gradient}": replace(pattern, gradient=gradient) for gradient in few}
    found[f"{tree}, tree"] = replace(sliced[tree], clustering="tree", init="pca", gradient="frozen")
    if tree == "compiled, block":
        found[f"{tree}, tree, soft"] = replace(found[f"{tree}, tree"], gradient="soft")
    return found


def layers(name: str, images: Tensor, wanted: tuple[str, ...]) -> dict[str, tuple[nn.Conv2d, Tensor]]:
    """Convolutions of an untrained network, and what they get when it sees `images`; each shape once."""
    torch.manual_seed(0)
    network = models.create(name, num_classes=10, image_size=images.shape[2]).to(images.device).eval()
    inputs: dict[str, Tensor] = {}
    for layer in wanted:
        network.get_submodule(layer).register_forward_pre_hook(
            lambda _m, args, layer=layer: inputs.update({layer: args[0].detach()})
        )
    with torch.no_grad():
        network(images)
    found: dict[str, tuple[nn.Conv2d, Tensor]] = {}
    shapes = set()
    for layer, x in inputs.items():
        conv = network.get_submodule(layer)
        assert isinstance(conv, nn.Conv2d)
        shape = x.shape, conv.weight.shape
        if shape not in shapes:
            found[f"{name} {layer}"] = copy.deepcopy(conv), x
        shapes.add(shape)
    return found


def clock(device: torch.device) -> Callable[[], float]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def step(layer: nn.Module, x: Tensor, gradient: Tensor) -> None:
    layer.zero_grad(set_to_none=True)
    layer(x.detach().requires_grad_()).backward(gradient)


def fastest(runs: dict[str, Callable[[], None]], rounds: int, device: torch.device) -> dict[str, float]:
    """Seconds of each of `runs`, the best of `rounds` in which each has its turn."""
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(rounds + 1):
        for name, run in runs.items():
            now = clock(device)
            start = now()
            run()
            seconds = clock(device)() - start
            best[name] = min(best[name], seconds) if turn else best[name]  # the first round warms up
    return best


def peak_bytes(run: Callable[[], None], device: torch.device) -> int:
    """The most that PyTorch held during `run` beyond what it held before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    held, peak = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def measure_layer(name: str, conv: nn.Conv2d, x: Tensor, rounds: int, wanted: re.Pattern[str]) -> list[Result]:
    """`nn.Conv2d` and the configurations that are `wanted`, if any is."""
    chosen = {title: p for title, p in configurations(conv).items() if wanted.search(f"{name}: {title}")}
    if not chosen:
        return []
    conv.train()
    gradient = torch.randn_like(conv(x))
    modules: dict[str, nn.Module] = {"nn.Conv2d": conv}
    for title, pattern in chosen.items():
        torch.manual_seed(0)  # the same hash whatever else is measured
        layer = ReuseConv2d.from_conv(conv, pattern)
        if pattern.clustering == "tree":  # its planes are fitted; any that cut will do for the time
            nn.init.normal_(layer.hash_vectors)
            nn.init.normal_(layer.thresholds, std=1e-3)
        modules[title] = layer
    runs: dict[str, Callable[[], None]] = {}
    for title, layer in modules.items():
        own = torch.empty_like(layer(x)).copy_(gradient)  # in the memory format of the layer's output
        runs[title] = partial(step, layer, x, own)
    seconds = fastest(runs, rounds, x.device)
    im2col = gradient.numel() // conv.out_channels * conv.weight[0].numel() * x.element_size()
    return [
        Result(x.device.type, name, title, 1e3 * seconds[title], seconds[title] / seconds["nn.Conv2d"],
               peak_bytes(runs[title], x.device) / im2col)
        for title in modules
    ]  # fmt: skip


def measure_evaluation(name: str, wanted: tuple[str, ...], images: Tensor, rounds: int) -> Result:
    """The network with `wanted` layers in compiled scope, in evaluation, over the conventional one."""
    torch.manual_seed(0)
    network = models.create(name, num_classes=10, image_size=images.shape[2]).to(images.device)
    pattern = Pattern(8, 6, scope="compiled", sharing="block", gradient="frozen")
    reuse = convert(network, dict.fromkeys(wanted, pattern)).train()
    with torch.no_grad():
        reuse(images)  # gives it centroids
    pair = {"conventional": network.eval(), "compiled": reuse.eval()}

    def run(model: nn.Module) -> None:
        with torch.no_grad():
            model(images)

    seconds = fastest({title: lambda m=model: run(m) for title, model in pair.items()}, rounds, images.device)
    ratio = seconds["compiled"] / seconds["conventional"]
    return Result(images.device.type, name, ", ".join(wanted), 1e3 * seconds["compiled"], ratio, float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only", type=re.compile, help="what to measure; no page is written")
    options = parser.parse_args()
    wanted = options.only or re.compile("")
    torch.set_num_threads(options.threads)
    images = to_input(data.load("digits").train.images[: options.batch])
    steps, evaluations = [], []
    x = images.to(options.device)
    for name, (conv, inputs) in (layers("cifarnet", x, CIFARNET) | layers("squeezenet", x, SQUEEZENET)).items():
        results = measure_layer(name, conv, inputs, options.rounds, wanted)
        steps += results
        for result in results:
            print(f"{name}: {result.configuration}: {result.time:.2f}, {result.memory:.2f}", flush=True)
    for name, reused in (("cifarnet", CIFARNET[1:]), ("squeezenet", SQUEEZENET)):
        if wanted.search(f"{name}: evaluation"):
            evaluations.append(measure_evaluation(name, reused, x, options.rounds))
            print(f"{name}: evaluation: {evaluations[-1].time:.2f}", flush=True)
    if options.only:
        return
    command = " ".join(f"--{name} {value}" for name, value in vars(options).items() if value)
    command = f"python benchmarks/training.py {command}"
    name = "training-speed" if x.device.type == "cpu" else f"training-speed-{x.device.type}"
    write_atomically(RESULTS / f"{name}.md", page(steps, evaluations, options, command).encode())
    record = {
        "command": command, "commit": COMMIT, "machine": machine(), "goals": GOALS,
        "steps": [asdict(r) for r in steps],
        "evaluation": [{k: v for k, v in asdict(r).items() if k != "memory"} for r in evaluations],
    }  # fmt: skip
    write_atomically(RESULTS / f"{name}.json", json.dumps(record, indent=1).encode())


def page(steps: list[Result], evaluations: list[Result], options: argparse.Namespace, command: str) -> str:
    sections = []
    for device in dict.fromkeys(r.device for r in steps):
        names = list(dict.fromkeys(r.layer for r in steps if r.device == device))
        titles = list(dict.fromkeys(r.configuration for r in steps if r.configuration != "nn.Conv2d"))
        cell = {(r.layer, r.configuration): r for r in steps if r.device == device}
        base = " | ".join(f"{cell[name, 'nn.Conv2d'].milliseconds:.1f} ms" for name in names)
        headings = {"time": "Forward and backward over `nn.Conv2d`'s", "memory": "Peak memory over im2col's"}
        for field, what in headings.items():
            lines = [f"| configuration | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
            if field == "time":
                lines.append(f"| nn.Conv2d | {base} |")
            for title in [*(["nn.Conv2d"] if field == "memory" else []), *titles]:
                values = [cell.get((name, title)) for name in names]
                row = " | ".join("" if v is None else f"{getattr(v, field):.2f}" for v in values)
                lines.append(f"| {title} | {row} |")
            sections.append(f"## {what} ({device})\n\n" + "\n".join(lines))
    lines = ["| network | layers in compiled scope | device | over the conventional network |", "|---|---|---|---:|"]
    lines += [f"| {r.layer} | {r.configuration} | {r.device} | {r.time:.2f} |" for r in evaluations]
    sections.append("## Evaluation\n\n" + "\n".join(lines))
    on_gpu = options.device != "cpu"
    where = f"one {torch.cuda.get_device_name()}" if on_gpu else f"{options.threads} thread(s)"
    goal = GOALS["time on a GPU" if on_gpu else "time"]
    return f"""# Training speed

Batches of {options.batch} images, {where}, best of {options.rounds} interleaved rounds; float32.
Image scope with L=16, H=4 (first layer: L=15), compiled scope with L=8, H=6, order `kh.kw.c`. Goals:
{goal:g}× the time, {GOALS["memory"]:g}× im2col's memory, evaluation in {GOALS["evaluation"]}× the time.
Memory is what PyTorch allocates in a step, gradients and outputs included; that of `nn.Conv2d` stands beside it.
A layer gets its gradient in the memory format of its output (channels last from reuse by slices), as batch
normalisation and ReLU after it pass it on; inputs have channels first.

{(chr(10) * 2).join(sections)}

{provenance(command, "0")}"""


if __name__ == "__main__":
    main()
