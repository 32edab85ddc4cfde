"""Queries: compile (cached), run on a worker within limits, hand back Arrow batches."""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from lurewire import kql
from lurewire.kql import read_external, ticks_from_datetime, translate_engine_error
from lurewire.workspace.pool import QueryClass, QueryPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.kql import Catalog, Column, CompiledQuery, Rendering
    from lurewire.workspace.catalog import Tables
    from lurewire.workspace.engine import Engine
    from lurewire.workspace.views import ResourceView

    Explore = Callable[[CompiledQuery], list[tuple[Any, ...]]]

T = TypeVar("T")

_BATCH_ROWS = 2_048  # as the engine makes them: a batch of larger rows is in memory before it can be cut
_CACHED = 512
_TOO_MANY_ROWS = "The results of this query exceed the set limit of {} records."
_TOO_MANY_BYTES = "The results of this query exceed the set limit of {} bytes."


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Where a result is cut: `rows`, `bytes` (as Arrow holds them), and after how many `seconds` the query is stopped.

    `check(tables)` is called on a worker before any row of these tables is read; what it raises ends the query. `ready` says
    whether it may start: until it does, the query waits and takes no worker.
    """

    rows: int
    bytes: int
    seconds: float
    check: Callable[[frozenset[str]], None] | None = None
    ready: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A result: Arrow `batches` whose columns are `columns`, in order, and behind them the identity columns if asked for.

    datetime and timespan are ticks, dynamic is JSON text. `partial` says why rows are missing; `seconds` is the run time.
    `name` is what the query calls the result, `tables` are those that the query reads. `further` are the other results of a query that has several, in order;
    `partial` is then of them all, and each has its own `seconds`.
    """

    columns: tuple[Column, ...]
    batches: tuple[Any, ...]
    rows: int
    partial: str | None
    seconds: float
    render: Rendering | None
    name: str | None = None
    further: tuple[QueryResult, ...] = ()
    tables: frozenset[str] = frozenset()

    @property
    def bytes(self) -> int:
        """The size of all its results."""
        return sum(batch.nbytes for one in (self, *self.further) for batch in one.batches)

    def values(self) -> list[tuple[Any, ...]]:
        """The rows as Python tuples."""
        found: list[tuple[Any, ...]] = []
        for batch in self.batches:
            found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        return found


class Queries:
    """Runs KQL over one workspace."""

    def __init__(self, engine: Engine, tables: Tables, clock: Clock, limits: Limits) -> None:
        self._tables = tables
        self._clock = clock
        self._pool = QueryPool(engine, workers=limits["workspace.query_workers"], queue=limits["workspace.query_queue"])
        self._cache: OrderedDict[tuple[Any, ...], CompiledQuery] = OrderedDict()
        self._cache_lock = threading.Lock()
        self.limits = QueryLimits(
            limits["workspace.query_rows"],
            limits["workspace.query_bytes"],
            float(limits["workspace.query_default_seconds"]),
        )

    def start(self) -> None:
        """Start the workers."""
        self._pool.start()

    def stop(self) -> None:
        """Stop what runs."""
        self._pool.stop()

    def compile(
        self, text: str, *, window: bool = False, keep_identity: bool = False, explore: Explore | None = None
    ) -> CompiledQuery:
        """Compile for this workspace; cached until a schema changes. Raises the KQL room's `KqlError`.

        `explore` runs a query whose rows say which columns this one has; without it such a query is refused by name.
        """
        key = (text, window, keep_identity, self._tables.version)
        with self._cache_lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                return found
        explored = False

        def run_first(first: CompiledQuery) -> list[tuple[Any, ...]]:
            nonlocal explored
            explored = True
            assert explore is not None
            return explore(first)

        compiled = kql.compile(
            text, self._tables, window=window, keep_identity=keep_identity, explore=run_first if explore else None
        )
        if explored:  # its columns are those of the data as they were
            return compiled
        with self._cache_lock:
            self._cache[key] = compiled
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return compiled

    async def query(
        self,
        text: str,
        *,
        timespan: tuple[datetime, datetime] | None,
        cls: QueryClass,
        limits: QueryLimits | None,
        view: ResourceView | None = None,
    ) -> QueryResult:
        """Compile and run on a worker; see `Workspace.query`."""
        within = limits or self.limits
        parameters = {"now": ticks_from_datetime(self._clock.now())}
        if timespan is not None:
            first, last = (ticks_from_datetime(moment) for moment in timespan)
            parameters |= {"t_from": first - 1, "t_to": last}  # the window of a compiled query leaves its start out

        def work(cursor: Any) -> QueryResult:
            explore = self._explore(cursor, parameters, within, view)
            windowed = timespan is not None
            if view is None:
                compiled = self.compile(text, window=windowed, explore=explore)
            else:
                compiled = kql.compile(text, view, window=windowed, explore=explore)
            return self._execute(cursor, compiled, parameters, within, view)

        interrupt = None if view is None else view.interrupt
        return await self._pool.run(work, cls, within.seconds, interrupt, within.ready)

    async def explore(
        self,
        text: str,
        catalog: Catalog,
        parameters: Mapping[str, int],
        cls: QueryClass,
        limits: QueryLimits | None,
    ) -> QueryResult:
        """Compile for the rows within `parameters`, and run; see `Workspace.explore`."""
        within = limits or self.limits
        values = {"now": ticks_from_datetime(self._clock.now())} | dict(parameters)

        def work(cursor: Any) -> QueryResult:
            explore = self._explore(cursor, values, within)
            compiled = kql.compile(text, catalog, window=True, keep_identity=True, explore=explore)
            return self._execute(cursor, compiled, values, within)

        return await self._pool.run(work, cls, within.seconds)

    def _explore(
        self, cursor: Any, parameters: Mapping[str, int], limits: QueryLimits, view: ResourceView | None = None
    ) -> Explore:
        """What runs a first query; its rows must be all there are, as they say which columns the query has."""

        def explore(first: CompiledQuery) -> list[tuple[Any, ...]]:
            found = self._execute(cursor, first, parameters, limits, view)
            if found.partial is not None:
                raise kql.KqlError([kql.Diagnostic("limit", "LW0003", found.partial, 1, 1)])
            return found.values()

        return explore

    async def run(
        self, compiled: CompiledQuery, parameters: Mapping[str, int], cls: QueryClass, limits: QueryLimits | None
    ) -> QueryResult:
        """Run what is compiled; see `Workspace.run`."""
        within = limits or self.limits
        values = {"now": ticks_from_datetime(self._clock.now())} | dict(parameters)
        return await self._pool.run(lambda cursor: self._execute(cursor, compiled, values, within), cls, within.seconds)

    def _execute(
        self,
        cursor: Any,
        compiled: CompiledQuery,
        parameters: Mapping[str, int],
        limits: QueryLimits,
        view: ResourceView | None = None,
    ) -> QueryResult:
        """Hand over what the query reads from outside, then run it: all its results, within one set of limits."""
        several = (compiled, *compiled.further)
        tables = frozenset[str]().union(*(one.tables for one in several))
        if limits.check is not None:
            limits.check(tables)
        if view is not None:
            _prepare(view, cursor, compiled, parameters)
        held = [one for _, one in compiled.held]
        for outside in (outside for one in (*held, *several) for outside in one.external):
            cursor.register(outside.relation, read_external(outside, self._tables.places.read))
        left = _Left(limits)
        with _snapshot(cursor) if compiled.further else contextlib.nullcontext():
            for relation, one in compiled.held:
                _hold(cursor, relation, one, parameters)
            first, *further = [_execute(cursor, one, parameters, left) for one in several]
        return replace(first, partial=left.partial, further=tuple(further), tables=tables)

    async def read(self, work: Callable[[Any], T], seconds: float) -> T:
        """Run `work(cursor)` on a worker. Raises `QueryTimeout`, `TooManyQueries` and what `work` raises."""
        return await self._pool.run(work, "people", seconds)

    async def filled(self) -> frozenset[str]:
        """The names of the tables that have rows."""
        tables = {table.relation: table.name for table in self._tables.stored()}
        if not tables:
            return frozenset()
        parts = (f"select '{relation}' where exists (select 1 from {relation})" for relation in tables)  # noqa: S608 - generated names
        statement = " union all ".join(parts)

        def work(cursor: Any) -> frozenset[str]:
            return frozenset(tables[relation] for (relation,) in cursor.execute(statement).fetchall())

        return await self._pool.run(work, "people", self.limits.seconds)


