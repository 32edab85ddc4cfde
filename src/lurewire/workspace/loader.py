"""The loader: one thread that moves what the journal has into the engine, exactly once.

The number of the last loaded commit is written in the same DuckDB transaction as its rows. An idle loader loads at once;
a busy one waits a little, so that its transactions are large: tiny ones cost twice the CPU per byte (measured: 12 ms/MB
at 1 MB a transaction, 7.5 at 64 MB). Changes of schema run between two loads, on the same thread.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa

from lurewire.core.log import get_logger
from lurewire.kql import ticks_from_datetime
from lurewire.workspace.checkpoints import Checkpoints
from lurewire.workspace.engine import BATCH, NotOpen
from lurewire.workspace.faults import is_internal, is_of_data
from lurewire.workspace.repeats import Key, Span
from lurewire.workspace.storage import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lurewire.core.clock import Clock
    from lurewire.workspace.catalog import Tables
    from lurewire.workspace.engine import Engine
    from lurewire.workspace.streams import Stream

T = TypeVar("T")

_log = get_logger("workspace.loader")

_BULK_BYTES = 128 << 20  # at most in one transaction
_ENOUGH_BYTES = 64 << 20  # waiting for more than this does not pay: a row group and more, which needs no log
_BUSY_BYTES = 16 << 20  # after a load of more there is no moment for a checkpoint
_PAUSE_PER_BYTE = 1 / (10 << 20)  # 100 ms for 1 MB loaded ...
_LONGEST_PAUSE = 0.25  # ... and never more
_BREATH = 0.02  # at most, after a small load: as long as it took
_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_IDLE_CHECKPOINT_BYTES = 8 << 20
_FORGET_EVERY = 3600 * 10_000_000


class _Closed(Exception):
    """The workspace closes; what is not loaded stays in the journal."""


@dataclass(slots=True)
class Load:
    """One journal frame with its decoded rows; `error` says why it could not be decoded."""

    commit: int
    received: int
    kind: int
    header: bytes
    body: bytes
    size: int
    key: Key | None = None
    stream: Stream | None = None
    rows: pa.Table | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Rows of the frames `first_commit` to `last_commit` are in `table`, for every query from now on."""

    table: str
    first_commit: int
    last_commit: int


