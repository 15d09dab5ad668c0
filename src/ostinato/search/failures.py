"""What a candidate can fail of, and what is the machine's fault and ends the search instead."""

from __future__ import annotations

import errno

from ostinato.errors import OstinatoError
from ostinato.search.settings import SearchError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def disk_is_full(error: BaseException) -> bool:
    """Whether that is what an error, of ours or of a compiler, says."""
    return (isinstance(error, OSError) and error.errno in _FULL) or "No space left on device" in str(error)


def reason(error: Exception) -> str:
    """Why a candidate failed, for its record.

    Raises:
        SearchError: the candidate is not to blame: the disk or the memory is full. It is tried again when the search
            goes on.
    """
    if disk_is_full(error):
        raise SearchError("the disk is full; finished work is kept: make room, and the same command goes on") from None
    if isinstance(error, MemoryError):
        raise SearchError("not enough memory; use fewer workers or images, and the same command goes on") from None
    return str(error) if isinstance(error, OstinatoError) else f"{type(error).__name__}: {error}"
