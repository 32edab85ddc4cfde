"""The rows of the table Watchlist: every change of a watchlist or an item is one, and what is current is read from them.

As in Azure, an item is what its newest row says, unless that says that it was deleted; `_GetWatchlist('alias')` is a view of
the current items. So the journal that makes rows durable makes items durable, and there is nothing beside it to agree with.
Sources: https://learn.microsoft.com/azure/azure-monitor/reference/tables/watchlist and
https://learn.microsoft.com/azure/sentinel/watchlists-queries.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from sqlglot import exp

from lurewire.kql import Column, KqlType, Table, datetime_text, ticks_from_datetime
from lurewire.schemas import standard_watchlist, watchlist_columns
from lurewire.workspace.catalog import LEADING, TRAILING
from lurewire.workspace.streams import MAX_ROWS
from lurewire.workspace.watchlist_content import digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from lurewire.core.clock import Clock
    from lurewire.workspace.catalog import StoredTable
    from lurewire.workspace.service import Workspace

    Read = Callable[[Callable[[Any], Any], float], Awaitable[Any]]
    Run = Callable[[Callable[[Any], Any]], Awaitable[Any]]

Row = dict[str, Any]
"""A row by column: a datetime is its text, a dynamic value what JSON has for it; a current one has its `ETAG`."""

WATCHLIST = "Watchlist"
"""The table of Azure that all watchlists are rows of."""
ETAG = "etag"
ITEM_TYPE, LIST_TYPE = "watchlist-item", "watchlist"
"""The values of `_DTItemType`."""

_CHUNK_ROWS = 1_000
_CHUNK_BYTES = 1 << 20  # of their items: the steps that make a chunk ready hold the interpreter for milliseconds each
_READ_SECONDS = 600.0  # of a statement over as many items as there may be
_PLACE = f"(_commit * {MAX_ROWS} + _ordinal)"
"""A row's place among all: of two rows the later one has the greater."""


