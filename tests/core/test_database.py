from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from lurewire.core.database import SCHEMA_VERSION, Database, after_commit
from lurewire.core.errors import StateFolderError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRITER = """
import asyncio, pathlib, sys
import sqlalchemy as sa
from lurewire.core.database import Database

tables = sa.MetaData()
notes = sa.Table("notes", tables, sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String))
db = Database(pathlib.Path(sys.argv[1]), tables)
db.open()
name, count, together = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

async def write(number):
    await db.write(lambda conn: conn.execute(notes.insert().values(text=f"{name}{number}")))
    print(number, flush=True)

async def main():
    for first in range(0, count, together):
        await asyncio.gather(*(write(n) for n in range(first, first + together)))

asyncio.run(main())
db.close()
"""


def texts(db: Database, notes: sa.Table) -> list[str]:
    return db.read(lambda conn: list(conn.execute(sa.select(notes.c.text).order_by(notes.c.id)).scalars()))


def insert(notes: sa.Table, text: str) -> Callable[[sa.Connection], None]:
    def work(conn: sa.Connection) -> None:
        conn.execute(notes.insert().values(text=text))

    return work


async def test_write_returns_the_result_and_read_sees_it(database: Database, notes: sa.Table) -> None:
    result = await database.write(lambda c: c.execute(notes.insert().values(text="a")).inserted_primary_key)
    assert result == (1,)
    assert await asyncio.to_thread(texts, database, notes) == texts(database, notes) == ["a"]


async def test_many_writes_share_a_commit(database: Database, notes: sa.Table) -> None:
    started, go = threading.Event(), threading.Event()

    def hold(_conn: sa.Connection) -> None:
        started.set()
        go.wait(10)

    commits: list[int] = []

    def transaction(conn: sa.Connection) -> None:
        # total_changes grows through a whole transaction; what is visible to another connection does not.
        with contextlib.closing(sqlite3.connect(str(database._path))) as other:
            commits.append(other.execute("select count(*) from notes").fetchone()[0])
        conn.execute(notes.insert().values(text=str(len(commits))))

    first = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(started.wait, 10)
    rest = [asyncio.create_task(database.write(transaction)) for _ in range(50)]
    await asyncio.sleep(0.05)
    go.set()
    await asyncio.gather(first, *rest)
    assert commits == [0] * 50, "the fifty that waited were one transaction"
    assert len(texts(database, notes)) == 50


async def test_a_failing_job_undoes_itself_and_nothing_else(database: Database, notes: sa.Table) -> None:
    started, go = threading.Event(), threading.Event()

    def hold(conn: sa.Connection) -> None:
        started.set()
        go.wait(10)
        conn.execute(notes.insert().values(text="first"))

    def fail(conn: sa.Connection) -> None:
        conn.execute(notes.insert().values(text="undone"))
        after_commit(conn, lambda: called.append("fail"))
        msg = "broken"
        raise LookupError(msg)

    def constraint(conn: sa.Connection) -> None:
        conn.execute(notes.insert().values(text="undone too"))
        conn.execute(notes.insert().values(text="first"))

    called: list[str] = []
    tasks = [asyncio.create_task(database.write(hold))]
    await asyncio.to_thread(started.wait, 10)
    tasks += [asyncio.create_task(database.write(work)) for work in (fail, constraint, insert(notes, "last"))]
    await asyncio.sleep(0.05)
    go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], sa.exc.IntegrityError)
    assert texts(database, notes) == ["first", "last"]
    assert called == []


async def test_after_commit_runs_when_others_can_see_the_row(database: Database, notes: sa.Table) -> None:
    seen: list[tuple[str, list[str]]] = []

    def work(conn: sa.Connection) -> None:
        conn.execute(notes.insert().values(text="a"))
        after_commit(conn, lambda: seen.append((threading.current_thread().name, texts(database, notes))))
        assert texts(database, notes) == [], "a reader on the writer's thread sees what is committed"

    await database.write(work)
    assert seen == [("db-writer-control.db", ["a"])]


async def test_a_failing_after_commit_callback_does_not_end_the_writer(database: Database, notes: sa.Table) -> None:
    def broken() -> None:
        msg = "broken"
        raise LookupError(msg)

    def work(conn: sa.Connection) -> None:
        conn.execute(notes.insert().values(text="a"))
        after_commit(conn, broken)

    await database.write(work)
    async with asyncio.timeout(10):
        await database.write(insert(notes, "b"))
    assert texts(database, notes) == ["a", "b"]