def _prepare(view: ResourceView, cursor: Any, compiled: CompiledQuery, parameters: Mapping[str, int]) -> None:
    try:
        view.prepare(cursor, compiled, parameters)
    except duckdb.Error as error:
        raise translate_engine_error(error) from error


class _Left:
    """What is left of a query's limits, over all its results."""

    def __init__(self, limits: QueryLimits) -> None:
        self._limits = limits
        self._rows = limits.rows
        self._bytes = limits.bytes
        self.partial: str | None = None

    def take(self, batch: Any) -> Any:
        """The part of a batch that is still within the limits; `partial` says whether anything after it is missing."""
        if batch.num_rows > self._rows:
            batch = batch.slice(0, self._rows)
            self.partial = _TOO_MANY_ROWS.format(self._limits.rows)
        if batch.nbytes > self._bytes:
            few = bisect_right(range(batch.num_rows), self._bytes, key=lambda rows: batch.slice(0, rows + 1).nbytes)
            batch = batch.slice(0, few)
            self.partial = _TOO_MANY_BYTES.format(self._limits.bytes)
        self._rows -= batch.num_rows
        self._bytes -= batch.nbytes
        return batch


@contextlib.contextmanager
def _snapshot(cursor: Any) -> Iterator[None]:
    """All that is read within sees the same rows."""
    cursor.execute("begin transaction read only")
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):  # an error has ended it already
            cursor.execute("rollback")


def _hold(cursor: Any, relation: str, compiled: CompiledQuery, parameters: Mapping[str, int]) -> None:
    """Keep the rows of a query as a temporary table of the cursor."""
    used = {name: parameters[name] for name in compiled.parameters}
    try:
        cursor.execute(f"create or replace temp table {relation} as {compiled.sql}", used or None)
    except duckdb.Error as error:
        raise translate_engine_error(error) from error


def _execute(cursor: Any, compiled: CompiledQuery, parameters: Mapping[str, int], left: _Left) -> QueryResult:
    """One result; nothing of it is read any more once the limits are reached."""
    started = perf_counter()
    used = {name: parameters[name] for name in compiled.parameters}
    batches: list[Any] = []
    try:
        if left.partial is None:
            for batch in cursor.sql(compiled.sql, params=used or None).to_arrow_reader(_BATCH_ROWS):
                batches.append(left.take(batch))
                if left.partial is not None:
                    break
    except duckdb.Error as error:
        raise translate_engine_error(error) from error
    rows, seconds = sum(batch.num_rows for batch in batches), perf_counter() - started
    return QueryResult(compiled.columns, tuple(batches), rows, None, seconds, compiled.render, compiled.name)
