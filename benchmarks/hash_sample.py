"""How many vectors the hash gradient needs: that of a sample against that of all vectors.

    python benchmarks/hash_sample.py cifarnet-cifar10 [more networks] --data-dir DIR [--batches 6] [--batch 64]

Reuses one layer of a trained network at a time, calibrated on 500 training images, and computes dLoss/dhash
vectors on batches of training images, from all vectors and from samples of several sizes (flip estimator). A sample's
cosine with the gradient of all vectors of the same batch says what the sample costs; the cosine of two batches' full
gradients says how noisy a step is anyway. Then it lets nothing but random hashes of the first network's first layer
learn for some steps, with each sample size. Writes docs/results/hash-sample-<data>.md.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato import data
from ostinato.data import ImageDataset, Split, to_input
from ostinato.files import write_atomically
from ostinato.models.zoo import checkpoint_path
from ostinato.nn import ReuseConv2d, calibrate, convert
from ostinato.pipeline.networks import calibration_images, load_network
from ostinato.reuse import Pattern
from provenance import RESULTS, provenance

LAYERS = {
    "cifarnet": ("conv2",),
    "squeezenet": tuple(f"fire{n}.expand3x3" for n in (2, 5, 9)),
}
PATTERNS = {
    "image, slice": Pattern(16, 4, init="itq"),
    "compiled, slice": Pattern(8, 6, scope="compiled", init="itq"),
    "compiled, block": Pattern(8, 6, scope="compiled", sharing="block", init="itq"),
}
ROWS = (50_000, 8_192, 4_096, 2_048, 1_024)
SHARES = (1 / 4, 1 / 8, 1 / 16, 1 / 32)
LEARNING = ("image, slice", "compiled, block")
SETTINGS = (
    *((rows, share, slope) for rows, share in ((50_000, 1.0), (50_000, 1 / 16), (8_192, 1.0)) for slope in (20.0, 5.0)),
    (8_192, 1.0, 2.0),
    (50_000, 1.0, None),
    (8_192, 1.0, None),
)
"""`gradient_rows`, `gradient_share`, and the slope of the flip estimator's kernel; None: straight-through."""
LEARNING_RATE = 0.01
SEEDS = (0, 1, 2)


def hash_gradient(network: nn.Module, layer: ReuseConv2d, images: Tensor, labels: Tensor, pattern: Pattern) -> Tensor:
    """dLoss/dhash vectors, flat, in float64; the network's statistics stay as they are."""
    layer.pattern = pattern
    layer.train()
    kept = {name: value.clone() for name, value in layer.named_buffers()}
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(images), labels), layer.hash_vectors)
    for name, value in layer.named_buffers():
        value.copy_(kept[name])
    return gradient.double().flatten()


def cosine(a: Tensor, b: Tensor) -> float:
    return float(F.cosine_similarity(a, b, dim=0))


