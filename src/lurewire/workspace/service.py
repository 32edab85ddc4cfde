"""A Log Analytics workspace: its tables, its journal, its queries. Several of them make a `Workspaces`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.workspace import parquet
from lurewire.workspace.catalog import Tables
from lurewire.workspace.columns import warm
from lurewire.workspace.engine import Engine
from lurewire.workspace.intake import Intake, Overloaded, Receipt
from lurewire.workspace.journal import JournalError
from lurewire.workspace.limits import LIMITS
from lurewire.workspace.policies import TablePolicy, WorkspacePolicy
from lurewire.workspace.query import Queries
from lurewire.workspace.repeats import Key, Span, make_key
from lurewire.workspace.retention import Retention
from lurewire.workspace.streams import Stream, StreamDefinition, direct_stream
from lurewire.workspace.upkeep import Upkeep
from lurewire.workspace.usage import OPERATION, Usage, operation
from lurewire.workspace.views import Origin
from lurewire.workspace.watchlist_rows import WatchlistRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from lurewire.core.clock import Clock
    from lurewire.core.resources import ResourceId
    from lurewire.kql import Catalog, Column, CompiledQuery, Geo
    from lurewire.workspace.catalog import StoredTable
    from lurewire.workspace.external import Places
    from lurewire.workspace.loader import Loaded
    from lurewire.workspace.pool import QueryClass
    from lurewire.workspace.query import QueryLimits, QueryResult
    from lurewire.workspace.views import ResourceView

_log = get_logger("workspace")

_EXPORT_SECONDS = 3600.0
_AGAIN_SECONDS = 0.02


class UnknownTable(LookupError):
    """The workspace has no table of that name, and Azure knows none."""


class Workspace:
    """One workspace in `folder`: a DuckDB file and a journal that this process alone may use.

    Every method belongs to the event loop that called `start`.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        customer_id: str,
        limits: Limits | None = None,
        geo: Geo | None = None,
        places: Places | None = None,
        resource_id: str = "",
    ) -> None:
        bounds = limits or Limits(LIMITS)
        self.customer_id = customer_id
        """The GUID that query URLs and `TenantId` carry."""
        self.resource_id = resource_id
        """The ARM id, where it is a resource."""
        self.policy = WorkspacePolicy()
        self.table_policies: dict[str, TablePolicy] = {}
        self._engine = Engine(
            folder,
            memory_mb=bounds["workspace.engine_memory_mb"],
            spill_mb=bounds["workspace.engine_spill_mb"],
            checkpoint_mb=bounds["workspace.engine_checkpoint_mb"],
            geo=geo,
        )
        self.tables = Tables(self._engine, customer_id)
        """The catalogue: the KQL room's `Catalog`."""
        if places is not None:
            self.tables.places = places
        self._intake = Intake(folder / "journal", self._engine, self.tables, clock, bounds)
        self._queries = Queries(self._engine, self.tables, clock, bounds)
        self.retention = Retention(
            self._intake.run, self.tables, clock, self.kept_days, bounds["workspace.retention_batch_rows"]
        )
        self.usage = Usage(self, clock)
        self.watchlists = WatchlistRows(self, clock, self._queries.read, self._intake.run)
        self._upkeep = Upkeep(clock, (self.usage.record, self.watchlists.expire, self.retention.sweep))
        self._started = False

    async def start(self) -> None:
        """Open the files; what the last process acknowledged and did not load is loaded in the background."""
        await asyncio.to_thread(self._engine.open)
        await asyncio.to_thread(warm)
        await asyncio.to_thread(self.tables.load)
        await self._intake.start()
        self._queries.start()
        self._started = True

    def start_upkeep(self) -> None:
        """Have retention and Usage run every hour from now on: what says how long rows stay must be known by then."""
        self._upkeep.start()

    async def stop(self) -> None:
        """Load what is acknowledged, interrupt queries, close the files; nothing happens where it is stopped."""
        if not self._started:
            return
        self._started = False
        await self._upkeep.stop()
        await asyncio.to_thread(self._queries.stop)
        await self._intake.stop()
        await asyncio.to_thread(self._engine.close)

    @property
    def loaded(self) -> int:
        """Every row of the commits up to this one is visible to queries."""
        return self._intake.loaded

    @property
    def acknowledged(self) -> int:
        """The newest commit that its sender was told of, or that was there at the start."""
        return self._intake.acknowledged

    def kept_days(self, table: str) -> int:
        """How long rows of a table stay."""
        return self.table_policies.get(table, TablePolicy()).kept_days(self.policy)

    async def note(self, category: str, status: str, detail: str, *, key: str = "") -> None:
        """Write what happened to this workspace into its table Operation; see `usage.operation`.

        The same `key` again is one record. It is told, and nothing fails because it cannot be.
        """
        row = operation(category, status, detail, self.resource_id)
        try:
            await self.append(OPERATION, [row], key=key or row["OperationKey"])
        except (Overloaded, JournalError) as error:
            _log.warning("an operation is not noted", detail=detail, error=str(error))

    async def until_loaded(self, commit: int) -> None:
        """Return once the rows of `commit` are visible to queries."""
        await self._intake.until_loaded(commit)

    def subscribe(self, callback: Callable[[Loaded], None]) -> Callable[[], None]:
        """Have `callback(Loaded)` called on the event loop when rows of a table have become visible.

        Returns the function that ends the subscription.
        """
        return self._intake.subscribe(callback)

    def subscribe_failures(self, callback: Callable[[str, str], None]) -> None:
        """Have `callback(stream id, error)` called on the event loop for each accepted body that cannot be loaded.

        It is kept aside; none of its rows are in a table.
        """
        self._intake.subscribe_failures(callback)

    async def define(self, definition: StreamDefinition) -> Stream:
        """The stream of a definition, compiled and stored. Raises the KQL room's `KqlError`."""
        return await self._intake.define(definition)

    def check_room(self, size: int) -> None:
        """Whether a body of so many bytes is worth reading: raises `Overloaded` and `NotOpen` where `submit` is sure to."""
        self._intake.check_room(size)

    async def submit(self, stream: Stream, body: bytes, rows: pa.Table, *, gzip: bool, key: Key | None) -> Receipt:
        """Store the rows of a body durably; returns once they are on disk, before they are visible.

        `body` is kept as it came from the wire, `rows` is what `stream.decoder` made of it. A `key` that was stored before
        changes nothing. Raises `Overloaded` (try later), `JournalError` (nothing is stored) and `NotOpen` (it was stopped).
        """
        return await self._intake.submit(stream, body, rows, gzip=gzip, key=key)

    async def append(self, table: str, rows: Sequence[Mapping[str, Any]], key: str) -> int:
        """Store rows of our own in `table` durably; returns their commit. The same `table` and `key` again: the first commit.

        A value is what JSON has for it: ISO text or an aware datetime, a GUID's text, a dict or list for dynamic.
        `TimeGenerated` is the time of receipt where it is missing. Raises `UnknownTable`, `KeyError` for a column that the
        table does not have, `Overloaded`, `JournalError`.
        """
        stream = await self._direct(table)
        return await self._append(stream, *_ready(stream, table, rows), make_key(Span.ROOM, "append", table, key))

    async def append_patiently(self, table: str, rows: Sequence[Mapping[str, Any]], key: str) -> int:
        """`append` of many rows: they are made ready off the event loop, and stored as soon as memory has room for them."""
        stream = await self._direct(table)
        body, decoded = await asyncio.to_thread(_ready, stream, table, rows)
        known = make_key(Span.ROOM, "append", table, key)
        while True:
            try:
                return await self._append(stream, body, decoded, known)
            except Overloaded:
                await self.until_loaded(self.acknowledged)
                await asyncio.sleep(_AGAIN_SECONDS)  # what is not acknowledged yet takes room too, and needs the loop

    async def _direct(self, table: str) -> Stream:
        found = self.tables.find(table)
        if found is None:
            raise UnknownTable(f"there is no table '{table[:80]}'")
        return await self._intake.define(direct_stream(found))

    async def _append(self, stream: Stream, body: bytes, rows: pa.Table, key: Key) -> int:
        return (await self._intake.submit(stream, body, rows, gzip=False, key=key)).commit

    def compile(self, text: str, *, window: bool = False, keep_identity: bool = False) -> CompiledQuery:
        """Compile KQL against this workspace's tables, from a cache. Raises the KQL room's `KqlError`."""
        return self._queries.compile(text, window=window, keep_identity=keep_identity)

    async def query(
        self,
        text: str,
        *,
        timespan: tuple[datetime, datetime] | None = None,
        cls: QueryClass = "people",
        limits: QueryLimits | None = None,
        view: ResourceView | None = None,
    ) -> QueryResult:
        """Run KQL; `timespan` (first and last moment) bounds `TimeGenerated` of every table that the query reads.

        `view` is what the query sees instead of this workspace's own tables; its first origin is this workspace.

        Of a query with several results the first comes back, with the others in its `further`; `limits` are of them all.

        Raises the KQL room's `KqlError` (also for what stops the engine), `QueryTimeout`, `TooManyQueries`. Cancelling it stops the query.
        """
        return await self._queries.query(text, timespan=timespan, cls=cls, limits=limits, view=view)

    def origin(self, *, foreign: bool) -> Origin:
        """The workspace as rows of a view come from it; `foreign` where another one runs the query."""
        return Origin(self.tables, self._engine if foreign else None)

    async def filled(self) -> frozenset[str]:
        """The names of the tables that have rows. Raises `QueryTimeout`, `TooManyQueries`."""
        return await self._queries.filled()

    async def run(
        self,
        compiled: CompiledQuery,
        parameters: Mapping[str, int],
        cls: QueryClass = "rules",
        limits: QueryLimits | None = None,
    ) -> QueryResult:
        """Run what `compile` made; `parameters` are ticks and commits by name (`t_from`, `t_to`, `commit_after`, ...).

        `now` is the clock's where it is not given. Raises as `query` does.
        """
        return await self._queries.run(compiled, parameters, cls, limits)

    async def explore(
        self,
        text: str,
        catalog: Catalog,
        parameters: Mapping[str, int],
        cls: QueryClass = "rules",
        limits: QueryLimits | None = None,
    ) -> QueryResult:
        """Compile and run KQL whose columns depend on the rows that it reads, such as bag_unpack without an output schema.

        `catalog` is a view of `tables`. `parameters` are as `run` has them, and all of the window and the commits must be
        given: the rows within them alone say which columns there are. Raises as `query` does.
        """
        return await self._queries.explore(text, catalog, parameters, cls, limits)

    async def create_table(self, name: str, columns: Sequence[Column]) -> StoredTable:
        """Create a table, or give an existing one exactly these columns beside the standard ones.

        Raises `SchemaConflict`.
        """
        await asyncio.to_thread(self.tables.create, name, columns)
        table: StoredTable = await self._intake.run(lambda cursor: self.tables.change(cursor, name, columns))
        return table

    async def clear_table(self, name: str) -> None:
        """Delete all rows of a table that are acknowledged by now. Raises `UnknownTable`."""
        if self.tables.find(name) is None:
            raise UnknownTable(f"there is no table '{name[:80]}'")
        await self._intake.until_loaded(self._intake.acknowledged)
        await self._intake.run(lambda cursor: self.tables.clear(cursor, name))

    async def export_table(self, name: str, file: Path) -> int:
        """Write a table's rows into a new Parquet file (see `parquet`); returns how many.

        The file is there only when it is whole; nobody but its owner may read it. Raises `UnknownTable`, OSError,
        `QueryTimeout`, `TooManyQueries`.
        """
        table = self.tables.find(name)
        if table is None:
            raise UnknownTable(f"there is no table '{name[:80]}'")
        return await self._queries.read(lambda cursor: _export(cursor, table, file), _EXPORT_SECONDS)

    async def import_table(self, name: str, file: Path) -> int:
        """Store the rows of a Parquet file in a table, durably and visibly; returns how many the file has.

        The same file again, within 90 days, changes nothing, also after a crash half-way; into a table that was dropped
        and made again it is imported again. Raises `UnknownTable`, OSError, `JournalError` and `parquet.Unfit`: for the
        file's columns before anything is stored, for a value once the chunks before it are.
        """
        table = self.tables.find(name)
        if table is None:
            raise UnknownTable(f"there is no table '{name[:80]}'")
        known = await asyncio.to_thread(parquet.digest, file)
        chunks = parquet.read(file, table)
        rows = commit = 0
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            key = f"import/{table.relation}/{known}/{parquet.CHUNK_ROWS}/{rows}"
            commit = await self.append_patiently(name, chunk, key)
            rows += len(chunk)
        await self.until_loaded(commit)
        return rows

    async def drop_table(self, name: str) -> None:
        """Drop a table with its rows."""
        await self._intake.run(lambda cursor: self.tables.drop(cursor, name))


