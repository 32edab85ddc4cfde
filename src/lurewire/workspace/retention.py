"""Retention: rows go once they are older than their table's retention.

Age is counted from the time of receipt, so that rows which arrive late stay as long as all others. Rows are deleted in
bounded batches between two loads, on the loader's thread; DuckDB gives their blocks to the rows that come next
(measured against a file per period: bench/table_growth.py).
Source: https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

from lurewire.core.log import get_logger
from lurewire.kql import ticks_from_datetime
from lurewire.workspace.watchlist_rows import spared

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.core.clock import Clock
    from lurewire.workspace.catalog import StoredTable, Tables

    Run = Callable[[Callable[[Any], Any]], Awaitable[Any]]

_DAY = 86_400 * 10_000_000

_log = get_logger("workspace.retention")


class Retention:
    """Deletes what is too old; `run(work)` runs `work(cursor)` between two loads, `kept_days(table)` says how long."""

    def __init__(
        self, run: Run, tables: Tables, clock: Clock, kept_days: Callable[[str], int], batch_rows: int
    ) -> None:
        self._run = run
        self._tables = tables
        self._clock = clock
        self._kept_days = kept_days
        self._batch_rows = batch_rows

    async def sweep(self) -> int:
        """Delete the rows of all tables that are too old; returns how many. What a watchlist holds now does not age."""
        now = ticks_from_datetime(self._clock.now())
        deleted = 0
        for table in self._tables.stored():
            deleted += await self._sweep_table(table, now - self._kept_days(table.name) * _DAY)
        if deleted:
            await self._run(_free)
        return deleted

    async def _sweep_table(self, table: StoredTable, before: int) -> int:
        """Row numbers rise with the time of receipt, so that each batch is one stretch of the table."""
        first, last = await self._run(lambda cursor: _bounds(cursor, table, before))
        deleted = 0
        while first is not None and first <= last:
            until = first + self._batch_rows
            deleted += await self._run(_batch(table, first, until, before))
            first = until
        if deleted:
            _log.info("rows are past their retention and gone", table=table.name, rows=deleted)
        return deleted


def _bounds(cursor: Any, table: StoredTable, before: int) -> tuple[int | None, int]:
    """The first and last row number of what is too old; None where nothing is, or the table is gone."""
    statement = f"select min(rowid), max(rowid) from {table.relation} where _received < $before{spared(table)}"  # noqa: S608 - generated names
    try:
        ((first, last),) = cursor.execute(statement, {"before": before}).fetchall()
    except duckdb.CatalogException:  # dropped since the sweep began
        return None, 0
    return first, last or 0


def _batch(table: StoredTable, first: int, until: int, before: int) -> Callable[[Any], int]:
    statement = (
        f"delete from {table.relation} where rowid >= $first and rowid < $until and _received < $before{spared(table)}"  # noqa: S608 - generated names
    )

    def work(cursor: Any) -> int:
        parameters = {"first": first, "until": until, "before": before}
        try:
            ((count,),) = cursor.execute(statement, parameters).fetchall()
        except duckdb.CatalogException:  # dropped meanwhile
            return 0
        return int(count)

    return work


def _free(cursor: Any) -> None:
    """Whole blocks without rows are used again after a checkpoint."""
    try:
        cursor.execute("checkpoint")
    except duckdb.Error as error:  # a transaction is under way: the next checkpoint frees them
        _log.debug("checkpoint after retention failed", error=str(error))
