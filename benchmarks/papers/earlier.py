"""Tables and figures that other programs under benchmarks/ reproduce, and those that nothing reproduces yet.

What is said of the former is computed from the JSON that those programs wrote, if it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from fragments import percent, spread
from theirs import TREC_TABLE2

from ostinato.models.zoo import entries
from search_times import totals
from similarity import PAPER, WHOLE

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Earlier:
    """A figure with a page of its own: `stem` of its files under docs/results, and as in `Reproduction`."""

    paper: str
    what: str
    title: str
    stem: str
    program: str
    ours: Callable[[Numbers], str]
    theirs: str
    difference: Callable[[Numbers], str]


@dataclass(frozen=True)
class Missing:
    """What cannot be shown yet, and why."""

    paper: str
    what: str
    title: str
    why: str


def _reuse_rates(n: Numbers) -> str:
    rates = {name: layer["reuse_rate"] for name, layer in n["layers"].items()}
    return "; ".join(
        f"{name} {r[min(20, len(r) - 1)]:.3f} after 20 batches, {r[-1]:.3f} at last" for name, r in rates.items()
    )


def _claims(n: Numbers) -> tuple[int, int]:
    """Comparisons that come out as the paper has them, of how many."""
    found = [
        (d > 0) == _as_claimed(claim["claim"], claim["layer"], curves)
        for claim in n["claims"] for curves, d in claim["differences"].items() if d is not None
    ]  # fmt: skip
    return sum(found), len(found)


def _as_claimed(claim: str, layer: str, curves: str) -> bool:
    """Whether the paper has the first of two curves above: it says where a claim does not hold."""
    said = PAPER[claim, layer]
    whole_rows_of_an_image = curves == f"L={WHOLE[layer]} image"
    return said != "no" and not (said.endswith("but for whole rows of one image") and whole_rows_of_an_image)


def _widths(n: Numbers, above: int = 12) -> tuple[float, float, float]:
    """Mean gain of dynamic over static σ, points, at H up to 12 and above; norm over static's above."""
    pairs = [(d, s) for d in n["points"] for s in n["points"]
             if d["H"] == s["H"] and d["sigma"] == "dynamic" and s["sigma"] == "static"]  # fmt: skip
    low, high = ([100 * (d["top1"] - s["top1"]) for d, s in pairs if (d["H"] > above) == up] for up in (False, True))
    return mean(low), mean(high), mean(d["norm"] / s["norm"] for d, s in pairs if d["H"] > above)


def _gains(n: Numbers) -> tuple[float, float]:
    """Mean gain of TREC over Deep Reuse's mean, and over training weights alone, in points."""
    points = [p for p in n["points"] if p["trec"] is not None and p["weights_only"] is not None]
    return (
        100 * mean(p["trec"] - mean(p["deep_reuse"]) for p in points),
        100 * mean(p["trec"] - p["weights_only"] for p in points),
    )


def _by_batch(n: Numbers) -> str:
    return "; ".join(
        f"{name} {mean(layer['points'][0]['r_t']):.3f} at batch {layer['points'][0]['batch']}, "
        f"{mean(layer['points'][-1]['r_t']):.3f} at {layer['points'][-1]['batch']}"
        for name, layer in n["layers"].items()
    )


def _rising(n: Numbers) -> bool:
    ratios = [[mean(point["r_t"]) for point in layer["points"]] for layer in n["layers"].values()]
    return all(r == sorted(r) for r in ratios)


def _search(n: Numbers) -> list[str]:
    """By board: the front's fastest network and the conventional one."""
    told = []
    for board, found in n["boards"].items():
        front = min(found["search"]["front"], key=lambda one: one["ms"])
        told.append(
            f"{board}: {len(found['search']['front'])} networks on the front, the fastest {front['ms']:.1f} ms, "
            f"{percent(front['valid_top1'])} %"
        )
    return told


def _search_time(n: Numbers) -> str:
    ours, everything = (sum(totals(n, "processor")[which].values()) / 3600 for which in ("search", "all"))
    return f"{ours:.1f} h instead of {everything:.0f} h"


def _chosen(n: Numbers, key: str) -> float:
    """Top-1 of the pattern with the lowest `key`, mean of the runs."""
    return mean(min(run["rows"], key=lambda row: row[key])["valid_top1"] for run in n["runs"])


def _best(n: Numbers) -> float:
    return mean(max(row["valid_top1"] for row in run["rows"]) for run in n["runs"])


