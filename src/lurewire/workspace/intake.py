"""The way in: journal, acknowledgement, loader, and the memory of what was accepted already.

Everything here runs on the event loop except where a method says which thread calls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from isal import igzip

from lurewire.core.log import get_logger
from lurewire.kql import ticks_from_datetime
from lurewire.workspace.engine import NotOpen
from lurewire.workspace.journal import Entry, Journal, JournalError
from lurewire.workspace.loader import Load, Loaded, Loader
from lurewire.workspace.repeats import Key, Repeats, Span
from lurewire.workspace.streams import MAX_ROWS, Stream, StreamDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.workspace.catalog import Tables
    from lurewire.workspace.engine import Engine
    from lurewire.workspace.frames import Frame

_log = get_logger("workspace.intake")

ROWS = 1
"""The kind of a frame whose body is a JSON array of a stream's records, gzip or plain."""

_OVERHEAD = 1024  # bytes that a waiting frame costs beside its rows


class Overloaded(Exception):
    """More waits to be loaded than memory has room for."""


class RowsHeader(msgspec.Struct, frozen=True, array_like=True):
    """The header of a `ROWS` frame: the stream's id, how the body is packed, the key of repeat detection."""

    stream: str
    gzip: bool
    key: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored: the commit, and whether an earlier write with the same key had stored it already."""

    commit: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Ticket:
    load: Load
    done: asyncio.Future[int]


class Intake:
    """Accepts rows durably and loads them exactly once."""

    def __init__(self, folder: Path, engine: Engine, tables: Tables, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._engine = engine
        self._most_waiting = limits["workspace.waiting_bytes"]
        self._journal = Journal(
            folder,
            segment_bytes=limits["workspace.journal_segment_bytes"],
            on_synced=self._on_synced,
            on_failed=self._on_failed,
        )
        self._loader = Loader(engine, tables, clock, self._on_loaded)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[str, Stream] = {}
        self._repeats = {span: Repeats(span) for span in Span}
        self._in_flight: dict[Key, asyncio.Future[int]] = {}
        self._waiting = 0
        self._closing = False
        self._replayed = 0
        self._loaded = 0
        #: The newest commit that its sender was told of, or that was there at the start.
        self.acknowledged = 0
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._subscribers: list[Callable[[Loaded], None]] = []
        self._failure_subscribers: list[Callable[[str, str], None]] = []

    @property
    def loaded(self) -> int:
        """Every frame up to this commit is visible to queries."""
        return self._loaded

    async def start(self) -> None:
        """Read what the last process left, then load it in the background."""
        self._loop = asyncio.get_running_loop()
        self._loaded = await asyncio.to_thread(self._engine.loaded)
        await asyncio.to_thread(self._remember_keys)
        waiting = await asyncio.to_thread(self._journal.open, self._loaded)
        for frame in waiting:
            self._remember_key(frame)
        self._replayed = max((frame.commit for frame in waiting), default=self._loaded)
        self.acknowledged = self._replayed
        if waiting:
            _log.info("journal frames of the last run are loaded", frames=len(waiting))
        self._loader.start(self._revive(frame) for frame in self._journal.replay(self._loaded, self._replayed))

    async def stop(self) -> None:
        """Finish what was acknowledged, as far as the disk allows."""
        self._closing = True
        await asyncio.to_thread(self._finish)

    async def define(self, definition: StreamDefinition) -> Stream:
        """The stream of a definition, stored durably first. Raises the KQL room's `KqlError`."""
        found = self._streams.get(definition.id)
        if found is not None:
            return found
        stream = Stream(definition)
        await self.run(lambda cursor: _store_stream(cursor, stream))
        return self._streams.setdefault(stream.id, stream)

    async def run(self, work: Callable[[Any], Any]) -> Any:
        """Run `work(cursor)` between two loads."""
        return await asyncio.wrap_future(self._loader.submit(work))

    async def submit(self, stream: Stream, body: bytes, rows: pa.Table, *, gzip: bool, key: Key | None) -> Receipt:
        """Store rows durably; they are loaded soon after. `rows` is what the stream's decoder made of `body`.

        Raises `Overloaded`, `JournalError`, `NotOpen`, and `ValueError` for more than `MAX_ROWS` rows.
        """
        if rows.num_rows > MAX_ROWS:
            raise ValueError(f"{rows.num_rows} rows are too many for one commit")
        if key is not None:
            commit = self._repeats[key.span].find(key.high, key.low)
            if commit is not None:
                return Receipt(commit, repeated=True)
            if key in self._in_flight:
                return Receipt(await asyncio.shield(self._in_flight[key]), repeated=True)
        size = _held(rows, body)
        self.check_room(size)
        if self._loop is None:
            raise NotOpen("the workspace is not open")
        done: asyncio.Future[int] = self._loop.create_future()
        done.add_done_callback(_seen)
        header = msgspec.msgpack.encode(RowsHeader(stream.id, gzip, None if key is None else (*key[:2], int(key.span))))
        load = Load(-1, self._now(), ROWS, header, body, size, key, stream, rows)
        if key is not None:
            self._in_flight[key] = done
        self._waiting += size
        self._journal.append(Entry(ROWS, load.received, header, body, _Ticket(load, done)))
        return Receipt(await asyncio.shield(done), repeated=False)

    def check_room(self, size: int) -> None:
        """Raises `Overloaded` where memory has no room for `size` bytes more of what waits to be loaded, and `NotOpen`."""
        if self._closing:
            raise NotOpen("the workspace is closed")
        if self._waiting + size > self._most_waiting:
            raise Overloaded(f"{self._waiting} bytes wait to be loaded")

    async def until_loaded(self, commit: int) -> None:
        """Return once the rows of `commit` are visible to queries."""
        if commit <= self._loaded:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (commit, next(self._order), waiter))
        await waiter

    def subscribe(self, callback: Callable[[Loaded], None]) -> Callable[[], None]:
        """Have `callback` called on the event loop after each load of a table; returns what ends it."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def subscribe_failures(self, callback: Callable[[str, str], None]) -> None:
        """Have `callback(stream id, error)` called on the event loop for each frame that is set aside."""
        self._failure_subscribers.append(callback)

    # on the journal's thread

    def _on_synced(self, entries: Sequence[Entry]) -> None:
        tickets = []
        for entry in entries:
            ticket = entry.payload
            assert isinstance(ticket, _Ticket)
            ticket.load.commit = entry.commit
            tickets.append(ticket)
        self._loader.put([ticket.load for ticket in tickets])
        self._on_loop(self._acknowledge, tickets)

    def _on_failed(self, entries: Sequence[Entry], error: JournalError) -> None:
        self._on_loop(self._refuse, [entry.payload for entry in entries], error)

    # on the loader's thread

    def _on_loaded(self, events: list[Loaded], through: int, loads: Sequence[Load]) -> None:
        self._journal.release(through)
        live = sum(load.size for load in loads if load.commit > self._replayed)
        self._on_loop(self._publish, events, through, live)
        failed = [(load.stream.id, load.error) for load in loads if load.error and load.stream is not None]
        if failed:
            self._on_loop(self._publish_failures, failed)

    def _revive(self, frame: Frame) -> Load:
        """A frame from disk as the loader takes it; what cannot be read is set aside there."""
        load = Load(frame.commit, frame.received, frame.kind, frame.header, frame.body, len(frame.body) + _OVERHEAD)
        try:
            header = _header(frame)
            load.key = None if header.key is None else Key(*header.key[:2], Span(header.key[2]))
            load.stream = self._streams.get(header.stream) or self._read_stream(header.stream)
            load.rows = load.stream.decoder.decode(igzip.decompress(frame.body) if header.gzip else frame.body)
            load.size = _held(load.rows, frame.body)
        except Exception as error:  # noqa: BLE001 - one frame never blocks the others
            load.error = f"{type(error).__name__}: {error}"
        return load

    def _read_stream(self, stream_id: str) -> Stream:
        cursor = self._engine.cursor()
        try:
            found = cursor.execute("select document from lw.streams where id = ?", [stream_id]).fetchone()
        finally:
            cursor.close()
        if found is None:
            raise LookupError(f"the stream {stream_id} is not defined")
        stream = Stream(msgspec.json.decode(found[0], type=StreamDefinition))
        return self._streams.setdefault(stream_id, stream)

    # from other threads to the loop and on it

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                self._loop.call_soon_threadsafe(call, *arguments)

    def _acknowledge(self, tickets: list[_Ticket]) -> None:
        for ticket in tickets:
            load = ticket.load
            self.acknowledged = max(self.acknowledged, load.commit)
            if load.key is not None:
                self._repeats[load.key.span].add(load.key.high, load.key.low, load.commit, load.received)
                self._in_flight.pop(load.key, None)
            if not ticket.done.done():
                ticket.done.set_result(load.commit)

    def _refuse(self, tickets: list[_Ticket], error: JournalError) -> None:
        for ticket in tickets:
            self._waiting -= ticket.load.size
            if ticket.load.key is not None:
                self._in_flight.pop(ticket.load.key, None)
            if not ticket.done.done():
                ticket.done.set_exception(error)

    def _publish(self, events: list[Loaded], through: int, size: int) -> None:
        self._loaded = through
        self._waiting -= size
        while self._waiters and self._waiters[0][0] <= through:
            _, _, waiter = heapq.heappop(self._waiters)
            if not waiter.done():
                waiter.set_result(None)
        for event in events:
            for subscriber in list(self._subscribers):
                try:
                    subscriber(event)
                except Exception as error:  # noqa: BLE001 - one subscriber's fault is not the others'
                    _log.error("a subscriber failed", table=event.table, exc_info=error)

    def _publish_failures(self, failed: list[tuple[str, str]]) -> None:
        for stream, error in failed:
            for subscriber in self._failure_subscribers:
                subscriber(stream, error)

    def _finish(self) -> None:
        self._journal.flush()
        self._loader.stop()
        self._journal.close(self._engine.loaded())

    def _now(self) -> int:
        return ticks_from_datetime(self._clock.now())

    def _remember_key(self, frame: Frame) -> None:
        try:
            key = _header(frame).key
        except msgspec.DecodeError:
            return  # it will be set aside
        if key is not None:
            self._repeats[Span(key[2])].add(key[0], key[1], frame.commit, frame.received)

    def _remember_keys(self) -> None:
        now = self._now()
        cursor = self._engine.cursor()
        try:
            for span, repeats in self._repeats.items():
                reader = cursor.sql(
                    'select high, low, "commit", received from lw.repeats '
                    "where span = $span and received >= $since order by received",
                    params={"span": int(span), "since": now - span.ticks},
                ).to_arrow_reader(100_000)
                for batch in reader:
                    repeats.add_all(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        finally:
            cursor.close()


def _held(rows: pa.Table, body: bytes) -> int:
    """Bytes of memory that a frame takes until it is loaded."""
    return int(rows.nbytes) + len(body) + _OVERHEAD


def _header(frame: Frame) -> RowsHeader:
    if frame.kind != ROWS:
        raise msgspec.DecodeError(f"frames of kind {frame.kind} are not known")
    return msgspec.msgpack.decode(frame.header, type=RowsHeader)


def _store_stream(cursor: Any, stream: Stream) -> None:
    """In one statement, so that it is there once however often it is defined at the same time."""
    cursor.execute(
        "insert into lw.streams select $id, $document where not exists (from lw.streams where id = $id)",
        {"id": stream.id, "document": stream.definition.document().decode()},
    )


def _seen(done: asyncio.Future[int]) -> None:
    """The caller may have gone: its future's error must not be reported as lost."""
    if not done.cancelled():
        done.exception()
