"""The tables Usage and Operation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lurewire.kql import Column, KqlType, ticks_from_datetime
from lurewire.workspace.policies import WorkspacePolicy

if TYPE_CHECKING:
    from lurewire.core.clock import ManualClock
    from lurewire.workspace import Workspace

HOUR = 3600


async def values(workspace: Workspace, query: str) -> list[tuple[Any, ...]]:
    return (await workspace.query(query)).values()


def ticks(moment: datetime) -> int:
    return ticks_from_datetime(moment)


async def test_each_hour_once(workspace: Workspace, clock: ManualClock) -> None:
    start = clock.now()
    await workspace.create_table("T_CL", [Column("TimeGenerated", KqlType.DATETIME), Column("text", KqlType.STRING)])
    await workspace.append("T_CL", [{"text": "x" * 1_000_000}], key="a")
    await workspace.append("Heartbeat", [{"Computer": "c"}], key="a")
    clock.advance(HOUR)
    await workspace.append("T_CL", [{"text": "y" * 500_000}], key="b")
    assert await workspace.usage.record() == 1, "an hour that goes on is not written"
    assert await workspace.usage.record() == 0
    clock.advance(3 * HOUR)
    assert await workspace.usage.record() == 1, "hours without data have no rows"
    shown = (
        "Usage | where DataType == 'T_CL' | sort by StartTime asc "
        "| project StartTime, EndTime, TimeGenerated, IsBillable, QuantityUnit, round(Quantity, 3)"
    )
    first, second = ticks(start), ticks(start + timedelta(hours=1))
    third = ticks(start + timedelta(hours=2))
    assert await values(workspace, shown) == [
        (first, second, second, True, "MBytes", 1.0),
        (second, third, third, True, "MBytes", 0.5),
    ]
    beside = "Usage | where DataType != 'T_CL' | project DataType, IsBillable, Quantity > 0 and Quantity < 0.001"
    assert await values(workspace, beside) == [("Heartbeat", False, True)]
    ((exact,),) = await values(workspace, "T_CL | summarize sum(_BilledSize)")
    ((total,),) = await values(workspace, "Usage | where DataType == 'T_CL' | summarize sum(Quantity)")
    assert abs(total * 1_000_000 - exact) < 1


async def test_after_a_pause_the_hours_that_are_missing(workspace: Workspace, clock: ManualClock) -> None:
    for hour in range(3):
        await workspace.append("Heartbeat", [{"Computer": "c"}], key=str(hour))
        clock.advance(HOUR)
    assert await workspace.usage.record() == 3
    assert await values(workspace, "Usage | count") == [(3,)]


async def test_hours_of_another_workspace_stop_nothing(workspace: Workspace, clock: ManualClock) -> None:
    later = (clock.now() + timedelta(days=1)).isoformat()
    commit = await workspace.append("Usage", [{"EndTime": later, "ResourceUri": "/another"}], key="imported")
    await workspace.until_loaded(commit)
    await workspace.append("Heartbeat", [{"Computer": "c"}], key="a")
    clock.advance(HOUR)
    assert await workspace.usage.record() == 1


async def test_the_daily_cap_is_told(workspace: Workspace, clock: ManualClock) -> None:
    workspace.policy = WorkspacePolicy(quota_gb=0.001)
    for part in range(3):
        rows = [{"text": "x" * 450_000}] if part else [{"text": "x" * 850_000}]
        await workspace.create_table(
            "T_CL", [Column("TimeGenerated", KqlType.DATETIME), Column("text", KqlType.STRING)]
        )
        await workspace.append("T_CL", rows, key=str(part))
        clock.advance(HOUR)
        await workspace.usage.record()
    await workspace.until_loaded(workspace.acknowledged)
    shown = "Operation | where OperationCategory == 'Data Collection Status' | project OperationStatus, Detail"
    found = await values(workspace, shown)
    assert [status for status, _ in found] == ["Warning", "Warning"]
    assert [detail.split(":")[0] for _, detail in found] == ["ApproachingQuota", "OverQuota"], "each once a day"
    assert await values(workspace, "T_CL | count") == [(3,)]


async def test_operations(workspace: Workspace) -> None:
    await workspace.note("Table", "Succeeded", "The table T_CL was created with 2 columns.")
    await workspace.until_loaded(workspace.acknowledged)
    shown = "Operation | project OperationCategory, OperationStatus, Detail, isempty(OperationKey)"
    assert await values(workspace, shown) == [
        ("Table", "Succeeded", "The table T_CL was created with 2 columns.", False)
    ]
