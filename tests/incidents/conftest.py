from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.errors import Unauthenticated
from lurewire.core.outbox import Message, Outbox
from lurewire.core.principal import Principal
from lurewire.core.resources import Change, ResourceId
from lurewire.incidents import Incidents
from lurewire.kql import KqlType
from lurewire.workspace import Workspaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lurewire.core.http import Audience

WORKSPACE = "/subscriptions/s1/resourceGroups/lurewire/providers/Microsoft.OperationalInsights/workspaces/lurewire"
CUSTOMER = "c0ffee00-0000-0000-0000-000000000001"
INSIGHTS = f"{WORKSPACE}/providers/Microsoft.SecurityInsights"
PLAYBOOK = "/subscriptions/s1/resourceGroups/lurewire/providers/Microsoft.Logic/workflows/Enrich"
RULE = f"{INSIGHTS}/alertRules/rule-1"
ANALYST = Principal("oid-1", "app-1", "tenant-1", "app", "Analyst")
ROBOT = Principal("oid-2", "app-2", "tenant-1", "managed_identity", "Enrich")


@dataclass
class Doorman:
    """Identity's part: who may do what is a set of (principal, action); "*" is everything."""

    allowed: set[tuple[str, str]] = field(default_factory=lambda: {("oid-1", "*"), ("oid-2", "*")})
    principals: dict[str, Principal] = field(default_factory=lambda: {"Bearer a": ANALYST, "Bearer r": ROBOT})

    def authenticate(self, authorization: str | None, audience: Audience) -> Principal:
        if authorization is None:
            raise Unauthenticated("missing", "No token.")
        return self.principals[authorization]

    def allows(self, principal: Principal, action: str, scope: str, *, data: bool) -> bool:
        return bool({(principal.object_id, "*"), (principal.object_id, action)} & self.allowed)


