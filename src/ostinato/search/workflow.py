"""The steps of a search, each a set of tasks whose results the journal keeps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ostinato.search import candidate as candidates
from ostinato.search.context import Context
from ostinato.search.display import Display
from ostinato.search.executors import Executor
from ostinato.search.frontier import Problem, check_budgets, front, predicted
from ostinato.search.generate import Candidates, generate
from ostinato.search.halving import successive_halving
from ostinato.search.interactions import Interactions, Joint, correct
from ostinato.search.journal import Journal
from ostinato.search.knapsack import Option
from ostinato.search.latency import LatencyModel, summary, unseen_layer_errors
from ostinato.search.layer_firmware import KernelProbe
from ostinato.search.profile import Row
from ostinato.search.prune import choose_samples, code_bytes, drop_profiled, fill_latencies, prune, samples
from ostinato.search.ranking import best, on_front, pick
from ostinato.search.result import SearchResult
from ostinato.search.settings import Budgets, SearchError
from ostinato.search.space import SearchSpace
from ostinato.search.tasks import Task

_ROUNDS = 2  # of measuring whole networks; the second with the interactions of the first


class Workflow:
    """One search, from the pattern space to its result."""

    def __init__(
        self, context: Context, journal: Journal, executor: Executor, display: Display, space: SearchSpace,
        budgets: Budgets, layers: Sequence[str],
    ) -> None:  # fmt: skip
        self._context, self._journal, self._executor, self._display = context, journal, executor, display
        self._space, self._budgets = space, budgets
        self._layers = [context.layer(name) for name in layers]
        self._by_name = {layer.name: layer for layer in self._layers}
        self._seconds = {"profile": 0.0, "prune": 0.0, "train": 0.0, "simulate": 0.0}
        self._cpu = dict(self._seconds)
        self._rows: list[Row] = []

    def run(self) -> tuple[SearchResult, list[Row]]:
        """The result, and the rows of all candidates."""
        found = self._generate()
        base = self._do([Task("baseline", "baseline")], "Measuring the conventional network", "simulate")["baseline"]
        if "failed" in base:
            raise SearchError(f"the conventional network cannot be measured: {base['failed']}")
        base = base["result"]
        drops = list(found.drops)
        self._rows = self._profile(found)
        kept, dropped = drop_profiled(self._rows)
        errors = self._latencies(kept, base)
        began = time.perf_counter()
        pruned = prune(kept, base, self._layers, self._context.outside)
        drops += dropped + pruned.drops
        self._mark(pruned.options, dropped)
        problem = Problem.of(pruned.options, base, self._budgets, self._context.board, code_bytes(kept))
        check_budgets(problem, Interactions({}))
        self._seconds["prune"] += time.perf_counter() - began
        entries, interactions = self._networks(problem, base)
        entries = self._full_check(entries)
        result = SearchResult(
            front=tuple(on_front(entries)),
            chosen=pick(entries, self._budgets),
            candidates=found.count,
            seconds=dict(self._seconds),
            about=self._about(base, drops, errors, interactions, entries),
        )
        return result, self._rows

    def _generate(self) -> Candidates:
        self._display.phase("Asking the kernels which patterns they run on", len(self._layers))
        probe = KernelProbe(self._context.board)
        seen: set[str] = set()

        def refusal(layer: Any, pattern: candidates.AnyPattern) -> str | None:
            if layer.name not in seen:
                seen.add(layer.name)
                self._display.advance()
            return probe.refusal(layer, pattern)

        found = generate(self._space, self._layers, self._context.flash_bytes, refusal)
        for line in candidates.summary(found.drops):
            self._display.say(f"dropped: {line}")
        return found

    def _profile(self, found: Candidates) -> list[Row]:
        tasks = [
            Task(f"profile:{name}:{candidates.digest(fields)}", "profile", {"layer": name, "patterns": fields})
            for name, patterns in found.patterns.items()
            if (fields := [candidates.fields_of(pattern) for pattern in patterns])
        ]
        records = self._do(tasks, f"Profiling {found.count} candidates, layer by layer", "profile")
        rows: list[Row] = []
        for task in tasks:
            record = records[task.key]
            if "failed" in record:
                rows += [_failed_row(task, fields, record["failed"]) for fields in task.arguments["patterns"]]
            else:
                rows += [dict(row) for row in record["result"]]
        return rows

    def _latencies(self, rows: list[Row], base: Mapping[str, Any]) -> dict[str, Any]:
        """Simulate some rows, fit the model to them, fill in the others; returns the model's errors."""
        wanted = self._context.settings.simulate
        self._simulate(choose_samples(rows, wanted))
        known = samples(rows, self._by_name)
        model = LatencyModel.fit(known)
        fill_latencies(rows, self._by_name, model, base)
        pruned = prune(rows, base, self._layers, self._context.outside)
        front_keys = {option.key for options in pruned.options.values() for option in options}
        left = [row for row in rows if row["key"] in front_keys and "cycles_simulated" not in row]
        if len(left) <= wanted:
            self._simulate(left)
            known = samples(rows, self._by_name)
            fill_latencies(rows, self._by_name, LatencyModel.fit(known), base)
        return summary(unseen_layer_errors(known))

    def _simulate(self, rows: list[Row]) -> None:
        tasks = {
            row["key"]: Task(f"simulate:{row['key']}", "simulate", {"layer": row["layer"], "pattern": row["pattern"]})
            for row in rows
        }
        records = self._do(list(tasks.values()), "Simulating candidates", "simulate")
        for row in rows:
            record = records[tasks[row["key"]].key]
            measured = {} if "failed" in record else record["result"]
            row["cycles_simulated"], row["code_bytes"] = measured.get("cycles"), measured.get("code_bytes")
            row["cycles_external_simulated"] = measured.get("cycles_external")
            row["staged_bytes"] = measured.get("staged_bytes", 0)

    def _networks(self, problem: Problem, base: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Interactions]:
        """Networks of the front, measured as a whole, round by round; the conventional one is the first entry."""
        settings, interactions = self._context.settings, Interactions({})
        entries: dict[str, dict[str, Any]] = {"": conventional_entry(base)}
        joints: list[Joint] = []
        patterns = {row["key"]: row["pattern"] for row in self._rows}
        for _ in range(_ROUNDS):
            networks = front(problem, interactions, settings.front)
            tasks, aims = [], []
            for network in networks:
                fields = {n: patterns[o.key] for n, o in network.items() if o.key in patterns}
                task = Task(f"network:{candidates.digest(fields)}", "network", {"patterns": fields})
                if fields and task.key not in entries:
                    tasks.append(task)
                    aims.append(network)
            records = self._do(tasks, "Measuring whole networks", "simulate")
            for task, network in zip(tasks, aims, strict=True):
                record = records[task.key]
                if "failed" in record:
                    self._display.say(f"skipped a network: {record['failed']}")
                    continue
                guess = predicted(problem, interactions, network)
                entry = self._entry(task.arguments["patterns"], record["result"], base, guess, 0)
                entries[task.key] = entry
                joints.append(_joint(network, entry))
            interactions = correct(joints)
            self._display.show(on_front(list(entries.values())))
        return list(entries.values()), interactions

    def _full_check(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Fine-tune the promising few, and the conventional network for as long, with which they are compared."""
        settings = self._context.settings
        if not settings.train_epochs:
            return entries
        ordinary, reused = entries[0], [entry for entry in on_front(entries) if entry["patterns"]]
        order = best(reused, self._budgets)[: settings.finalists]

        def train(group: Sequence[Mapping[str, Any]], epochs: int) -> list[Mapping[str, Any] | None]:
            return self._train(group, epochs, ordinary)

        (tuned,) = self._train([ordinary], settings.train_epochs, ordinary)
        if tuned is not None:
            ordinary = {**tuned, "loss_points": 0.0}
        finished = successive_halving(
            [reused[i] for i in order], settings.train_epochs, settings.halving, train,
            lambda group: best(group, self._budgets),
        )  # fmt: skip
        entries = [*entries, dict(ordinary), *(dict(entry) for entry in finished)]
        self._display.show(on_front(entries))
        return entries

    def _train(
        self, group: Sequence[Mapping[str, Any]], epochs: int, ordinary: Mapping[str, Any]
    ) -> list[Mapping[str, Any] | None]:
        tasks = [
            Task(f"train:{candidates.digest(entry['patterns'])}:{epochs}", "train",
                 {"patterns": entry["patterns"], "epochs": epochs})
            for entry in group
        ]  # fmt: skip
        records = self._do(tasks, f"Fine-tuning for {epochs} epochs", "train")
        found: list[Mapping[str, Any] | None] = []
        for task, entry in zip(tasks, group, strict=True):
            record = records[task.key]
            if "failed" in record:
                self._display.say(f"skipped a network: {record['failed']}")
                found.append(None)
                continue
            found.append(self._entry(entry["patterns"], record["result"], ordinary, entry.get("predicted"), epochs))
        return found

    def _entry(
        self, patterns: Mapping[str, Any], measured: Mapping[str, Any], base: Mapping[str, Any],
        guess: Mapping[str, float] | None, epochs: int,
    ) -> dict[str, Any]:  # fmt: skip
        loss = 100 * (base["valid_top1"] - measured["valid_top1"])
        entry = {"patterns": dict(patterns), **measured, "loss_points": loss, "epochs": epochs}
        return entry if guess is None else entry | {"predicted": dict(guess)}

    def _do(self, tasks: Sequence[Task], what: str, phase: str) -> dict[str, dict[str, Any]]:
        """Records of tasks, from the journal where they are there, else done now and kept."""
        records, left = self._journal.records, [task for task in tasks if task.key not in self._journal.records]
        if tasks:
            self._display.phase(what, len(tasks), len(tasks) - len(left))
        for record in self._executor.run(left) if left else ():
            self._journal.add(record)
            self._display.advance()
        for task in tasks:
            self._seconds[phase] += records[task.key]["seconds"]
            self._cpu[phase] += records[task.key]["cpu_seconds"]
        return {task.key: records[task.key] for task in tasks}

    def _mark(self, options: Mapping[str, Sequence[Option]], dropped: Sequence[candidates.Drop]) -> None:
        """Say in every row whether, and why, it went no further."""
        kept = {option.key for found in options.values() for option in found}
        early = {(drop.layer, drop.pattern): drop.reason for drop in dropped}
        for row in self._rows:
            name = str(candidates.read_candidate(row["layer"], row["pattern"]).pattern)
            if row["key"] not in kept:
                row["dropped"] = early.get((row["layer"], name), "is not on its layer's front")

    def _about(
        self, base: Mapping[str, Any], drops: Sequence[candidates.Drop], errors: Mapping[str, Any],
        interactions: Interactions, entries: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:  # fmt: skip
        context = self._context
        return {
            "network": type(context.model).__name__, "data": context.dataset.name, "board": context.board.name,
            "clock_hz": context.board.clock_hz, "settings": dict(context.settings.to_dict()),
            "budgets": asdict(self._budgets), "external_flash": context.outside, "conventional": dict(base),
            "measured": list(entries), "drops": candidates.summary(drops), "latency_errors_on_unseen_layers": errors,
            "interactions": asdict(interactions), "cpu_seconds": dict(self._cpu),
            "notes": [
                "Cycles are modelled; every latency is of one image on the simulated core.",
                "Accuracies are on held-out training images, which also choose the epoch and the network.",
            ],
        }  # fmt: skip


def conventional_entry(base: Mapping[str, Any]) -> dict[str, Any]:
    """The conventional network as a member of the front."""
    return {
        "patterns": {}, "kl": 0.0, "loss_points": 0.0, "epochs": 0,
        **{name: base[name] for name in ("cycles", "ms", "flash_bytes", "external_bytes", "external_wait_cycles",
                                         "sram_bytes", "valid_top1", "valid_loss", "valid_images")},
    }  # fmt: skip


def _joint(network: Mapping[str, Option], entry: Mapping[str, Any]) -> Joint:
    alone = {name: option.loss for name, option in network.items() if option.loss > 0}
    return Joint(alone, entry["kl"], entry["loss_points"])


def _failed_row(task: Task, fields: Mapping[str, Any], reason: str) -> Row:
    layer = task.arguments["layer"]
    return {"layer": layer, "key": candidates.read_candidate(layer, fields).key, "pattern": fields, "failed": reason}
