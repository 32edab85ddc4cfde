"""Rows past their retention go, in batches, while others come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lurewire.core.limits import Limits
from lurewire.core.resources import ResourceId
from lurewire.kql import Column, KqlType
from lurewire.workspace import LIMITS, Workspace, Workspaces
from lurewire.workspace.policies import TablePolicy, WorkspacePolicy

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.core.clock import ManualClock

DAY = 86_400
ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
COLUMNS = [Column("TimeGenerated", KqlType.DATETIME), Column("n", KqlType.INT)]


async def add(workspace: Workspace, table: str, key: str, count: int, **more: object) -> None:
    rows = [{"n": i} | more for i in range(count)]
    await workspace.until_loaded(await workspace.append(table, rows, key=key))


async def count(workspace: Workspace, table: str) -> int:
    ((found,),) = (await workspace.query(f"{table} | count")).values()
    return int(found)


async def test_each_table_by_its_own_retention(workspace: Workspace, clock: ManualClock) -> None:
    workspace.policy = WorkspacePolicy(days=30)
    workspace.table_policies = {
        "Short_CL": TablePolicy(days=4),
        "Long_CL": TablePolicy(days=4, total_days=60),
    }
    for table in ("Short_CL", "Default_CL", "Long_CL"):
        await workspace.create_table(table, COLUMNS)
        await add(workspace, table, "old", 10, TimeGenerated="2020-01-01T00:00:00Z")
    clock.advance(4 * DAY)
    assert await workspace.retention.sweep() == 0, "age is counted from the time of receipt"
    clock.advance(1)
    await add(workspace, "Short_CL", "new", 3)
    assert await workspace.retention.sweep() == 10
    assert await count(workspace, "Short_CL") == 3
    clock.advance(26 * DAY)
    assert await workspace.retention.sweep() == 13
    clock.advance(30 * DAY)
    assert await workspace.retention.sweep() == 10
    assert [await count(workspace, table) for table in ("Short_CL", "Default_CL", "Long_CL")] == [0, 0, 0]


async def test_what_a_watchlist_holds_does_not_age(workspace: Workspace, clock: ManualClock) -> None:
    def row(item: str, status: str, *, of: str = "watchlist-item") -> dict[str, str]:
        return {
            "WatchlistId": "w",
            "_DTItemId": item,
            "WatchlistItemId": item,
            "_DTItemStatus": status,
            "_DTItemType": of,
        }

    early = [row("kept", "Create"), row("changed", "Create"), row("gone", "Create"), row("w", "Create", of="watchlist")]
    await workspace.watchlists.add(early)
    await workspace.watchlists.add([row("changed", "Update"), row("gone", "Delete")])
    clock.advance(31 * DAY)
    assert await workspace.retention.sweep() == 3
    left = (await workspace.query("Watchlist | project _DTItemId, _DTItemStatus | order by _DTItemId asc")).values()
    assert left == [("changed", "Update"), ("kept", "Create"), ("w", "Create")]


async def test_items_whose_time_is_over_are_deleted(workspace: Workspace, clock: ManualClock) -> None:
    common = {"WatchlistId": "w", "_DTItemStatus": "Create", "_DTItemType": "watchlist-item", "WatchlistItem": {}}
    ends = {"none": None, "soon": "2026-11-22T13:00:00Z", "later": "2026-11-23T12:00:00Z"}
    await workspace.watchlists.add(
        common | {"_DTItemId": name, "WatchlistItemId": name, "TimeToLive": end} for name, end in ends.items()
    )
    assert await workspace.watchlists.expire() == 0
    clock.advance(3600)
    assert await workspace.watchlists.expire() == 1
    assert await workspace.watchlists.expire() == 0
    again = common | {"_DTItemId": "soon", "WatchlistItemId": "soon", "TimeToLive": "2026-11-24T12:00:00Z"}
    await workspace.watchlists.add([again])
    assert await workspace.watchlists.expire() == 0
    left = await workspace.watchlists.items("w", after="", most=10)
    assert [item["WatchlistItemId"] for item in left] == ["later", "none", "soon"]


async def test_in_batches_between_loads(tmp_path: Path, clock: ManualClock) -> None:
    limits = Limits(LIMITS, {"workspace.retention_batch_rows": 7})
    workspace = Workspace(tmp_path, clock, customer_id="0f0e0d0c-1111-4222-8333-444455556666", limits=limits)
    await workspace.start()
    try:
        await workspace.create_table("T_CL", COLUMNS)
        for key in "abc":
            await add(workspace, "T_CL", key, 50)
        clock.advance(31 * DAY)
        sweep = asyncio.ensure_future(workspace.retention.sweep())
        await add(workspace, "T_CL", "new", 5)
        assert await sweep == 150
        assert await count(workspace, "T_CL") == 5
        assert await workspace.append("T_CL", [{"n": 1}], key="new") > 0
    finally:
        await workspace.stop()


async def test_a_table_that_is_dropped_meanwhile(workspace: Workspace, clock: ManualClock) -> None:
    await workspace.create_table("T_CL", COLUMNS)
    await add(workspace, "T_CL", "a", 5)
    clock.advance(31 * DAY)
    sweep = asyncio.ensure_future(workspace.retention.sweep())
    await workspace.drop_table("T_CL")
    assert await sweep in (0, 5)


async def test_blocks_are_used_again(workspace: Workspace, clock: ManualClock, tmp_path: Path) -> None:
    workspace.policy = WorkspacePolicy(days=7)
    await workspace.create_table("T_CL", [*COLUMNS, Column("text", KqlType.STRING)])
    sizes = []
    for week in range(4):
        for part in range(2):
            key = f"{week}/{part}"
            rows = [{"n": i, "text": f"{week} {part} {i} {i * 7919 % 10007}" * 8} for i in range(65_000)]
            await workspace.until_loaded(await workspace.append("T_CL", rows, key=key))
        await workspace._intake.run(lambda cursor: cursor.execute("checkpoint"))
        sizes.append((tmp_path / "ws" / "workspace.duckdb").stat().st_size)
        clock.advance(8 * DAY)
        assert await workspace.retention.sweep() == 130_000
    assert sizes[3] <= 1.4 * sizes[0], sizes


async def test_it_happens_by_itself(tmp_path: Path, clock: ManualClock) -> None:
    workspaces = Workspaces(tmp_path, clock)
    workspace = await workspaces.open(ResourceId.parse(ID), "0f0e0d0c-1111-4222-8333-444455556666")
    try:
        await workspace.create_table("T_CL", COLUMNS)
        await add(workspace, "T_CL", "a", 5)
        clock.advance(31 * DAY)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert await count(workspace, "T_CL") == 5, "how long the rows stay is not known yet"
        workspaces.start_upkeep()
        while await count(workspace, "T_CL"):
            clock.advance(DAY)
            await asyncio.sleep(0.01)
    finally:
        await workspaces.stop()


@pytest.mark.parametrize(
    ("policy", "days"),
    [
        (TablePolicy(), 90),
        (TablePolicy(days=30), 30),
        (TablePolicy(total_days=365), 365),
        (TablePolicy(days=200, total_days=200), 200),
    ],
)
def test_how_long_rows_stay(policy: TablePolicy, days: int) -> None:
    assert policy.kept_days(WorkspacePolicy(days=90)) == days


def test_a_workspace_that_says_nothing_of_a_cap_or_of_features() -> None:
    for more in ({}, {"workspaceCapping": None, "features": None}, {"workspaceCapping": {"dailyQuotaGb": -1.0}}):
        assert WorkspacePolicy.of({"properties": {"retentionInDays": 90} | more}) == WorkspacePolicy(days=90)