class Loader:
    """Loads `Load`s in the order in which they are put.

    `on_loaded(events, through, loads)` is called on the loader's thread after each transaction is durable.
    """

    def __init__(
        self,
        engine: Engine,
        tables: Tables,
        clock: Clock,
        on_loaded: Callable[[list[Loaded], int, Sequence[Load]], None],
    ) -> None:
        self._engine = engine
        self._tables = tables
        self._clock = clock
        self._on_loaded = on_loaded
        self._waiting: deque[Load] = deque()
        self._waiting_bytes = 0
        self._jobs: deque[tuple[Callable[[Any], Any], Future[Any]]] = deque()
        self._checkpoints = Checkpoints(engine)
        self._broken = False
        engine.on_broken = self._on_broken
        self._wake = threading.Condition()
        self._stop = False
        self._thread: threading.Thread | None = None
        self._forgot = 0
        self._idle = False

    def start(self, replay: Iterator[Load]) -> None:
        """Start the thread; it loads `replay` before anything that is put."""
        self._checkpoints.start()
        self._thread = threading.Thread(target=self._run, args=(replay,), name="loader", daemon=True)
        self._thread.start()

    def put(self, loads: Sequence[Load]) -> None:
        """Queue loads; returns at once."""
        with self._wake:
            self._waiting.extend(loads)
            self._waiting_bytes += sum(load.size for load in loads)
            self._wake.notify()

    def submit(self, work: Callable[[Any], T]) -> Future[T]:
        """Run `work(cursor)` on the loader's thread, between two loads."""
        future: Future[T] = Future()
        with self._wake:
            if self._stop:
                raise RuntimeError("the workspace is closed")
            self._jobs.append((work, future))
            self._wake.notify()
        return future

    def stop(self) -> None:
        """Load what waits, then end the thread. What cannot be loaded stays in the journal."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._checkpoints.stop()

    def _run(self, replay: Iterator[Load]) -> None:
        try:
            for chunk in _chunks(replay):
                self._load_durably(chunk)
                self._run_jobs()
            pause = 0.0
            while not (self._stop and not self._waiting and not self._jobs):
                loads = self._take(pause)
                if self._broken:
                    self._mend()
                self._run_jobs()
                if self._idle:
                    self._tidy()
                if loads:
                    started = self._clock.monotonic()
                    self._load_durably(loads)
                    size = sum(load.size for load in loads)
                    pause = _pause(size, self._clock.monotonic() - started)
                    if size <= _BUSY_BYTES:  # a busy loader leaves no moment for it
                        self._checkpoints.consider()
        except _Closed:
            _log.warning("the workspace closes before everything is loaded; the journal keeps it")
        except Exception as error:  # noqa: BLE001 - the journal goes on taking until memory says stop; somebody must read this
            _log.error("the loader stopped: what is accepted is loaded at the next start", exc_info=error)
        with self._wake:
            self._stop = True  # whatever ended it: who comes now is told, and does not wait for ever
        for _, future in self._jobs:
            future.cancel()

    def _take(self, pause: float) -> list[Load]:
        """The next loads; empty when there is a job, when it is time to stop, and when nothing came for long."""
        with self._wake:
            if pause > 0:
                self._wake.wait_for(
                    lambda: self._stop or self._jobs or self._waiting_bytes >= _ENOUGH_BYTES, timeout=pause
                )
            self._idle = not self._wake.wait_for(
                lambda: self._waiting or self._jobs or self._stop or self._broken, timeout=_IDLE_SECONDS
            )
            taken: list[Load] = []
            size = 0
            while self._waiting and size < _BULK_BYTES:
                load = self._waiting.popleft()
                size += load.size
                taken.append(load)
            self._waiting_bytes -= size
            return taken

    def _run_jobs(self) -> None:
        while self._jobs:
            work, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                cursor = self._engine.cursor()
                try:
                    future.set_result(work(cursor))
                finally:
                    cursor.close()
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller, who gets it
                future.set_exception(error)

    def _load_durably(self, loads: list[Load]) -> None:
        """Load, whatever it takes: what is wrong with a frame sets it aside, what is wrong with the machine is waited for.

        Raises `_Closed` when the workspace closes while it waits.
        """
        internal = 0
        while True:
            try:
                events = self._load(loads)
            except Exception as error:  # noqa: BLE001 - nothing is lost, the journal has it
                internal += is_internal(error)
                if is_of_data(error, internal) and not loads[0].error:
                    self._divide(loads, error)
                    return
                _log.error("loading failed; it is tried again", error=str(error), frames=len(loads))
                self._wait_to_retry()
                loads = self._recover(loads, error)
                if not loads:
                    return
                continue
            self._on_loaded(events, loads[-1].commit, loads)
            return

    def _divide(self, loads: list[Load], error: Exception) -> None:
        """Find the frames that cannot be loaded: halve until one is alone, and set that aside."""
        if len(loads) > 1:
            middle = len(loads) // 2
            self._load_durably(loads[:middle])
            self._load_durably(loads[middle:])
            return
        loads[0].error = str(error) or type(error).__name__
        loads[0].rows = None
        _log.error("frame set aside: its rows cannot be loaded", commit=loads[0].commit, error=loads[0].error)
        self._load_durably(loads)

    def _wait_to_retry(self) -> None:
        with self._wake:
            if self._wake.wait_for(lambda: self._stop, timeout=_RETRY_SECONDS):
                raise _Closed

    def _recover(self, loads: list[Load], error: Exception) -> list[Load]:
        """What of `loads` is still to be loaded: a commit may have reached the disk although it reported a failure."""
        try:
            if isinstance(error, NotOpen | duckdb.FatalException | duckdb.ConnectionException):
                self._engine.reopen()
                self._broken = False
            loaded = self._engine.loaded()
        except (duckdb.Error, NotOpen) as again:
            _log.error("the engine does not answer", error=str(again))
            return loads
        return [load for load in loads if load.commit > loaded]

    def _on_broken(self) -> None:
        with self._wake:
            self._broken = True
            self._wake.notify()

    def _mend(self) -> None:
        """Open the engine again; once every cursor of the broken one is closed, that helps."""
        try:
            self._engine.reopen()
        except (duckdb.Error, NotOpen) as error:
            _log.error("the engine cannot be opened again; it is tried again", error=str(error))
            self._wait_to_retry()
            return
        self._broken = False
        _log.info("the engine was opened again")

    def _load(self, loads: list[Load]) -> list[Loaded]:
        now = ticks_from_datetime(self._clock.now())
        through = loads[-1].commit
        cursor = self._engine.cursor()
        try:
            cursor.execute("begin")
            try:
                events = [event for group in _groups(loads) for event in self._load_group(cursor, group, now)]
                _store_keys(cursor, loads)
                for load in loads:
                    if load.error:
                        _set_aside(cursor, load, now)
                cursor.execute("update lw.mark set loaded = ?", [through])
                cursor.execute("commit")
            except BaseException:
                _roll_back(cursor)
                raise
        finally:
            cursor.close()
        return events

    def _load_group(self, cursor: Any, group: list[Load], now: int) -> list[Loaded]:
        stream = group[0].stream
        if stream is None:
            return []
        events = []
        # In one piece: a piece of a few thousand rows each would be stored by itself first, and then once more with the others.
        rows = pa.concat_tables(_with_identity(load) for load in group).combine_chunks()
        cursor.register(BATCH, rows)
        for flow in stream.flows:
            target = self._tables.find(flow.table)
            if target is None:
                _log.warning("rows of a table that was deleted are dropped", table=flow.table, frames=len(group))
                continue
            parameters = dict.fromkeys(flow.parameters, now)  # `now` is all that a transform may ask for
            ((count,),) = cursor.execute(flow.insert(target), parameters).fetchall()
            if count:
                events.append(Loaded(flow.table, group[0].commit, group[-1].commit))
        cursor.unregister(BATCH)
        return events

    def _tidy(self) -> None:
        """Idle work: forget old keys, have DuckDB's log emptied so that the next start is quick."""
        try:
            self._forget(ticks_from_datetime(self._clock.now()))
        except (duckdb.Error, NotOpen) as error:
            _log.warning("idle work failed; it is tried again", error=str(error))
        self._checkpoints.consider(_IDLE_CHECKPOINT_BYTES)

    def _forget(self, now: int) -> None:
        if now - self._forgot < _FORGET_EVERY:
            return
        cursor = self._engine.cursor()
        try:
            for span in Span:
                cursor.execute("delete from lw.repeats where span = ? and received < ?", [span, now - span.ticks])
        finally:
            cursor.close()
        self._forgot = now