class WatchlistRows:
    """The watchlists of one workspace; `read(work, seconds)` runs `work(cursor)` on a query worker, `run(work)` between two loads.

    Its methods raise `JournalError`, `QueryTimeout` and `TooManyQueries`.
    """

    def __init__(self, workspace: Workspace, clock: Clock, read: Read, run: Run) -> None:
        self._workspace = workspace
        self._clock = clock
        self._read = read
        self._run = run
        self._relations: dict[str, str] = {}

    async def add(self, rows: Iterable[Row]) -> None:
        """Store rows durably, in their order; returns once queries see them. They are made as they are taken, on a thread."""
        await self._workspace.until_loaded(await self._append(rows))

    async def _append(self, rows: Iterable[Row]) -> int:
        commit, left = 0, iter(rows)
        while chunk := await asyncio.to_thread(_chunk, left):
            commit = await self._workspace.append_patiently(WATCHLIST, chunk, key=str(uuid.uuid4()))
        return commit

    async def has(self, watchlist: str, correlation: str) -> bool:
        """Whether the change of a watchlist that is called `correlation` is among its rows."""
        table = self._table()
        where = f"{_sql(table, 'WatchlistId')} = $watchlist and {_sql(table, 'CorrelationId')} = $correlation"
        statement = f"select exists(select 1 from {table.relation} where {where})"  # noqa: S608 - generated names only
        return bool(await self._scalar(statement, {"watchlist": watchlist, "correlation": correlation}))

    async def item(self, watchlist: str, item: str) -> Row | None:
        """The current row of an item, whose id counts without case; None where there is none."""
        where = f"lower({_sql(self._table(), 'WatchlistItemId')}) = $item"
        found = await self._current(watchlist, where, {"item": item.lower()}, 1)
        return found[0] if found else None

    async def items(self, watchlist: str, *, after: str, most: int) -> list[Row]:
        """The current rows of a watchlist's items by id: those behind the id `after`, `most` of them."""
        where = f"{_sql(self._table(), 'WatchlistItemId')} > $after"
        return await self._current(watchlist, where, {"after": after}, most)

    async def present(self, watchlist: str, digests: AbstractSet[bytes]) -> set[bytes]:
        """Those of `digests` that current items of a watchlist have."""
        table = self._table()
        statement = f"select {_sql(table, 'WatchlistItem')} {_newest(table, _of(table))}"

        def work(cursor: Any) -> set[bytes]:
            found: set[bytes] = set()
            read = cursor.execute(statement, {"watchlist": watchlist})
            while texts := read.fetchmany(_CHUNK_ROWS):
                found.update(known for (text,) in texts if (known := digest(msgspec.json.decode(text))) in digests)
            return found

        there: set[bytes] = await self._read(work, _READ_SECONDS)
        return there

    async def bound(self) -> int:
        """What `count` is at most, without looking at the items: all rows of the table."""
        return int(await self._scalar(f"select count(*) from {self._table().relation}", {}))  # noqa: S608 - a generated name

    async def count(self) -> int:
        """How many items all watchlists have."""
        table = self._table()
        return int(await self._scalar(f"select count(*) {_newest(table, _of(table, None))}", {}))

    async def remove(self, watchlist: str, by: Row, item: str | None = None) -> int:
        """Note a watchlist's items as deleted, all or one; returns how many."""
        where = "true" if item is None else f"{_sql(self._table(), 'WatchlistItemId')} = $item"
        return await self._remove(watchlist, where, {} if item is None else {"item": item}, by)

    async def expire(self) -> int:
        """Note the items as deleted whose time to live is over; returns how many."""
        if self._workspace.tables.existing(WATCHLIST) is None:
            return 0
        where = f"{_sql(self._table(), 'TimeToLive')} <= $now"
        return await self._remove(None, where, {"now": ticks_from_datetime(self._clock.now())}, {})

    async def _remove(self, watchlist: str | None, where: str, values: dict[str, Any], by: Row) -> int:
        """In parts, so that there is never more than one of them in memory."""
        table = self._table()
        of = _of(table) if watchlist is not None else _of(table, None)
        # Whatever `where` says of an item holds for all its rows, but for those before its last deletion.
        statement = f"select {_PLACE} as place {_newest(table, f'{of} and {where}')} order by place"
        given = values if watchlist is None else values | {"watchlist": watchlist}
        places = await self._read(lambda cursor: cursor.execute(statement, given).fetchnumpy()["place"], _READ_SECONDS)
        now = datetime_text(ticks_from_datetime(self._clock.now()))
        change = {"_DTItemStatus": "Delete", "_DTTimestamp": now, "LastUpdatedTimeUTC": now, "UpdatedBy": by}
        commit = 0
        for start in range(0, len(places), _CHUNK_ROWS):
            part = places[start : start + _CHUNK_ROWS].tolist()
            commits = {"first": part[0] // MAX_ROWS, "last": part[-1] // MAX_ROWS}
            at = f"_commit between $first and $last and {_PLACE} in (select unnest($places))"
            rows = await self._selected(f"from {table.relation} where {at}", commits | {"places": part})
            commit = await self._append(row | change for row in rows)
        await self._workspace.until_loaded(commit)
        return len(places)

    async def share(self, alias: str, watchlist: str, search_key: str) -> None:
        """Have `_GetWatchlist(alias)` give the current items, with all columns that any row of an item has.

        So a column stays when the last item that has it goes, and what names it goes on to work.
        """
        table = self._table()
        keys = f"select distinct unnest(json_keys({_sql(table, 'WatchlistItem')})) from {table.relation} where {_of(table)}"  # noqa: S608 - generated names only
        names = {name for (name,) in await self._rows(keys, {"watchlist": watchlist})}
        standard = {column.name for column in standard_watchlist(alias) or ()}
        columns = watchlist_columns(Column(name, KqlType.STRING) for name in sorted({*names, *standard, search_key}))
        prefix = f"watchlist_{uuid.UUID(watchlist).hex}_"
        relation = prefix + hashlib.blake2b(repr(columns).encode(), digest_size=8).hexdigest()
        if self._relations.get(alias) == relation:
            return
        known = alias in self._relations
        statement = f"create or replace view lw.{relation} as {_view(table, watchlist, columns)}"

        def work(cursor: Any) -> None:
            if not known:  # those of earlier runs; a query of this one may still read the last view
                _drop_views(cursor, prefix)
            cursor.execute(statement)

        await self._run(work)
        self._relations[alias] = relation
        physical = tuple(f"v{place}" for place in range(len(columns)))
        shared = Table(f"_GetWatchlist('{alias}')", columns, f"lw.{relation}", physical, time_column=None)
        self._workspace.tables.share_watchlist(alias, shared)

    async def forget(self, alias: str, watchlist: str) -> None:
        """Take `_GetWatchlist(alias)` away."""
        self._relations.pop(alias, None)
        self._workspace.tables.share_watchlist(alias, None)
        await self._run(lambda cursor: _drop_views(cursor, f"watchlist_{uuid.UUID(watchlist).hex}_"))

    async def _current(self, watchlist: str, where: str, values: dict[str, Any], most: int) -> list[Row]:
        """Current rows of a watchlist's items, by id, with their etags."""
        table = self._table()
        newest = _newest(table, f"{_of(table)} and {where}")  # all rows of an item have its id
        rest = f"{newest} order by {_sql(table, 'WatchlistItemId')} limit {most:d}"
        etag = "concat('\"', _commit, '-', _ordinal, '\"')"
        return await self._selected(rest, values | {"watchlist": watchlist}, **{ETAG: etag})

    async def _selected(self, rest: str, values: dict[str, Any], **more: str) -> list[Row]:
        """The rows of a statement from its `from` on, with the values of `more` expressions."""
        own = [c for c in self._table().columns if c.name not in (*LEADING, *TRAILING)]
        selected = ", ".join([*(column.sql for column in own), *more.values()])
        kinds = [(column.name, column.type) for column in own] + [(name, KqlType.STRING) for name in more]

        def work(cursor: Any) -> list[Row]:
            found = cursor.execute(f"select {selected} {rest}", values).fetchall()
            return [
                {name: _value(kind, value) for (name, kind), value in zip(kinds, row, strict=True)} for row in found
            ]

        rows: list[Row] = await self._read(work, _READ_SECONDS)
        return rows

    async def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = await self._read(
            lambda cursor: cursor.execute(statement, values).fetchall(), _READ_SECONDS
        )
        return found

    async def _scalar(self, statement: str, values: dict[str, Any]) -> Any:
        ((found,),) = await self._rows(statement, values)
        return found

    def _table(self) -> StoredTable:
        table = self._workspace.tables.find(WATCHLIST)
        assert table is not None
        return table


def _chunk(rows: Iterator[Row]) -> list[Row]:
    """The next rows, which go into the journal as one."""
    chunk, size = [], 0
    for row in rows:
        chunk.append(row)
        size += len(msgspec.json.encode(row.get("WatchlistItem")))
        if len(chunk) == _CHUNK_ROWS or size >= _CHUNK_BYTES:
            break
    return chunk


def spared(table: StoredTable) -> str:
    """The condition for rows that may go once they are too old: all but those of the table Watchlist that are current."""
    if table.name != WATCHLIST:
        return ""
    return f" and {_PLACE} not in (select {_PLACE} {_newest(table, 'true')})"


def _newest(table: StoredTable, of: str) -> str:
    """The `from` and `where` of the newest rows of what `of` selects, but for those that say that it was deleted."""
    named = f"{_sql(table, 'WatchlistId')}, {_sql(table, '_DTItemId')}"
    newest = f"select max({_PLACE}) as newest from {table.relation} where {of} group by {named}"  # noqa: S608 - generated names only
    place, status = f"{_PLACE} = n.newest", f"{_sql(table, '_DTItemStatus')} <> 'Delete'"
    return f"from {table.relation} semi join ({newest}) n on {place} where {status}"


def _of(table: StoredTable, watchlist: str | None = "$watchlist") -> str:
    """The condition for the rows of a watchlist's items, or with None of all watchlists'."""
    items = f"{_sql(table, '_DTItemType')} = '{ITEM_TYPE}'"
    return items if watchlist is None else f"{_sql(table, 'WatchlistId')} = {watchlist} and {items}"


def _view(table: StoredTable, watchlist: str, columns: Sequence[Column]) -> str:
    """The statement for the current items as rows of `columns`, called v0, v1, ...; every value of an item is a text."""
    stored = {name: _sql(table, name) for name in ("_DTItemId", "LastUpdatedTimeUTC", "SearchKey")}
    item = _sql(table, "WatchlistItem")
    values = []
    for place, column in enumerate(columns):
        pointer = _text("/" + column.name.replace("~", "~0").replace("/", "~1"))
        value = stored.get(column.name) or f"coalesce(json_extract_string({item}, {pointer}), '')"
        values.append(f"{value} as v{place}")
    return f"select {', '.join(values)} {_newest(table, _of(table, _text(str(uuid.UUID(watchlist)))))}"


def _text(value: str) -> str:
    return exp.Literal.string(value).sql("duckdb")


def _drop_views(cursor: Any, prefix: str) -> None:
    statement = "select view_name from duckdb_views() where schema_name = 'lw' and starts_with(view_name, ?)"
    for (name,) in cursor.execute(statement, [prefix]).fetchall():
        cursor.execute(f"drop view lw.{name}")


def _sql(table: StoredTable, name: str) -> str:
    column = table.column(name)
    assert column is not None
    return column.sql


def _value(kind: KqlType, value: Any) -> Any:
    if value is None:
        return None
    if kind is KqlType.DATETIME:
        return datetime_text(value)
    return msgspec.json.decode(value) if kind is KqlType.DYNAMIC else value
