"""search: GR §4's workflow from end to end, resumable at every task."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from ostinato.data import ImageDataset
from ostinato.firmware.external import Outside, check_outside
from ostinato.quant import quantize
from ostinato.search.context import Context
from ostinato.search.display import Display
from ostinato.search.executors import make_executor
from ostinato.search.identity import identity
from ostinato.search.journal import Journal
from ostinato.search.result import SearchResult
from ostinato.search.settings import Budgets, SearchError, Settings
from ostinato.search.space import SearchSpace
from ostinato.search.workflow import Workflow
from ostinato.targets.boards import Board, get_board


def search(
    model: nn.Module,
    data: ImageDataset,
    board: str | Board = "stm32f469i",
    *,
    space: SearchSpace | Path | str | None = None,
    budgets: Budgets | Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    external_flash: str | Sequence[str] = "never",
    layers: Sequence[str] | None = None,
    out: Path | str | None = None,
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    progress: bool = True,
) -> SearchResult:
    """Find the reuse pattern of every layer: the front of accuracy and latency of the whole network (GR §4).

    All candidates are profiled on a few training images, their latency is modelled or simulated, dominated ones are
    dropped; networks within the budgets come from a multiple-choice knapsack, are measured as a whole, corrected for
    what layers do to each other, and the promising few are fine-tuned by successive halving. Ranking is on validation
    images; the test set is not read.

    A search with `out` can be stopped at any moment; the same call goes on. Budgets may change from call to call, but
    that of flash with `external_flash="auto"`, for it decides what is where.

    Args:
        model: conventional, trained; it is not changed.
        data: what it was trained on.
        board: by name.
        space: of patterns, or its TOML file; the packaged one if None.
        budgets: of the whole network, `Budgets` or its fields.
        settings: how thoroughly to look.
        external_flash: constants in the board's external flash, as `ost.deploy` takes it: `never`, `auto` (what does
            not fit the internal flash, and costs the fewest modelled cycles there), or names of layers.
        layers: only these layers, by qualified name; all if None.
        out: folder of the journal and the result; if None, nothing is kept.
        executor: `local`, `processes` or `ray`.
        workers: of `processes` and `ray`; None: one for each processor.
        address: of the Ray cluster.
        progress: show what is going on, on stderr.

    Raises:
        PatternError: a pattern space that is wrong or has no candidate.
        SearchError: settings, budgets that nothing meets, the folder, or the executor.
        ModelError: a model with nothing to reuse, or that cannot be compared.
        BoardError: an unknown board.
        UnsupportedError: a board without external flash, or a layer that it is asked for and does not exist.
    """
    patterns = SearchSpace.default() if space is None else space
    patterns = patterns if isinstance(patterns, SearchSpace) else SearchSpace.read(patterns)
    limits = budgets if isinstance(budgets, Budgets) else _budgets(budgets or {})
    context = Context.of(model, data, _within(get_board(board), limits, external_flash), settings or Settings())
    context = replace(context, outside=_outside(context, external_flash))
    names = _names(context, layers)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch if out is None else out)
        with Journal(folder, identity(context, patterns, names)) as journal:
            workforce = make_executor(executor, context, workers, address)
            try:
                with Display(progress) as display:
                    workflow = Workflow(context, journal, workforce, display, patterns, limits, names)
                    result, rows = workflow.run()
            finally:
                workforce.close()
        result.write(folder, rows)
    return result


def _within(board: Board, budgets: Budgets, external_flash: str | Sequence[str]) -> Board:
    """The board that decides what has to be in external flash: its internal flash is no larger than the budget."""
    if external_flash != "auto" or budgets.flash_bytes is None:
        return board
    return replace(board, flash_bytes=min(board.flash_bytes, budgets.flash_bytes))


def _outside(context: Context, wanted: str | Sequence[str]) -> Outside:
    """`wanted` as it was checked; names are of the layers that firmware of the conventional network has."""
    if wanted == "never":
        return "never"
    return check_outside(wanted, quantize(context.model, context.calibration[:1]), context.board)


def _budgets(fields: Mapping[str, Any]) -> Budgets:
    known = asdict(Budgets())
    for name in fields:
        if name not in known:
            raise SearchError(f"there is no budget {name!r}; known: {', '.join(known)}")
    return Budgets(**fields)


def _names(context: Context, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Layers to search, in the order in which they run."""
    found = [layer.name for layer in context.layers]
    for name in asked or ():
        if name not in found:
            raise SearchError(f"the model has no layer '{name}' that could be reused; it has {', '.join(found)}")
    return tuple(name for name in found if asked is None or name in asked)