def _pause(size: int, took: float) -> float:
    """How long to gather more after a load of `size` bytes that took so long."""
    return min(_LONGEST_PAUSE, max(size * _PAUSE_PER_BYTE, min(took, _BREATH)))


def _chunks(replay: Iterator[Load]) -> Iterator[list[Load]]:
    chunk: list[Load] = []
    size = 0
    for load in replay:
        chunk.append(load)
        size += load.size
        if size >= _BULK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _groups(loads: list[Load]) -> Iterator[list[Load]]:
    """Loads that go in together: those of one stream, in order."""
    by_stream: dict[str, list[Load]] = {}
    for load in loads:
        if load.stream is not None and load.rows is not None and load.rows.num_rows:
            by_stream.setdefault(load.stream.id, []).append(load)
    yield from by_stream.values()


def _with_identity(load: Load) -> pa.Table:
    assert load.rows is not None
    count = load.rows.num_rows
    identity = (
        pa.array(np.full(count, load.commit, dtype=np.int64)),
        pa.array(np.arange(count, dtype=np.int32)),
        pa.array(np.full(count, load.received, dtype=np.int64)),
    )
    arrays = itertools.chain(load.rows.columns, identity)
    return pa.Table.from_arrays(list(arrays), names=[*load.rows.column_names, *HIDDEN])


def _store_keys(cursor: Any, loads: list[Load]) -> None:
    keyed = [(load.key, load) for load in loads if load.key is not None]
    if not keyed:
        return
    cursor.register(
        BATCH,
        pa.table(
            {
                "high": pa.array([key.high for key, _ in keyed], pa.uint64()),
                "low": pa.array([key.low for key, _ in keyed], pa.uint64()),
                "commit": pa.array([load.commit for _, load in keyed], pa.int64()),
                "received": pa.array([load.received for _, load in keyed], pa.int64()),
                "span": pa.array([int(key.span) for key, _ in keyed], pa.int8()),
            }
        ),
    )
    cursor.execute(f"insert into lw.repeats select * from {BATCH}")  # noqa: S608 - a constant
    cursor.unregister(BATCH)


def _set_aside(cursor: Any, load: Load, now: int) -> None:
    row = [load.commit, load.received, load.kind, load.header, load.body, load.error, now]
    cursor.execute("insert into lw.set_aside values (?, ?, ?, ?, ?, ?, ?)", row)


def _roll_back(cursor: Any) -> None:
    try:
        cursor.execute("rollback")
    except duckdb.Error as error:  # the transaction is over already; the first error is the one that tells
        _log.debug("rollback failed", error=str(error))