def _export(cursor: Any, table: StoredTable, file: Path) -> int:
    """Write beside `file` under a name that nobody can foresee, then rename."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".export-", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            rows = parquet.write(cursor, table, opened)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _ready(stream: Stream, table: str, rows: Sequence[Mapping[str, Any]]) -> tuple[bytes, pa.Table]:
    """Rows as the journal has them, and as the loader takes them."""
    known = {column.name for column in stream.columns}
    for row in rows:
        for name in row:
            if name not in known:
                raise KeyError(f"table '{table}' has no column '{name}'")
    body = _encode(rows)
    return body, stream.decoder.decode(body)


def _encode(rows: Sequence[Mapping[str, Any]]) -> bytes:
    try:
        return msgspec.json.encode(rows)
    except UnicodeEncodeError:  # half of a surrogate pair: the decoder makes U+FFFD of it
        return json.dumps(msgspec.to_builtins(rows)).encode()


class Workspaces:
    """All workspaces of this process, by ARM id and by customer id, each in a folder of its own under `folder`.

    `geo` knows the places of IP addresses for geo_info_from_ip_address(); `places` are where externaldata may read.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        limits: Limits | None = None,
        *,
        geo: Geo | None = None,
        places: Places | None = None,
    ) -> None:
        self._geo = geo
        self._places = places
        self._folder = folder
        self._clock = clock
        self._limits = limits
        self._settled = False
        self._open: dict[str, Workspace] = {}
        self._ids: dict[str, ResourceId] = {}

    async def open(self, resource_id: ResourceId, customer_id: str) -> Workspace:
        """The started workspace of a resource."""
        found = self._open.get(customer_id.lower())
        if found is not None:
            return found
        folder = self._folder / customer_id.lower()
        workspace = Workspace(
            folder,
            self._clock,
            customer_id=customer_id,
            limits=self._limits,
            geo=self._geo,
            places=self._places,
            resource_id=str(resource_id),
        )
        workspace.tables.own_names = frozenset((customer_id, resource_id.name, str(resource_id)))
        await workspace.start()
        self._open[customer_id.lower()] = workspace
        self._ids[customer_id.lower()] = resource_id
        if self._settled:
            workspace.start_upkeep()
        return workspace

    def start_upkeep(self) -> None:
        """Have every workspace do its upkeep, once all stored resources are applied and all watchlists are known.

        Before that, rows of a table would go by the retention of another.
        """
        self._settled = True
        for workspace in self._open.values():
            workspace.start_upkeep()

    def by_id(self, resource_id: ResourceId | str) -> Workspace | None:
        """The workspace of an ARM id, or None."""
        key = str(resource_id).lower()
        return next((self._open[c] for c, known in self._ids.items() if known.key == key), None)

    def all(self) -> list[tuple[ResourceId, Workspace]]:
        """Every workspace with its ARM id, in the order in which they were opened."""
        return [(self._ids[key], workspace) for key, workspace in self._open.items()]

    def named(self, name: str) -> list[tuple[ResourceId, Workspace]]:
        """The workspaces that a GUID, an ARM id or a name means: none, one, or several of one name; see `meant`."""
        return meant(self.all(), name)

    def by_customer_id(self, customer_id: str) -> Workspace | None:
        """The workspace of a GUID, or None."""
        return self._open.get(customer_id.lower())

    def id_of(self, customer_id: str) -> ResourceId | None:
        """The ARM id of a GUID's workspace, or None."""
        return self._ids.get(customer_id.lower())

    async def delete(self, resource_id: ResourceId) -> None:
        """Stop a workspace and delete its data."""
        workspace = self.by_id(resource_id)
        if workspace is None:
            return
        key = workspace.customer_id.lower()
        del self._open[key], self._ids[key]
        await workspace.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder / key, ignore_errors=True)

    async def stop(self) -> None:
        """Stop all."""
        for workspace in self._open.values():
            await workspace.stop()
        self._open.clear()
        self._ids.clear()


def meant(places: Sequence[tuple[ResourceId, Workspace]], name: str) -> list[tuple[ResourceId, Workspace]]:
    """Those of `places` that a GUID, an ARM id or a name means.

    A GUID is the workspace's own, whatever name somebody gives to another.
    """
    wanted = name.strip().lower()
    own = [place for place in places if place[1].customer_id.lower() == wanted]
    return own or [place for place in places if wanted in (place[0].key, place[0].name.lower())]