def measure(network: nn.Module, layer: ReuseConv2d, batches: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Mean cosines by sample, and between batches."""
    pattern, full = layer.pattern, replace(layer.pattern, gradient_rows=1 << 40, gradient_share=1.0)
    exact = [hash_gradient(network, layer, *batch, full) for batch in batches]
    found = {"two batches": mean(cosine(a, b) for i, a in enumerate(exact) for b in exact[:i])}
    samples = {f"{rows:,} rows": replace(full, gradient_rows=rows) for rows in ROWS}
    samples |= {f"1/{round(1 / share)} of all": replace(full, gradient_share=share) for share in SHARES}
    samples["default"] = replace(full, gradient_rows=pattern.gradient_rows, gradient_share=pattern.gradient_share)
    for name, few in samples.items():
        drawn = [
            cosine(hash_gradient(network, layer, *batch, replace(few, seed=seed)), reference)
            for seed, (batch, reference) in enumerate(zip(batches, exact, strict=True))
        ]
        found[name] = mean(drawn)
    return found


def evaluated(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Mean cross entropy and top-1."""
    losses, hits = [], []
    with torch.no_grad():
        for images, labels in batches:
            logits = network.eval()(images)
            losses.append(float(F.cross_entropy(logits, labels)))
            hits.append(float((logits.argmax(1) == labels).float().mean()))
    return mean(losses), mean(hits)


def learn(network: nn.Module, layer: ReuseConv2d, batches: list[tuple[Tensor, Tensor]]) -> None:
    """One step of Adam for the hash alone on each batch; all else stays."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    hashes = [layer.hash_vectors.requires_grad_(), layer.thresholds.requires_grad_()]
    optimiser = torch.optim.Adam(hashes, lr=LEARNING_RATE)
    network.eval()
    layer.train()
    for images, labels in batches:
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()


def learning(conventional: nn.Module, name: str, dataset: ImageDataset, options: argparse.Namespace) -> str:
    """Table of the validation loss and top-1 before and after, by pattern and sample size."""
    head = "| scope, sharing | gradient | rows, at most | share, at most | loss | top-1 | loss, range |"
    lines = [head, "|---|---|" + 5 * "---:|"]
    valid = batched(dataset.valid.subset(1024, 0), 128)
    for title in LEARNING:
        for rows, share, slope in ((0, 1.0, 20.0), *SETTINGS):
            results = []
            for seed in SEEDS:
                drawn: dict[str, Any] = {"gradient_share": share, "gradient_rows": max(1, rows)}
                drawn |= {"gradient": "straight-through"} if slope is None else {"flip_slope": slope}
                pattern = replace(PATTERNS[title], init="median", seed=seed, **drawn)
                network = convert(conventional, {name: pattern})
                calibrate(network, calibration_images(dataset, 500, seed), refit=False)
                layer = network.get_submodule(name)
                assert isinstance(layer, ReuseConv2d)
                if rows:
                    images = dataset.train.subset(options.steps * options.batch, seed)
                    learn(network, layer, batched(images, options.batch))
                results.append(evaluated(network, valid))
            losses, hits = zip(*results, strict=True)
            way = "straight-through" if slope is None else f"flip, slope {slope:g}"
            drawn_of = f"{way} | {rows:,} | 1/{round(1 / share)}" if rows else "not trained | | "
            spread = f"{min(losses):.3f}–{max(losses):.3f}"
            lines.append(f"| {title} | {drawn_of} | {mean(losses):.3f} | {100 * mean(hits):.1f} | {spread} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def batched(split: Split, size: int) -> list[tuple[Tensor, Tensor]]:
    inputs, labels = to_input(split.images), torch.as_tensor(split.labels)
    return list(zip(inputs.split(size), labels.split(size), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="trained conventional networks: folders, files or the package's")
    parser.add_argument("--data-dir")
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100, help="of learning nothing but the hash")
    options = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    for path in options.networks:
        conventional, meta = load_network(checkpoint_path(path))
        dataset = data.load(meta["dataset"], data_dir=options.data_dir, seed=int(meta["seed"]))
        calibration = calibration_images(dataset, 500, 0)
        batches = batched(dataset.train.subset(options.batches * options.batch, 1), options.batch)
        if not columns:
            learned = learning(conventional, LAYERS[meta["model"]][0], dataset, options)
        for name in LAYERS[meta["model"]]:
            for title, pattern in PATTERNS.items():
                network = convert(conventional, {name: pattern})
                calibrate(network, calibration)
                layer = network.eval().get_submodule(name)
                assert isinstance(layer, ReuseConv2d)
                columns[f"{meta['model']} {name}, {title}"] = found = measure(network, layer, batches)
                print(name, title, {key: round(value, 3) for key, value in found.items()}, flush=True)
    samples = list(next(iter(columns.values())))
    table = [f"| layer, scope, sharing | {' | '.join(samples)} |", "|---|" + "---:|" * len(samples)]
    table += [f"| {name} | {' | '.join(f'{found[s]:.3f}' for s in samples)} |" for name, found in columns.items()]
    command = " ".join(Path(path).name for path in options.networks)
    command = f"python benchmarks/hash_sample.py {command} --data-dir DIR"
    lines = "\n".join(table)
    few = f"{Pattern(1, 1).gradient_rows:,} rows and 1/{round(1 / Pattern(1, 1).gradient_share)} of all vectors"
    numbers = f"--batches {options.batches} --batch {options.batch} --steps {options.steps}"
    text = f"""# How many vectors the hash gradient needs

Cosine of the flip estimator's dLoss/dhash vectors from a sample with that from all vectors, mean of {options.batches}
batches of {options.batch} training images; the first column is that of two batches' gradients from all vectors, the
noise that any step has. One layer of a trained network reused at a time, calibrated on 500 images: image scope with
L=16, H=4, compiled scope with L=8, H=6, hashes by ITQ. The default draws at most {few}.

{lines}

## Learning nothing but the hash

The first layer of the table; random hashes with thresholds at the median, weights and all else as they are,
{options.steps} steps of Adam (rate {LEARNING_RATE:g}) on batches of {options.batch}. Cross entropy and top-1 on 1,024
validation images, mean of {len(SEEDS)} seeds.

{learned}

{provenance(f"{command} {numbers}", "0 for calibration and 1 for images; " + ", ".join(map(str, SEEDS)))}"""
    path = RESULTS / f"hash-sample-{meta['dataset']}.md"
    write_atomically(path, text.encode())
    print(path)


if __name__ == "__main__":
    main()
