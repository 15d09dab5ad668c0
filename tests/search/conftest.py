"""One finished search that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_samples import SETTINGS, small_dataset, small_net, small_space

import ostinato as ost


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that was left alone."""
    folder = tmp_path_factory.mktemp("search")
    ost.search(small_net(), small_dataset(), space=small_space(), settings=SETTINGS, out=folder, progress=False)
    return folder