def _hand_set(n: Numbers) -> str:
    told = []
    for board, found in n["boards"].items():
        front = found["search"]["front"]
        beaten = sum(
            any(one["ms"] <= hand["ms"] and one["valid_top1"] >= hand["valid_top1"] for one in front)
            for hand in found["hand_set"]
        )
        told.append(f"{beaten} of {len(found['hand_set'])} on {board}")
    return ", ".join(told)


def _recipe(n: Numbers) -> str:
    last, dense = _ends(n)
    return (
        f"int8 {spread([r['int8_test_top1'] for r in last])} % at {last[0]['ms']:.1f} ms; conventional, fine-tuned as "
        f"long, {spread([r['int8_test_top1'] for r in dense])} % at {dense[0]['ms']:.1f} ms on the best dense kernel"
    )


def _ends(n: Numbers) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The runs of the last trained row, and of the conventional one."""
    trained = {name: runs for name, runs in n.items() if "int8_test_top1" in runs[0]}
    return list(trained.values())[-1], trained["conventional"]


def _against(n: Numbers, model: str) -> str:
    last, dense = _ends(n)
    before_top1, after_top1 = (mean(r["int8_test_top1"] for r in runs) for runs in (dense, last))
    loss = 100 * (before_top1 - after_top1)
    (_, before, top1), _, (_, after, reused) = TREC_TABLE2[model]
    change = f"lose {loss:.1f}" if loss > 0 else f"gain {-loss:.1f}"
    return (
        f"Trained, whole test set, seeds: {len(last)}. We {change} points at "
        f"{dense[0]['ms'] / last[0]['ms']:.1f} times under the best dense kernel, the paper "
        f"{float(top1) - float(reused):.1f} at {before / after:.1f} times under CMSIS-NN; ours is one image's compiled "
        "scope, and pays with flash."
    )


def _trained(model: str) -> Earlier:
    _, _, (_, ms, top1) = TREC_TABLE2[model]
    return Earlier(
        "TREC", f"Table 2, {model}", "ours, trained", f"compile-tables-{model}-cifar10", "compile_tables", _recipe,
        f"{top1} % at {ms:.0f} ms", lambda n: _against(n, model),
    )  # fmt: skip


def _rival(model: str) -> Earlier:
    return Earlier(
        "TREC", f"Table 2, {model}", "the honest rival, the same network made narrower", f"rivals-{model}-cifar10",
        "rivals", _by_rivals, "(not compared)", lambda n: str(n["verdict"]),
    )  # fmt: skip


def _narrow(network: str, model: str) -> Earlier:
    _, _, (_, ms, top1) = TREC_TABLE2[model]
    return Earlier(
        "TREC", f"Table 2, {model}", "ours, made narrower, then compiled", f"narrow-tables-{network}",
        "narrow_tables", _by_narrow, f"{top1} % at {ms:.0f} ms", lambda n:
        f"One image's compiled scope on a network of fewer channels, one seed; the whole one has "
        f"{100 * n['rows'][0]['int8_test_top1']:.1f} % at {n['rows'][0]['ms']:.1f} ms on the best dense kernel, and is "
        f"{n['cmsis_cycles'] / n['rows'][-1]['cycles']:.1f} times slower than ours on CMSIS style.",
    )  # fmt: skip


def _by_narrow(n: Numbers) -> str:
    return "; ".join(f"{r['row']}: {100 * r['int8_test_top1']:.1f} % at {r['ms']:.1f} ms" for r in n["rows"][1:])


def _by_rivals(n: Numbers) -> str:
    return "; ".join(f"{r['row']}: {100 * r['int8_test_top1']:.1f} % at {r['ms']:.1f} ms" for r in n["rows"])


EARLIER = (
    _trained("cifarnet"),
    _rival("cifarnet"),
    _trained("squeezenet"),
    _rival("squeezenet"),
    _narrow("squeezenet-cifar10", "squeezenet"),
    _narrow("squeezenet-narrower-cifar10", "squeezenet"),
    _narrow("squeezenet-complex-cifar10", "squeezenet-complex"),
    _narrow("squeezenet-complex-narrower-cifar10", "squeezenet-complex"),
    _narrow("zfnet-cifar10", "zfnet"),
    Earlier(
        "TREC", "Fig. 5", "dynamic and static σ", "gaussian-width-cifar10", "gaussian_width", lambda n:
        f"dynamic above static σ by {_widths(n)[0]:+.1f} points at H ≤ 12, {_widths(n)[1]:+.1f} above",
        "accuracy of the fixed σ drops sharply after H = 12", lambda n:
        f"Epochs here: {n['epochs']}, of {n['training_images']:,} images, too few to show how a long training ends; "
        "the paper's has 100.",
    ),
    Earlier(
        "TREC", "Fig. 6", "accuracy by L and H", "hash-parameters-cifar10", "hash_parameters", lambda n:
        f"TREC {_gains(n)[0]:+.1f} points over Deep Reuse, {_gains(n)[1]:+.1f} over the same training of weights alone",
        "TREC above Deep Reuse; rises with H, falls with L", lambda n:
        "Most of what training gains over random hashes, the weights gain alone (a control that the paper lacks)."
        if _gains(n)[1] < _gains(n)[0] / 2 else "Learned hashes gain more than the weights alone.",
    ),
    Earlier(
        "TREC", "Fig. 8", "r_t by batch size", "batch-size-cifar10", "batch_size", _by_batch,
        "r_t rises with the batch size", lambda n:
        f"It {'rises' if _rising(n) else 'does not always rise'} with the batch here; batch 1 is a device's.",
    ),
    Earlier(
        "GR", "Fig. 9, 10", "end-to-end fronts on both boards", "search-cifar10", "search_figures", lambda n:
        "; ".join(_search(n)), "more accurate at the latency of the state of the art, or faster", lambda n:
        f"The front beats the hand-set pattern in both axes for {_hand_set(n)}; CifarNet alone, calibrated only.",
    ),
    Earlier(
        "GR", "Table 1, Fig. 11 to 13", "single layers; order and direction", "search-cifar10", "search_figures",
        lambda n: f"{sum(len(b['rows']) for b in n['boards'].values())} patterns measured",
        "1.11 (CifarNet) to 2.84 (ZfNet) times faster than TREC's patterns",
        lambda n: "Layer by layer on its page; CifarNet only, and calibrated, not trained.",
    ),
    Earlier(
        "GR", "Fig. 14", "choice by the analytic model", "search-top-k-cifar10", "search_top_k",
        lambda n: f"first choice by the paper's bound {percent(_chosen(n, 'published'))} %, by the measured error "
        f"{percent(_chosen(n, 'error'))} %, the best there is {percent(_best(n))} %",
        "needs fewer trials than r_t or chance", lambda n:
        f"Lowest r_t first: {percent(_chosen(n, 'r_t'))} %; {len(n['runs'][0]['rows'])} patterns of conv2, held-out "
        f"images, fine-tuning epochs: {n['fine_tune_epochs']}.",
    ),
    Earlier(
        "GR", "Table 2", "time of the search", "search-times-squeezenet-cifar10", "search_times", _search_time,
        "about 12 h instead of over 60 h", lambda n:
        f"{n['patterns']} patterns of {n['model']}; hours of one processor, those of fine-tuning scaled from "
        f"{len(n['train'])} measured epochs.",
    ),
    Earlier(
        "DR", "Fig. 5", "cluster reuse by batch", "cluster-reuse-cifar10", "cluster_reuse", _reuse_rates,
        "about 0.98 after 20 batches", lambda n:
        f"Ours has batches of {n['batch']} images; the paper does not print its own.",
    ),
    Earlier(
        "DR", "Fig. 6", "scope, granularity, similarity", "similarity-cifar10", "similarity", lambda n:
        "{} of {} comparisons as the paper has them".format(*_claims(n)),
        "larger scope, smaller vectors and angular similarity are better", lambda n:
        f"Ours are mean differences at equal r_c, with k-means on {n['images']} images; small ones may be chance.",
    ),
)  # fmt: skip

_UNTRAINED = [name for name in TREC_TABLE2 if not any(n.startswith(f"{name}-") for n in entries())]
"""Networks of TREC's tables of which no trained one comes along."""

MISSING = tuple(
    Missing("TREC", f"{what}: {name}", title, "the network is there, but no trained weights come along")
    for name in _UNTRAINED for what, title in (("Table 2", "whole networks"), ("Table 3", "single layers"))
)  # fmt: skip
"""DR Table III's VGG-19 has a recipe and no weights: `dr_table3.py --networks vgg19-cifar10` trains it first."""
