"""The tables Usage and Operation: what a workspace took in, hour by hour, and what happened to it.

Source: https://learn.microsoft.com/azure/azure-monitor/reference/tables/usage, .../reference/tables/operation and
.../logs/analyze-usage (quantities are megabytes of 1,000,000 bytes of `_BilledSize`).
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lurewire.kql import datetime_from_ticks, datetime_text, ticks_from_datetime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.core.clock import Clock
    from lurewire.workspace.service import Workspace

USAGE = "Usage"
OPERATION = "Operation"

_HOUR = timedelta(hours=1)
_LOOK_BACK = timedelta(days=31)
_SOLUTION = "LogManagement"
_SYSTEM = "OMS"
_MEGABYTE = 1_000_000
_QUOTA_CATEGORY = "Data Collection Status"
_QUOTA_LEVELS = (("OverQuota", 1.0), ("ApproachingQuota", 0.8))
"""Names and shares as in Azure's ingestion status (https://learn.microsoft.com/azure/azure-monitor/logs/daily-cap)."""


class Usage:
    """Writes the hours of one workspace into its table Usage, each of them once."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock

    async def record(self) -> int:
        """Write every full hour until now that is not there yet; returns how many had data.

        An hour without data has no rows, as in Azure.
        """
        end = _hour(self._clock.now())
        start = max(await self._recorded() or end - _LOOK_BACK, end - _LOOK_BACK)
        if start >= end:
            return 0
        await self._workspace.until_loaded(self._workspace.acknowledged)
        hours: dict[datetime, list[dict[str, Any]]] = {}
        for table in self._workspace.tables.stored():
            if table.name == USAGE:
                continue
            async for hour, row in self._rows(table.name, start, end):
                hours.setdefault(hour, []).append(row)
        for hour, rows in sorted(hours.items()):
            commit = await self._workspace.append(USAGE, rows, key=f"usage/{hour.isoformat()}")
            await self._workspace.until_loaded(commit)  # the next record begins after what is there
        if hours:
            await self._check_quota()
        return len(hours)

    async def _check_quota(self) -> None:
        """Tell, once a day each, that the daily cap is near or reached: nothing is refused for it here."""
        quota = self._workspace.policy.quota_gb
        if quota is None:
            return
        today = self._clock.now().strftime("%Y-%m-%d")
        query = f"{USAGE} | where IsBillable and StartTime >= datetime({today}) | summarize sum(Quantity)"
        ((megabytes,),) = (await self._workspace.query(query)).values()
        taken = (megabytes or 0) / 1000
        level = next((name for name, part in _QUOTA_LEVELS if taken >= part * quota), None)
        if level is not None:
            detail = f"{level}: {taken:.3f} GB of the daily cap of {quota:g} GB came today. Nothing is refused for it."
            await self._workspace.note(_QUOTA_CATEGORY, "Warning", detail, key=f"quota/{today}/{level}")

    async def _recorded(self) -> datetime | None:
        """The end of the last hour that is written; hours of another workspace may have been imported."""
        if self._workspace.tables.existing(USAGE) is None:
            return None
        found = await self._workspace.query(f"{USAGE} | summarize Last = max(EndTime) by ResourceUri")
        ends = dict(_named(found, "ResourceUri", "Last"))
        last = ends.get(self._workspace.resource_id)
        return None if last is None else datetime_from_ticks(last)

    async def _rows(self, table: str, start: datetime, end: datetime) -> Any:
        first, last = (datetime_text(ticks_from_datetime(moment)) for moment in (start, end))
        query = (
            f"['{table}'] | where _TimeReceived >= datetime({first}) and _TimeReceived < datetime({last}) "
            "| summarize Bytes = sum(_BilledSize), Billable = take_any(_IsBillable) by Hour = bin(_TimeReceived, 1h)"
        )
        for size, billable, hour in _named(await self._workspace.query(query), "Bytes", "Billable", "Hour"):
            began = datetime_from_ticks(hour)
            yield (
                began,
                {
                    "TimeGenerated": began + _HOUR,
                    "StartTime": began,
                    "EndTime": began + _HOUR,
                    "DataType": table,
                    "Quantity": size / _MEGABYTE,
                    "QuantityUnit": "MBytes",
                    "IsBillable": billable == "true",
                    "Plan": "Analytics",
                    "Solution": _SOLUTION,
                    "ResourceUri": self._workspace.resource_id,
                    "SourceSystem": _SYSTEM,
                },
            )


def operation(category: str, status: str, detail: str, resource_uri: str) -> dict[str, Any]:
    """A row of Operation: `category` is the area, `status` Succeeded, Warning, Failed or Error."""
    return {
        "OperationCategory": category,
        "OperationStatus": status,
        "Detail": detail,
        "OperationKey": str(uuid.uuid4()),
        "Solution": _SOLUTION,
        "SourceSystem": _SYSTEM,
        "_ResourceId": resource_uri,
    }


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _named(result: Any, *names: str) -> Iterator[tuple[Any, ...]]:
    places = [next(i for i, column in enumerate(result.columns) if column.name == name) for name in names]
    for row in result.values():
        yield tuple(row[place] for place in places)
