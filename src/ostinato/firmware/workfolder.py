"""A temporary folder that lives as long as the object that holds it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class WorkFolder:
    """`path` exists until `remove` is called, this object is collected, or the process ends.

    Unlike `tempfile.TemporaryDirectory` it may go without a warning: a result nobody needs any more is no mistake.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ostinato-"))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove it now; a second call does nothing."""
        self._finalizer()
