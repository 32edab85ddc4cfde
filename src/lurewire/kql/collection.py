"""Python's garbage collector waits while a query is compiled.

A query over all tables makes a million nodes, all of which live until its SQL is written: the collector would go through
them again and again, in half of the time that the compilation takes, and find nothing.
"""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE = threading.Lock()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Within it the collector does not run, if it ran before.

    The first of the compilations that overlap pauses it and lets it run when it ends, so that no row of them keeps it
    waiting longer than one takes.
    """
    if not gc.isenabled() or not _PAUSE.acquire(blocking=False):
        yield
        return
    try:
        gc.disable()
        yield
    finally:
        gc.enable()
        _PAUSE.release()
