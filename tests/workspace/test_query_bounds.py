"""What a query may hold and how long it may run, also where it reads another workspace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from starlette.responses import StreamingResponse

from lurewire.core.limits import Limits
from lurewire.kql import Column, KqlError, KqlType
from lurewire.workspace import LIMITS, QueryLimits, QueryTimeout, Workspace
from lurewire.workspace.admission import Admission
from lurewire.workspace.answers import respond
from lurewire.workspace.api import Answered
from lurewire.workspace.models import Prefer
from lurewire.workspace.views import WorkspacesView

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.core.clock import ManualClock

COLUMNS = [Column("TimeGenerated", KqlType.DATETIME), Column("n", KqlType.LONG)]


def large(kilobytes: int) -> str:
    """One row with a text of so many thousand characters."""
    rows = f"range i from 1 to {kilobytes} step 1 | extend s = strrep('x', 1000)"
    return f"{rows} | summarize s = strcat_array(make_list(s), '')"


async def test_a_result_is_cut_at_the_last_row_within_its_bytes(workspace: Workspace) -> None:
    limits = QueryLimits(500_000, 100_000, 60)
    found = await workspace.query("range i from 1 to 5000 step 1 | extend s = strrep('x', 1000)", limits=limits)
    assert 90 < found.rows < 100
    assert sum(batch.nbytes for batch in found.batches) <= limits.bytes
    assert found.partial == "The results of this query exceed the set limit of 100000 bytes."
    none = await workspace.query(large(200), limits=limits)
    assert (none.rows, none.partial is None) == (0, False)


async def test_few_rows_that_are_large_are_encoded_off_the_event_loop(workspace: Workspace, clock: ManualClock) -> None:
    for kilobytes, streams in ((1_000, True), (1, False)):
        found = await workspace.query(large(kilobytes))
        assert found.rows == 1
        async with Admission(clock, Limits(LIMITS)).turn("somebody") as hold:
            assert isinstance(respond(Answered(found, [], hold), Prefer(), 60), StreamingResponse) is streams


async def test_time_limit_stops_the_copying_of_another_workspace(
    workspace: Workspace, tmp_path: Path, clock: ManualClock
) -> None:
    other = Workspace(tmp_path / "other", clock, customer_id="0f0e0d0c-9999-4222-8333-444455556666")
    await other.start()
    try:
        for one in (workspace, other):
            await one.create_table("T_CL", COLUMNS)
        stored = other.tables.existing("T_CL")
        assert stored is not None
        cursor = other._engine.cursor()
        values = ", ".join(f"a.range as {column.sql}" for column in stored.columns if not column.constant)
        cursor.execute(f"drop table {stored.relation}")
        cursor.execute(
            f"create view {stored.relation} as select {values}, 1::bigint as _commit, 1 as _ordinal, 1::bigint as _received "
            "from range(10000000) a, range(10000000) b where hash(a.range, b.range) = 1"
        )
        cursor.close()
        view = WorkspacesView([workspace.origin(foreign=False), other.origin(foreign=True)], lambda _: None, 1 << 30)
        started = time.perf_counter()
        with pytest.raises(QueryTimeout):
            await workspace.query("T_CL | summarize sum(n)", limits=QueryLimits(10, 1_000_000, 0.3), view=view)
        assert time.perf_counter() - started < 10
        assert (await workspace.query("print 1")).values() == [(1,)]
    finally:
        await other.stop()


async def test_copies_of_other_workspaces_are_bounded(workspace: Workspace, tmp_path: Path, clock: ManualClock) -> None:
    other = Workspace(tmp_path / "other", clock, customer_id="0f0e0d0c-9999-4222-8333-444455556666")
    await other.start()
    try:
        for one in (workspace, other):
            await one.create_table("T_CL", COLUMNS)
            rows = [{"n": i} for i in range(1000)]
            await one.until_loaded(await one.append("T_CL", rows, key="rows"))
        origins = [workspace.origin(foreign=False), other.origin(foreign=True)]

        async def total(most: int, query: str = "T_CL | summarize sum(n)") -> int:
            view = WorkspacesView(origins, lambda _: None, most)
            return int((await workspace.query(query, view=view)).values()[0][0])

        assert await total(100_000) == 999_000
        with pytest.raises(KqlError, match="more than 20000 bytes, reached at their table 'T_CL'") as caught:
            await total(20_000)
        assert (caught.value.errors[0].kind, caught.value.errors[0].code) == ("limit", "LW0003")
        unpacked = "T_CL | project b = bag_pack('n', n) | evaluate bag_unpack(b) | summarize sum(n)"
        assert await total(40_000, unpacked) == 999_000, "what is copied again replaces the first copy"
        assert (await workspace.query("print 1")).values() == [(1,)]
    finally:
        await other.stop()


async def test_what_queries_have_on_disk_is_bounded(tmp_path: Path, clock: ManualClock) -> None:
    rows = "range i from 1 to 2000000 step 1 | extend s = strcat(i, strrep('x', 90))"
    query = f"{rows} | summarize n = count() by s | summarize sum(n), min(strlen(s))"
    for megabytes, fits in ((1, False), (10_000, True)):
        limits = Limits(LIMITS, {"workspace.engine_memory_mb": 150, "workspace.engine_spill_mb": megabytes})
        one = Workspace(
            tmp_path / str(megabytes), clock, customer_id="0f0e0d0c-9999-4222-8333-444455556666", limits=limits
        )
        await one.start()
        try:
            if fits:
                assert (await one.query(query)).values() == [(2_000_000, 91)]
            else:
                with pytest.raises(KqlError, match="more memory than it may use"):
                    await one.query(query)
        finally:
            await one.stop()
