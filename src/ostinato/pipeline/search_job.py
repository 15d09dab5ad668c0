"""`ostinato search`: the conventional network, trained or given, then the search and its report, in one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from ostinato import data
from ostinato.data import ImageDataset
from ostinato.errors import CheckpointError
from ostinato.pipeline.config import RunConfig
from ostinato.pipeline.networks import (
    CONVENTIONAL,
    MODEL_FILE,
    check_external,
    load_network,
    train_conventional,
)
from ostinato.report import write_search_report
from ostinato.search import SearchError, SearchResult, search
from ostinato.targets.boards import get_board


def search_network(
    config: RunConfig,
    out: Path,
    *,
    network: Path | None = None,
    announce: Callable[[str], None] = lambda text: None,
    progress: bool = True,
    **options: Any,
) -> SearchResult:
    """Search `config.model`, trained in `out`/conventional unless `network` is a folder with a trained one.

    Args:
        config: model, data, board, external flash, seed and how long to train.
        out: folder of the search; one found there goes on.
        network: a trained conventional network; its own model, data set and seed then count.
        announce: told what is being done.
        progress: shown on stderr.
        options: of `ostinato.search.search`.

    Raises:
        OstinatoError: as `search`; or `network` is not a conventional network with a data set.
    """
    get_board(config.board)
    model, dataset = _given(network, config) if network is not None else _trained(config, out, announce, progress)
    result = search(
        model, dataset, config.board, external_flash=config.external_flash, out=out, progress=progress, **options
    )
    try:
        write_search_report(out, result)
    except OSError as error:
        raise SearchError(f"the report cannot be written into {out}: {error.strerror}; the result is kept") from None
    return result


def _given(network: Path, config: RunConfig) -> tuple[nn.Module, ImageDataset]:
    path = network / MODEL_FILE if network.is_dir() else network
    model, meta = load_network(path)
    if meta["patterns"]:
        raise CheckpointError(f"{path} has reuse layers already; a search begins with a conventional network.")
    if "dataset" not in meta or "seed" not in meta:
        raise CheckpointError(f"{path}: its header has no data set and seed, so its validation images are unknown.")
    return model, data.load(meta["dataset"], data_dir=config.data_dir, seed=int(meta["seed"]))


def _trained(
    config: RunConfig, out: Path, announce: Callable[[str], None], progress: bool
) -> tuple[nn.Module, ImageDataset]:
    dataset = data.load(config.data, data_dir=config.data_dir, download=config.download, seed=config.seed)
    check_external(config, dataset)
    config.write(out)
    announce(f"training the conventional {config.model} on {len(dataset.train):,} images")
    return train_conventional(config, dataset, out / CONVENTIONAL, progress=progress), dataset
