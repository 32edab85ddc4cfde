"""Checkpoints: DuckDB's log goes into its file on a thread of its own, between two loads.

The engine checkpoints by itself when a commit finds the log over `checkpoint_threshold`, and that load then waits for it:
0.7 s at 64 MB. From another thread half of that goes by without a load to wait for it (DuckDB 2.0.0: 0.37 s at worst), and small
logs are written in less. A checkpoint cannot begin while a load is under way, so a loader that never pauses comes to the
engine's own threshold.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb

from lurewire.core.log import get_logger
from lurewire.workspace.engine import NotOpen

if TYPE_CHECKING:
    from lurewire.workspace.engine import Engine

_log = get_logger("workspace.checkpoints")

_EARLY_BYTES = 24 << 20
_GAP_SECONDS = 0.002  # between two looks for a moment without a write
_RETRY_SECONDS = 5.0
_ROOM = 2  # times the log must be free: an engine that meets the end of the disk in a checkpoint must be opened again


class Checkpoints:
    """Empties the engine's log once it holds 24 MB, or when it is told to."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wanted = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._crowded = False

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a checkpoint that has begun is finished."""
        self._stop.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def consider(self, least: int = _EARLY_BYTES) -> None:
        """Begin soon, if the log holds `least` bytes; returns at once."""
        if self._wanted.is_set():
            return
        size = self._engine.log_bytes()
        if size < least:
            return
        if self._engine.free_bytes() < _ROOM * size:
            if not self._crowded:
                _log.warning("no room for a checkpoint: the engine's log grows", log_bytes=size)
            self._crowded = True
            return
        self._crowded = False
        self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            if self._stop.is_set():
                return
            try:
                self._checkpoint()
            except (duckdb.Error, NotOpen) as error:  # a full disk, or the loader opens the engine again
                _log.warning("the checkpoint failed; it is tried again", error=str(error))
                self._engine.examine(error)
                self._stop.wait(_RETRY_SECONDS)
            self._wanted.clear()
            if self._stop.is_set():
                return

    def _checkpoint(self) -> None:
        cursor = self._engine.cursor()
        try:
            while not self._stop.wait(_GAP_SECONDS):
                try:
                    cursor.execute("checkpoint")
                except duckdb.TransactionException:  # a load is under way
                    continue
                return
        finally:
            cursor.close()