async def test_a_write_cancelled_before_its_turn_is_not_made(database: Database, notes: sa.Table) -> None:
    started, go = threading.Event(), threading.Event()

    def hold(_conn: sa.Connection) -> None:
        started.set()
        go.wait(10)

    first = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(started.wait, 10)
    second = asyncio.create_task(database.write(insert(notes, "cancelled")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    go.set()
    await first
    await database.write(insert(notes, "kept"))
    assert texts(database, notes) == ["kept"]


def test_a_read_is_one_snapshot_also_when_nested(database: Database, notes: sa.Table) -> None:
    database.write_blocking(insert(notes, "a"))

    def twice(conn: sa.Connection) -> tuple[int, int, int]:
        count = sa.select(sa.func.count()).select_from(notes)
        before = conn.execute(count).scalar_one()
        thread = threading.Thread(target=lambda: database.write_blocking(insert(notes, "b")))
        thread.start()
        thread.join(10)
        return before, conn.execute(count).scalar_one(), database.read(lambda c: c.execute(count).scalar_one())

    assert database.read(twice) == (1, 1, 1)
    assert texts(database, notes) == ["a", "b"]


def test_a_read_cannot_write_and_a_failed_read_harms_nothing(database: Database, notes: sa.Table) -> None:
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        database.read(insert(notes, "a"))
    with pytest.raises(ZeroDivisionError):
        database.read(lambda _conn: 1 / 0)
    assert texts(database, notes) == []


async def test_a_full_disk_is_an_error_for_its_writer_and_over_when_there_is_room(
    database: Database, notes: sa.Table
) -> None:
    def pages(count: int) -> Callable[[sa.Connection], object]:
        return lambda conn: conn.exec_driver_sql(f"pragma max_page_count={count}")

    used = database.read(lambda c: c.exec_driver_sql("pragma page_count").scalar_one())
    await database.write(pages(used))
    results = await asyncio.gather(
        *(database.write(insert(notes, str(n) + "x" * 100_000)) for n in range(3)), return_exceptions=True
    )
    assert all(isinstance(r, sa.exc.OperationalError) and "full" in str(r) for r in results), results
    assert texts(database, notes) == []
    await database.write(pages(100_000))
    await database.write(insert(notes, "room again"))
    assert texts(database, notes) == ["room again"]


def test_close_finishes_what_was_handed_in_and_refuses_more(tmp_path: Path, tables: sa.MetaData) -> None:
    notes = tables.tables["notes"]
    db = Database(tmp_path / "control.db", tables)
    with pytest.raises(RuntimeError, match="not open"):
        db.write_blocking(insert(notes, "a"))
    db.open()
    futures = [db._submit(insert(notes, str(n))) for n in range(1000)]
    db.close()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="not open"):
        db.write_blocking(insert(notes, "late"))
    db.open()
    assert len(texts(db, notes)) == 1000
    db.close()


def test_only_the_owner_can_read_the_files(database: Database, notes: sa.Table) -> None:
    database.write_blocking(insert(notes, "a"))
    files = list(database._path.parent.glob("control.db*"))
    assert len(files) > 1
    assert [f.name for f in files if stat.S_IMODE(f.stat().st_mode) & 0o077] == []


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, -1])
def test_another_schema_version_is_refused(tmp_path: Path, tables: sa.MetaData, version: int) -> None:
    path = tmp_path / "control.db"
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.execute(f"pragma user_version={version}")
    with pytest.raises(StateFolderError, match=rf"schema version {version}.*has version {SCHEMA_VERSION}"):
        Database(path, tables).open()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, tables: sa.MetaData) -> None:
    path = tmp_path / "control.db"
    path.write_bytes(b"GIF89a" * 1000)
    with pytest.raises(StateFolderError, match=r"control\.db cannot be opened: file is not a database"):
        Database(path, tables).open()
    assert path.read_bytes() == b"GIF89a" * 1000


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    acknowledged: set[int] = set()
    for round_number in range(3):
        command = [sys.executable, "-c", WRITER, str(path), f"round{round_number}-", "1000000", "8"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                acknowledged.add(int(line))
                if len(acknowledged) == 100:
                    process.send_signal(signal.SIGKILL)
            # The rest of what it had printed was read, too: all of it was acknowledged.
        with contextlib.closing(sqlite3.connect(path)) as conn:
            assert conn.execute("pragma integrity_check").fetchone() == ("ok",)
            rows = conn.execute("select text from notes where text like ?", (f"round{round_number}-%",)).fetchall()
        stored = [int(text.split("-")[1]) for (text,) in rows]
        assert len(acknowledged) >= 100
        assert acknowledged <= set(stored)
        assert len(stored) == len(set(stored))
        acknowledged.clear()


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, "200", "1"], stdout=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [p.returncode for p in processes] == [0, 0]
    assert all([json.loads(line) for line in out.split()] == list(range(200)) for out in outputs)
    with contextlib.closing(sqlite3.connect(path)) as conn:
        assert conn.execute("select count(distinct text) from notes").fetchone() == (400,)
