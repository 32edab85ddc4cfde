"""Whose fault it is that a load failed: the machine's, the engine's own, or that of its rows."""

from __future__ import annotations

import errno
import os

import duckdb

from lurewire.workspace.engine import NotOpen

_INTERNAL_FAILURES = 3  # an engine that fails so often on one load fails because of it

_MACHINE_ERRORS = (OSError, MemoryError, NotOpen, duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException)
"""Disk, memory, engine: worth another try. Whatever else a load raises is raised by its rows."""

_DISK_ERRORS = tuple(
    os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS)
)
"""Texts in an error of the engine: it can call itself broken when only its disk is full."""


def is_internal(error: Exception) -> bool:
    """Whether the engine says that it is broken, and not because of the disk."""
    internal = isinstance(error, duckdb.InternalError | duckdb.FatalException)
    return internal and not any(text in str(error) for text in _DISK_ERRORS)


def is_of_data(error: Exception, internal: int) -> bool:
    """Whether another try of the same load is pointless; `internal` of its failures were the engine's own."""
    return internal >= _INTERNAL_FAILURES if is_internal(error) else not isinstance(error, _MACHINE_ERRORS)
