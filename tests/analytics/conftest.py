from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.analytics import LIMITS, Analytics
from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.limits import Limits
from lurewire.core.outbox import Message, Outbox
from lurewire.core.resources import Change, ResourceId
from lurewire.kql import Column, KqlType
from lurewire.workspace import Workspace, Workspaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

WORKSPACE = "/subscriptions/s1/resourceGroups/lurewire/providers/Microsoft.OperationalInsights/workspaces/lurewire"
CUSTOMER = "c0ffee00-0000-0000-0000-000000000001"
TABLE = "TrapEye_Threats_CL"
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_numbers = itertools.count()


def rule_id(name: str = "r1") -> ResourceId:
    return ResourceId.parse(f"{WORKSPACE}/providers/Microsoft.SecurityInsights/alertRules/{name}")


def scheduled(**changes: Any) -> dict[str, Any]:
    """The page's rule, short: an alert for each row of the last five minutes, every five minutes."""
    properties = {
        "displayName": "Threat",
        "enabled": True,
        "severity": "Medium",
        "query": TABLE,
        "queryFrequency": "PT5M",
        "queryPeriod": "PT5M",
        "triggerOperator": "GreaterThan",
        "triggerThreshold": 0,
        "suppressionEnabled": False,
        "suppressionDuration": "PT5H",
        "eventGroupingSettings": {"aggregationKind": "AlertPerResult"},
        **changes,
    }
    return {"kind": "Scheduled", "properties": {k: v for k, v in properties.items() if v is not ...}}


def nrt(**changes: Any) -> dict[str, Any]:
    scheduled_only = dict.fromkeys(("queryFrequency", "queryPeriod", "triggerOperator", "triggerThreshold"), ...)
    return {**scheduled(**scheduled_only, **changes), "kind": "NRT"}


def by(*columns: str) -> str:
    return f"{TABLE} | summarize n = count() by {', '.join(columns)}"


@dataclass
class World:
    clock: ManualClock
    db: Database
    outbox: Outbox
    workspaces: Workspaces
    analytics: Analytics
    alerts: list[dict[str, Any]] = field(default_factory=list)
    workspace: Workspace = None  # type: ignore[assignment]

    async def open(self) -> None:
        self.db.open()
        self.workspace = await self.workspaces.open(ResourceId.parse(WORKSPACE), CUSTOMER)
        columns = [Column(name, KqlType.STRING) for name in ("source_ip", "reverse_lookup", "threat_uuid", "note")]
        await self.workspace.create_table(TABLE, [*columns, Column("score", KqlType.LONG)])
        self.outbox.subscribe("alert.raised", self._take)
        await self.analytics.start()
        await self.outbox.start()

    async def close(self) -> None:
        await self.analytics.stop()
        await self.outbox.stop()
        await self.workspaces.stop()
        self.db.close()

    async def _take(self, message: Message) -> None:
        self.alerts.append(message.payload)

    async def put(
        self, body: dict[str, Any], name: str = "r1", existing: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """What the resource store does with a PUT."""
        (kind,) = self.analytics.resource_types
        stored = await kind.prepare(Change(rule_id(name), body, existing, None))
        await kind.applied(rule_id(name), stored)
        await self.settled()
        return stored

    async def delete(self, name: str = "r1") -> None:
        (kind,) = self.analytics.resource_types
        await kind.deleted(rule_id(name))

    async def ingest(self, *rows: dict[str, Any], at: datetime | None = None, table: str = TABLE) -> int:
        """Rows that were generated at `at`, by default now; returns once the rules have seen them."""
        moment = (at or self.clock.now()).isoformat()
        full = [{"TimeGenerated": moment, **row} for row in rows]
        commit = await self.workspace.append(table, full, f"k{next(_numbers)}")
        await self.workspace.until_loaded(commit)
        await self.settled()
        return commit

    async def advance(self, minutes: float) -> None:
        """Let time go by, a minute at a time, so that everything happens when it is due."""
        while minutes > 0:
            self.clock.advance(min(minutes, 1) * 60)
            await self.settled()
            minutes -= 1

    async def settled(self) -> None:
        await self.analytics.settled()
        await self.outbox.drained()

    def ips(self) -> list[str]:
        """The address of every alert's IP entities."""
        return [
            entity["properties"]["address"]
            for alert in self.alerts
            for entity in alert["entities"]
            if entity["kind"] == "Ip"
        ]

    def names(self) -> list[str]:
        return [alert["alert"]["properties"]["alertDisplayName"] for alert in self.alerts]

    async def query(self, text: str) -> list[tuple[Any, ...]]:
        return (await self.workspace.query(text)).values()


def ip_rule(**changes: Any) -> dict[str, Any]:
    """A rule whose alerts carry the row's address."""
    mapping = {"entityType": "IP", "fieldMappings": [{"identifier": "Address", "columnName": "source_ip"}]}
    return scheduled(entityMappings=[mapping], **changes)


def ago(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)


@pytest.fixture
def kit() -> Any:
    """This module: tests cannot import a conftest by name."""
    return sys.modules[__name__]


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    def make(start: datetime = START, limits: dict[str, int] | None = None, **settings: Any) -> World:
        clock = ManualClock(start)
        db = Database(tmp_path / "control.db")
        outbox = Outbox(db, clock)
        workspaces = Workspaces(tmp_path / "workspaces", clock)
        analytics = Analytics(db, outbox, clock, workspaces, limits=Limits(LIMITS, limits), **settings)
        return World(clock, db, outbox, workspaces, analytics)

    return make


@pytest.fixture
async def world(make_world: Callable[..., World]) -> AsyncIterator[World]:
    world = make_world()
    await world.open()
    yield world
    await world.close()