class Shelf:
    """The resource store's part: bodies by id."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.bodies = {body["id"].lower(): body for body in bodies}

    def get(self, resource_id: ResourceId) -> dict[str, Any] | None:
        return self.bodies.get(resource_id.key)

    def list(self, resource_type: str) -> list[dict[str, Any]]:
        raise NotImplementedError

    async def put(self, resource_id: ResourceId, body: dict[str, Any], principal: Principal | None = None) -> Any:
        raise NotImplementedError

    async def delete(self, resource_id: ResourceId) -> bool:
        raise NotImplementedError


@dataclass
class World:
    db: Database
    outbox: Outbox
    clock: ManualClock
    incidents: Incidents
    doorman: Doorman
    workspaces: Workspaces
    started: list[dict[str, Any]]
    keys: list[str]

    async def open(self) -> None:
        self.db.open()
        await self.workspaces.open(ResourceId.parse(WORKSPACE), CUSTOMER)
        self.outbox.subscribe("playbook.start", self._note)
        await self.incidents.start()
        await self.outbox.start()

    async def close(self) -> None:
        await self.outbox.stop()
        await self.incidents.stop()
        await self.workspaces.stop()
        self.db.close()

    async def _note(self, message: Message) -> None:
        self.started.append(message.payload)
        self.keys.append(message.key)

    async def logged(self) -> list[dict[str, Any]]:
        """The rows of table SecurityIncident, oldest change first."""
        await self.outbox.drained()
        workspace = self.workspaces.by_id(WORKSPACE)
        assert workspace is not None
        await workspace.until_loaded(await workspace.append("Heartbeat", [{}], str(uuid.uuid4())))
        result = await workspace.query("SecurityIncident | order by LastModifiedTime asc")
        names = [column.name for column in result.columns]
        dynamic = [column.type is KqlType.DYNAMIC for column in result.columns]
        return [
            {n: json.loads(v) if d and v else v for n, d, v in zip(names, dynamic, row, strict=True)}
            for row in result.values()
        ]

    async def raise_alert(self, **changes: Any) -> dict[str, Any]:
        message = alert(**changes)
        await self.db.write(lambda conn: self.outbox.put(conn, "alert.raised", message["id"], message))
        await self.outbox.drained()
        return message

    async def add_rule(self, name: str = "auto", **properties: Any) -> dict[str, Any]:
        rule_id = ResourceId.parse(f"{INSIGHTS}/automationRules/{name}")
        kind = self.incidents.automation_rules
        body = await kind.prepare(Change(rule_id, {"properties": automation_rule(**properties)}, None, ANALYST))
        await kind.applied(rule_id, body)
        return body

    def only(self) -> dict[str, Any]:
        (found,) = self.all()
        return found

    def all(self) -> list[dict[str, Any]]:
        import sqlalchemy as sa

        from lurewire.incidents import tables

        return self.incidents.page(sa.select(tables.incidents).order_by(tables.incidents.c.number))


def alert(**changes: Any) -> dict[str, Any]:
    alert_id = changes.pop("id", str(uuid.uuid4()))
    properties = {
        "systemAlertId": alert_id,
        "alertDisplayName": "New threat from 198.51.100.7",
        "description": "Look",
        "severity": "Medium",
        "tactics": ["Discovery"],
        "startTimeUtc": "2026-11-22T01:00:00.0000000Z",
        "endTimeUtc": "2026-11-22T01:05:00.0000000Z",
        "productName": "Azure Sentinel",
        **changes.pop("properties", {}),
    }
    entities = changes.pop("entities", [entity("Ip", address="198.51.100.7")])
    return {
        "id": alert_id,
        "workspace": WORKSPACE,
        "rule": {"id": RULE, "name": "rule-1", "kind": "Scheduled"},
        "alert": {"id": f"{INSIGHTS}/Entities/{alert_id}", "name": alert_id, "kind": "SecurityAlert", "properties": properties},
        "entities": entities,
        "techniques": ["T1110"],
        "customDetails": {"threat_uuid": ["u1"]},
        "createIncident": True,
        "grouping": None,
        **changes,
    }  # fmt: skip


def entity(kind: str, **properties: str) -> dict[str, Any]:
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}{properties}"))
    return {"id": f"{INSIGHTS}/Entities/{name}", "name": name, "type": "Microsoft.SecurityInsights/Entities",
            "kind": kind, "properties": {**properties, "friendlyName": next(iter(properties.values()))}}  # fmt: skip


def automation_rule(**changes: Any) -> dict[str, Any]:
    logic = {"isEnabled": True, "triggersOn": "Incidents", "triggersWhen": "Created", "conditions": [],
             **changes.pop("logic", {})}  # fmt: skip
    actions = changes.pop("actions", [run_playbook()])
    return {"displayName": "auto", "order": 1, "triggeringLogic": logic, "actions": actions, **changes}


def run_playbook(order: int = 1) -> dict[str, Any]:
    config = {"logicAppResourceId": PLAYBOOK, "tenantId": "tenant-1"}
    return {"order": order, "actionType": "RunPlaybook", "actionConfiguration": config}


def modify(order: int = 1, **config: Any) -> dict[str, Any]:
    return {"order": order, "actionType": "ModifyProperties", "actionConfiguration": config}


def condition(name: str, operator: str, *values: str) -> dict[str, Any]:
    inner = {"propertyName": name, "operator": operator, "propertyValues": list(values)}
    return {"conditionType": "Property", "conditionProperties": inner}


@pytest.fixture
def kit() -> Any:
    """This module: tests cannot import a conftest by name."""
    return sys.modules[__name__]


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[[], World]:
    def make() -> World:
        clock = ManualClock(datetime(2026, 11, 22, 1, 6, tzinfo=UTC))
        db = Database(tmp_path / "control.db")
        outbox = Outbox(db, clock)
        shelf = Shelf(
            {"id": PLAYBOOK, "properties": {}}, {"id": f"{PLAYBOOK}-off", "properties": {"state": "Disabled"}}
        )
        doorman, workspaces = Doorman(), Workspaces(tmp_path / "workspaces", clock)
        incidents = Incidents(
            db, outbox, clock, workspaces, gatekeeper=doorman, resources=shelf, portal="https://localhost:8443/portal"
        )
        return World(db, outbox, clock, incidents, doorman, workspaces, [], [])

    return make


@pytest.fixture
async def world(make_world: Callable[[], World]) -> AsyncIterator[World]:
    world = make_world()
    await world.open()
    yield world
    await world.close()
