"""A Log Analytics workspace: its tables, its journal, its queries. Several of them make a `Workspaces`."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.core.limits import Limits
from lurewire.workspace.catalog import Tables
from lurewire.workspace.engine import Engine
from lurewire.workspace.intake import Intake, Receipt
from lurewire.workspace.limits import LIMITS
from lurewire.workspace.query import Queries
from lurewire.workspace.repeats import Key, Span, make_key
from lurewire.workspace.streams import Stream, StreamDefinition, direct_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from lurewire.core.clock import Clock
    from lurewire.core.resources import ResourceId
    from lurewire.kql import Catalog, Column, CompiledQuery, Geo
    from lurewire.workspace.catalog import StoredTable
    from lurewire.workspace.external import Places
    from lurewire.workspace.loader import Loaded
    from lurewire.workspace.pool import QueryClass
    from lurewire.workspace.query import QueryLimits, QueryResult


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
    ) -> None:
        bounds = limits or Limits(LIMITS)
        self.customer_id = customer_id
        """The GUID that query URLs and `TenantId` carry."""
        self._engine = Engine(
            folder,
            memory_mb=bounds["workspace.engine_memory_mb"],
            checkpoint_mb=bounds["workspace.engine_checkpoint_mb"],
            geo=geo,
        )
        self.tables = Tables(self._engine, customer_id)
        """The catalogue: the KQL room's `Catalog`."""
        if places is not None:
            self.tables.places = places
        self._intake = Intake(folder / "journal", self._engine, self.tables, clock, bounds)
        self._queries = Queries(self._engine, self.tables, clock, bounds)
        self._started = False

    async def start(self) -> None:
        """Open the files; what the last process acknowledged and did not load is loaded in the background."""
        await asyncio.to_thread(self._engine.open)
        await asyncio.to_thread(self.tables.load)
        await self._intake.start()
        self._queries.start()
        self._started = True

    async def stop(self) -> None:
        """Load what is acknowledged, interrupt queries, close the files; nothing happens where it is stopped."""
        if not self._started:
            return
        self._started = False
        await asyncio.to_thread(self._queries.stop)
        await self._intake.stop()
        await asyncio.to_thread(self._engine.close)

    @property
    def loaded(self) -> int:
        """Every row of the commits up to this one is visible to queries."""
        return self._intake.loaded

    async def until_loaded(self, commit: int) -> None:
        """Return once the rows of `commit` are visible to queries."""
        await self._intake.until_loaded(commit)

    def subscribe(self, callback: Callable[[Loaded], None]) -> Callable[[], None]:
        """Have `callback(Loaded)` called on the event loop when rows of a table have become visible.

        Returns the function that ends the subscription.
        """
        return self._intake.subscribe(callback)

    async def define(self, definition: StreamDefinition) -> Stream:
        """The stream of a definition, compiled and stored. Raises the KQL room's `KqlError`."""
        return await self._intake.define(definition)

    async def submit(self, stream: Stream, body: bytes, rows: pa.Table, *, gzip: bool, key: Key | None) -> Receipt:
        """Store the rows of a body durably; returns once they are on disk, before they are visible.

        `body` is kept as it came from the wire, `rows` is what `stream.decoder` made of it. A `key` that was stored before
        changes nothing. Raises `Overloaded` (try later) and `JournalError` (nothing is stored).
        """
        return await self._intake.submit(stream, body, rows, gzip=gzip, key=key)

    async def append(self, table: str, rows: Sequence[Mapping[str, Any]], key: str) -> int:
        """Store rows of our own in `table` durably; returns their commit. The same `table` and `key` again: the first commit.

        A value is what JSON has for it: ISO text or an aware datetime, a GUID's text, a dict or list for dynamic.
        `TimeGenerated` is the time of receipt where it is missing. Raises `UnknownTable`, `KeyError` for a column that the
        table does not have, `Overloaded`, `JournalError`.
        """
        found = self.tables.find(table)
        if found is None:
            raise UnknownTable(f"there is no table '{table[:80]}'")
        stream = await self._intake.define(direct_stream(found))
        known = {column.name for column in stream.columns}
        for row in rows:
            for name in row:
                if name not in known:
                    raise KeyError(f"table '{table}' has no column '{name}'")
        body = _encode(rows)
        decoded = stream.decoder.decode(body)
        receipt = await self._intake.submit(
            stream, body, decoded, gzip=False, key=make_key(Span.ROOM, "append", table, key)
        )
        return receipt.commit

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
    ) -> QueryResult:
        """Run KQL; `timespan` (first and last moment) bounds `TimeGenerated` of every table that the query reads.

        Of a query with several results the first comes back, with the others in its `further`; `limits` are of them all.

        Raises the KQL room's `KqlError` (also for what stops the engine), `QueryTimeout`, `TooManyQueries`. Cancelling it stops the query.
        """
        return await self._queries.query(text, timespan=timespan, cls=cls, limits=limits)

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

    async def drop_table(self, name: str) -> None:
        """Drop a table with its rows."""
        await self._intake.run(lambda cursor: self.tables.drop(cursor, name))


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
        self._open: dict[str, Workspace] = {}
        self._ids: dict[str, ResourceId] = {}

    async def open(self, resource_id: ResourceId, customer_id: str) -> Workspace:
        """The started workspace of a resource."""
        found = self._open.get(customer_id.lower())
        if found is not None:
            return found
        folder = self._folder / customer_id.lower()
        workspace = Workspace(
            folder, self._clock, customer_id=customer_id, limits=self._limits, geo=self._geo, places=self._places
        )
        workspace.tables.own_names = frozenset((customer_id, resource_id.name, str(resource_id)))
        await workspace.start()
        self._open[customer_id.lower()] = workspace
        self._ids[customer_id.lower()] = resource_id
        return workspace

    def by_id(self, resource_id: ResourceId | str) -> Workspace | None:
        """The workspace of an ARM id, or None."""
        key = str(resource_id).lower()
        return next((self._open[c] for c, known in self._ids.items() if known.key == key), None)

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
