"""What a query of five minutes costs while its table grows, and what retention costs: `table_growth.py [ROWS ...]`.

A workspace for each size; events come at 100 a second, each up to a minute late, so that a window of five minutes has 30,000 rows however
long the history is. Rows are written straight into the engine's file in the order of their receipt, a million a transaction, as
the loader does it in bulk: its own path is measured by `ingest.py`, and what a query finds is the same. Queries go the product's
way: cached compilation, query worker, Arrow. Each window (the newest, and one in the midst of the table) is asked 60 times, the
sizes in turn, so that a slow moment of the machine is one for all of them; its cost is the median. That is done twice: by the
process that has just written all rows in a minute or two, which nobody does, and with the files opened again, where nothing of
the writing is in memory and the rows alone differ. The goal holds for the second; both are printed.

Retention both ways, at the first size above 1 million rows: deleting the oldest tenth in the product's batches with the blocks
used again for the next rows, against a file per tenth of which the oldest is unlinked, behind one view.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from common import finish, percentile
from lurewire.core.clock import ManualClock
from lurewire.core.limits import Limits
from lurewire.kql import Column, KqlType, ticks_from_datetime
from lurewire.workspace import LIMITS, Workspace
from lurewire.workspace.policies import WorkspacePolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.workspace import StoredTable

SIZES = (1_000_000, 10_000_000, 100_000_000)
GOAL = {"growth": 1.2}
PER_SECOND = 100
CHUNK = 1_000_000
ROUNDS = 60
PERIODS = 10
WINDOW = timedelta(minutes=5)
START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = [
    Column("TimeGenerated", KqlType.DATETIME),
    Column("EventID", KqlType.INT),
    Column("Account", KqlType.STRING),
    Column("SourceIp", KqlType.STRING),
    Column("Bytes", KqlType.LONG),
    Column("Details", KqlType.DYNAMIC),
]
QUERY = """Events_CL
| where EventID == 4625 and SourceIp startswith "10."
| summarize Failures = count(), Bytes = sum(Bytes) by Account
| where Failures > 3"""


class Growing:
    """A workspace with one table, which grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "w" / "workspace.duckdb"
        self.clock = ManualClock(START)
        self.workspace = self._workspace()
        self.rows = 0
        self.table: StoredTable

    def _workspace(self) -> Workspace:
        name = "00000000-0000-4000-8000-000000000000"
        return Workspace(self.folder / "w", self.clock, customer_id=name, limits=Limits(LIMITS))

    async def open(self) -> None:
        await self.workspace.start()
        self.table = await self.workspace.create_table("Events_CL", COLUMNS)

    async def open_again(self) -> None:
        """As a restart of the server does it."""
        await self.workspace.stop()
        self.workspace = self._workspace()
        await self.workspace.start()
        stored = self.workspace.tables.existing("Events_CL")
        assert stored is not None
        self.table = stored

    async def grow(self, rows: int) -> None:
        """Write until the table has had `rows` rows, then checkpoint."""
        while self.rows < rows:
            count = min(CHUNK, rows - self.rows)
            await self.run(insert(self.table.relation, self.rows, count, self.table))
            self.rows += count
        await self.run("checkpoint")
        self.clock.advance(max(0.0, (moment(self.rows) - self.clock.now()).total_seconds()))

    async def run(self, statement: str) -> None:
        await self.workspace._intake.run(lambda cursor: cursor.execute(statement))  # noqa: SLF001 - beside the way in

    async def ask(self, end: datetime) -> float:
        """The seconds of one window."""
        began = time.perf_counter()
        result = await self.workspace.query(QUERY, timespan=(end - WINDOW, end))
        seconds = time.perf_counter() - began
        assert result.rows, "the window has rows"
        return seconds


