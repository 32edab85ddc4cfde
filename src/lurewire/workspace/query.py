"""Queries: compile (cached), run on a worker within limits, hand back Arrow batches."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import duckdb

from lurewire import kql
from lurewire.kql import ticks_from_datetime, translate_engine_error
from lurewire.workspace.pool import QueryClass, QueryPool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.kql import Column, CompiledQuery, Rendering
    from lurewire.workspace.catalog import Tables
    from lurewire.workspace.engine import Engine

_BATCH_ROWS = 10_000
_CACHED = 512
_TOO_MANY_ROWS = "The results of this query exceed the set limit of {} records."
_TOO_MANY_BYTES = "The results of this query exceed the set limit of {} bytes."


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Where a result is cut: `rows`, `bytes` (as Arrow holds them), and after how many `seconds` the query is stopped."""

    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A result: Arrow `batches` whose columns are `columns`, in order, and behind them the identity columns if asked for.

    datetime and timespan are ticks, dynamic is JSON text. `partial` says why rows are missing; `seconds` is the run time.
    """

    columns: tuple[Column, ...]
    batches: tuple[Any, ...]
    rows: int
    partial: str | None
    seconds: float
    render: Rendering | None

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

    def compile(self, text: str, *, window: bool = False, keep_identity: bool = False) -> CompiledQuery:
        """Compile for this workspace; cached until a schema changes. Raises the KQL room's `KqlError`."""
        key = (text, window, keep_identity, self._tables.version)
        with self._cache_lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                return found
        compiled = kql.compile(text, self._tables, window=window, keep_identity=keep_identity)
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
    ) -> QueryResult:
        """Compile and run on a worker; see `Workspace.query`."""
        within = limits or self.limits
        parameters = {"now": ticks_from_datetime(self._clock.now())}
        if timespan is not None:
            first, last = (ticks_from_datetime(moment) for moment in timespan)
            parameters |= {"t_from": first - 1, "t_to": last}  # the window of a compiled query leaves its start out

        def work(cursor: Any) -> QueryResult:
            compiled = self.compile(text, window=timespan is not None)
            return _execute(cursor, compiled, parameters, within)

        return await self._pool.run(work, cls, within.seconds)

    async def run(
        self, compiled: CompiledQuery, parameters: Mapping[str, int], cls: QueryClass, limits: QueryLimits | None
    ) -> QueryResult:
        """Run what is compiled; see `Workspace.run`."""
        within = limits or self.limits
        values = {"now": ticks_from_datetime(self._clock.now())} | dict(parameters)
        return await self._pool.run(lambda cursor: _execute(cursor, compiled, values, within), cls, within.seconds)


def _execute(cursor: Any, compiled: CompiledQuery, parameters: Mapping[str, int], limits: QueryLimits) -> QueryResult:
    started = perf_counter()
    used = {name: parameters[name] for name in compiled.parameters}
    batches, rows, size, partial = [], 0, 0, None
    try:
        reader = cursor.sql(compiled.sql, params=used or None).to_arrow_reader(_BATCH_ROWS)
        for batch in reader:
            if rows + batch.num_rows > limits.rows:
                batches.append(batch.slice(0, limits.rows - rows))
                rows, partial = limits.rows, _TOO_MANY_ROWS.format(limits.rows)
                break
            batches.append(batch)
            rows += batch.num_rows
            size += batch.nbytes
            if size > limits.bytes:
                partial = _TOO_MANY_BYTES.format(limits.bytes)
                break
    except duckdb.Error as error:
        raise translate_engine_error(error) from error
    return QueryResult(compiled.columns, tuple(batches), rows, partial, perf_counter() - started, compiled.render)
