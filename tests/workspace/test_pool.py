from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from lurewire.kql import Column, KqlError, KqlType
from lurewire.workspace import QueryLimits, QueryTimeout, TooManyQueries
from lurewire.workspace.engine import Engine
from lurewire.workspace.pool import QueryClass, QueryPool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lurewire.workspace import Workspace

ENDLESS = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[QueryPool]:
    engine = Engine(tmp_path, memory_mb=256, spill_mb=1_000, checkpoint_mb=16)
    engine.open()
    made = QueryPool(engine, workers=2, queue=5)
    made.start()
    yield made
    made.stop()
    engine.close()


def endless(cursor: Any) -> Any:
    return cursor.execute(ENDLESS).fetchall()


def one(cursor: Any) -> Any:
    return cursor.execute("select 1").fetchall()


async def test_no_statement_changes_a_setting(pool: QueryPool) -> None:
    def loosen(cursor: Any) -> None:
        cursor.execute("set max_temp_directory_size = '1TB'")

    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        await pool.run(loosen, "people", 10)


async def test_time_limit_stops_the_query_and_frees_the_worker(pool: QueryPool) -> None:
    started = time.perf_counter()
    with pytest.raises(QueryTimeout):
        await pool.run(endless, "people", 0.2)
    assert time.perf_counter() - started < 5
    assert await pool.run(one, "people", 10) == [(1,)]


async def test_cancelling_the_caller_stops_the_query(pool: QueryPool) -> None:
    task = asyncio.ensure_future(pool.run(endless, "people", 600))
    while not pool._running:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pool.run(one, "people", 10) == [(1,)]


async def test_rules_run_while_people_wait(pool: QueryPool) -> None:
    people = [asyncio.ensure_future(pool.run(endless, "people", 600)) for _ in range(3)]
    while not pool._running:
        await asyncio.sleep(0.01)
    assert await pool.run(one, "rules", 10) == [(1,)]
    assert sum(len(jobs) for jobs in pool._waiting.values()) == 2, "people have one worker of the two"
    for task in people:
        task.cancel()
    await asyncio.wait(people)


async def test_rules_come_first_on_a_shared_worker(pool: QueryPool) -> None:
    gate, order = threading.Event(), []

    def note(name: str) -> Any:
        return lambda _: order.append(name)

    def hold(_: Any) -> None:
        gate.wait(10)

    # People first, and running, before the rule is there: else the shared worker takes the rule and people's worker never comes.
    held = []
    classes: tuple[QueryClass, ...] = ("people", "rules")
    for running, cls in enumerate(classes, 1):
        held.append(asyncio.ensure_future(pool.run(hold, cls, 60)))
        while len(pool._running) < running:
            await asyncio.sleep(0.01)
    plan: list[tuple[QueryClass, str]] = [("people", "p"), ("rules", "r")]
    waiting = [asyncio.ensure_future(pool.run(note(name), cls, 60)) for cls, name in plan]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*held, *waiting)
    assert order[0] == "r"


async def test_queue_is_bounded(pool: QueryPool) -> None:
    waiting = [asyncio.ensure_future(pool.run(endless, "people", 600))]
    while not pool._running:
        await asyncio.sleep(0.01)
    waiting += [asyncio.ensure_future(pool.run(endless, "people", 600)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyQueries):
        await pool.run(one, "people", 1)
    assert await pool.run(one, "rules", 10) == [(1,)]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_stop_ends_what_runs_and_what_waits(pool: QueryPool) -> None:
    waiting = [asyncio.ensure_future(pool.run(endless, "people", 600)) for _ in range(3)]
    while not pool._running:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(pool.stop)
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, BaseException) for one in done)


async def test_errors_are_the_callers(pool: QueryPool) -> None:
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda _: 1 // 0, "people", 10)
    assert await pool.run(one, "people", 10) == [(1,)]


async def test_results_are_cut_at_rows_and_bytes(workspace: Workspace) -> None:
    rows = [{"Computer": f"{i:05}" + "x" * 200} for i in range(30_000)]
    await workspace.until_loaded(await workspace.append("Heartbeat", rows, key="rows"))
    result = await workspace.query("Heartbeat | project Computer", limits=QueryLimits(12_345, 1 << 30, 60))
    assert (result.rows, len(result.values())) == (12_345, 12_345)
    assert result.partial == "The results of this query exceed the set limit of 12345 records."
    result = await workspace.query("Heartbeat | project Computer", limits=QueryLimits(500_000, 100_000, 60))
    assert result.partial == "The results of this query exceed the set limit of 100000 bytes."
    assert 0 < result.rows < 30_000
    whole = await workspace.query("Heartbeat | project Computer", limits=QueryLimits(30_000, 1 << 30, 60))
    assert (whole.rows, whole.partial) == (30_000, None)


async def test_engine_errors_are_in_the_users_words(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", [Column("n", KqlType.LONG)])
    await workspace.until_loaded(await workspace.append("T_CL", [{"n": 2**62}], key="n"))
    with pytest.raises(KqlError, match="beyond the range of its type") as caught:
        await workspace.query("T_CL | project n + n")
    assert caught.value.errors[0].kind == "execution"
