"""The search: GR's workflow, from a pattern space to the front of the whole network.

`ostinato.search` is this package and, called, the function `search` in it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ostinato.search.result import SearchResult, patterns_toml
from ostinato.search.run import search
from ostinato.search.settings import Budgets, SearchError, Settings
from ostinato.search.space import SearchSpace

__all__ = ["Budgets", "SearchError", "SearchResult", "SearchSpace", "Settings", "patterns_toml", "search"]


class _CallableRoom(ModuleType):
    """A room has the name of its function, `ost.search(...)`; Python lets an attribute be only one of the two."""

    def __call__(self, *args: Any, **kwargs: Any) -> SearchResult:
        return search(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