async def costs(tables: Sequence[Growing]) -> list[tuple[float, float]]:
    """The median seconds of the newest window and of one in the midst, of each table; two rounds do not count."""
    times: list[tuple[list[float], list[float]]] = [([], []) for _ in tables]
    for _ in range(ROUNDS + 2):
        for growing, (newest, midst) in zip(tables, times, strict=True):
            newest.append(await growing.ask(moment(growing.rows)))
            midst.append(await growing.ask(moment(growing.rows // 2)))
    return [(percentile(newest[2:], 50), percentile(midst[2:], 50)) for newest, midst in times]


def growth(measured: Sequence[tuple[float, float]]) -> float:
    """The largest table's cost against the smallest's, by the worse of the two windows."""
    return max(last / first for first, last in zip(measured[0], measured[-1], strict=True))


def moment(row: int) -> datetime:
    return START + timedelta(seconds=row / PER_SECOND)


def insert(relation: str, first: int, count: int, table: StoredTable) -> str:
    """The statement for rows in the order of their receipt; their own times are up to a minute before it."""
    step = 10_000_000 // PER_SECOND
    received = f"({ticks_from_datetime(START)} + i * {step})"
    values = {
        "TimeGenerated": f"{received} - (hash(i) % 600000000)::bigint",
        "EventID": "case when hash(i, 1) % 20 = 0 then 4625 else 4624 end",
        "Account": "'user' || (hash(i, 2) % 300)",
        "SourceIp": "'10.' || (hash(i, 3) % 256) || '.' || (hash(i, 4) % 256) || '.7'",
        "Bytes": "(hash(i, 5) % 100000)::bigint",
        "Details": """'{"port":' || (hash(i, 6) % 65536) || ',"protocol":"tcp"}'""",
    }
    stored = {column.name: column.sql for column in table.columns}
    names = [stored[name] for name in values] + ["_commit", "_ordinal", "_received"]
    chosen = [*values.values(), "i // 5000 + 1", "(i % 5000)::integer", received]
    return f"insert into {relation}({', '.join(names)}) select {', '.join(chosen)} from range({first}, {first + count}) r(i)"


async def retention(growing: Growing) -> dict[str, float]:
    """Both ways, on what the table holds now."""
    folder = growing.folder
    tenth = growing.rows // PERIODS
    before = growing.file.stat().st_size
    growing.workspace.policy = WorkspacePolicy(days=30)
    growing.clock.advance((moment(tenth) + timedelta(days=30) - growing.clock.now()).total_seconds())
    began = time.perf_counter()
    deleted = await growing.workspace.retention.sweep()
    seconds = time.perf_counter() - began
    assert abs(deleted - tenth) <= 1, deleted
    await growing.grow(growing.rows + tenth)
    end = moment(growing.rows)
    ((deleting, _),) = await costs([growing])
    compiled = growing.workspace.compile(QUERY, window=True)
    bounds = {"t_from": ticks_from_datetime(end - WINDOW), "t_to": ticks_from_datetime(end)}
    after = growing.file.stat().st_size
    dropped, by_file = await asyncio.to_thread(files, growing, folder, compiled.sql, bounds)
    print(f"\nretention of a tenth ({tenth:,} rows)      delete and use again   a file per period")
    print(f"taking it out                        {seconds:18.3f} s {dropped:17.3f} s")
    print(f"the five-minute query after it       {deleting * 1e3:17.2f} ms {by_file * 1e3:16.2f} ms")
    print(f"size of the file, with a new tenth in place of the old: {after / before:.3f} of what it was")
    return {
        "delete_s": seconds,
        "delete_query_ms": deleting * 1e3,
        "delete_size": after / before,
        "files_drop_s": dropped,
        "files_query_ms": by_file * 1e3,
    }


def files(growing: Growing, folder: Path, sql: str, bounds: dict[str, int]) -> tuple[float, float]:
    """A file per period behind one view: seconds to drop the oldest, and of the query."""
    relation, tenth = growing.table.relation, growing.rows // (PERIODS + 1)
    cursor = duckdb.connect(config={"threads": "2", "memory_limit": "1024MB"})
    create = ", ".join(f"{column.sql} {kind(column.type)}" for column in growing.table.columns)
    create += ', "_commit" bigint, "_ordinal" integer, "_received" bigint'
    for period in range(PERIODS + 1):
        cursor.execute(f"attach '{folder}/p{period}.duckdb' as p{period}")
        cursor.execute(f"create table p{period}.{relation}({create})")
        for first in range(period * tenth, (period + 1) * tenth, CHUNK):
            count = min(CHUNK, (period + 1) * tenth - first)
            cursor.execute(insert(f"p{period}.{relation}", first, count, growing.table))
        cursor.execute(f"checkpoint p{period}")
    began = time.perf_counter()
    cursor.execute("detach p0")
    (folder / "p0.duckdb").unlink()
    dropped = time.perf_counter() - began
    parts = " union all ".join(f"select * from p{period}.{relation}" for period in range(1, PERIODS + 1))
    cursor.execute(f"create view every as {parts}")
    text = re.sub(rf"\b{relation}\b", "every", sql)
    times = []
    for _ in range(ROUNDS + 2):
        began = time.perf_counter()
        assert cursor.sql(text, params=bounds).fetchall()
        times.append(time.perf_counter() - began)
    cursor.close()
    return dropped, percentile(times[2:], 50)


def kind(of: KqlType) -> str:
    return {"datetime": "bigint", "long": "bigint", "int": "integer"}.get(of, "varchar")


async def main(sizes: Sequence[int]) -> int:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="lurewire-bench-") as name:
        tables = [Growing(Path(name) / str(size)) for size in sizes]
        try:
            for growing, size in zip(tables, sizes, strict=True):
                await growing.open()
                await growing.grow(size)
            written = await costs(tables)
            for growing in tables:
                await growing.open_again()
            measured = await costs(tables)
            print("                newest window        midst of the table      newest     midst")
            print("rows            opened again         opened again            just written         file")
            for growing, (newest, midst), before in zip(tables, measured, written, strict=True):
                megabytes = growing.file.stat().st_size / 1e6
                shown = "".join(f"{seconds * 1e3:9.2f}" for seconds in before)
                print(
                    f"{growing.rows:>12,} {newest * 1e3:12.2f} ms {midst * 1e3:18.2f} ms {shown} {megabytes:15,.0f} MB"
                )
                figures |= {f"newest_{growing.rows}_ms": newest * 1e3, f"midst_{growing.rows}_ms": midst * 1e3}
            figures |= await retention(next((one for one in tables if one.rows > SIZES[0]), tables[-1]))
        finally:
            for growing in tables:
                await growing.workspace.stop()
    figures["growth"] = growth(measured)
    figures["growth_just_written"] = growth(written)
    return finish("table_growth", figures, GOAL)


if __name__ == "__main__":
    sys.exit(asyncio.run(main([int(size.replace("_", "")) for size in sys.argv[1:]] or SIZES)))
