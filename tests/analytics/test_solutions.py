"""The rules that ship, deployed as templates, over real tables: what the two pages say comes true."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from lurewire import solutions, workspace
from lurewire.analytics import Analytics
from lurewire.core.outbox import Message, Outbox
from lurewire.core.resources import ResourceId
from lurewire.incidents import Incidents
from lurewire.ingestion import Ingestion
from lurewire.workspace import Workspaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.arm.house import GROUP, House
else:
    from arm.house import GROUP, House

WORKSPACE = ResourceId.parse(f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/lurewire")
NIL = "00000000-0000-0000-0000-000000000000"


@dataclass
class Loop:
    house: House
    outbox: Outbox
    workspaces: Workspaces
    analytics: Analytics
    incidents: Incidents
    started: list[dict[str, Any]] = field(default_factory=list)

    async def open(self) -> None:
        await self.house.open()
        ingestion = Ingestion(self.workspaces, self.house.store, self.house.clock, self.house.url)
        self.house.store.register(
            *workspace.resource_types(self.workspaces, self.house.clock),
            *ingestion.resource_types,
            *self.analytics.resource_types,
            self.incidents.automation_rules,
        )
        await self.house.store.put(WORKSPACE, {"location": "local", "properties": {}})
        self.outbox.subscribe("playbook.start", self._note)
        await self.incidents.start()
        await self.outbox.start()
        await self.analytics.start()

    async def close(self) -> None:
        await self.analytics.stop()
        await self.outbox.stop()
        await self.incidents.stop()
        await self.workspaces.stop()
        self.house.db.close()

    async def _note(self, message: Message) -> None:
        self.started.append(message.payload)

    async def deploy(self, solution: str, *names: str, **parameters: Any) -> None:
        for name, template in solutions.load(solution):
            if name in names:
                values = {key: {"value": value} for key, value in parameters.items()}
                body = {"properties": {"mode": "Incremental", "template": template, "parameters": values}}
                done = await self.house.deployments.deploy(ResourceId.parse(GROUP), f"{solution}-{name}", body)
                assert done["properties"]["provisioningState"] == "Succeeded", done["properties"]

    async def ingest(self, table: str, **row: Any) -> None:
        found = self.workspaces.by_id(WORKSPACE)
        assert found is not None
        full = {"TimeGenerated": self.house.clock.now().isoformat(), **row}
        await found.until_loaded(await found.append(table, [full], str(uuid.uuid4())))
        await self.settled()

    async def threat(self, address: str, threat_uuid: str, lookup: str = "") -> None:
        await self.ingest(
            "TrapEye_Threats_CL",
            source_ip=address,
            threat_uuid=threat_uuid,
            reverse_lookup=lookup,
            event_type="new_threat",
        )

    async def settled(self) -> None:
        await self.analytics.settled()
        await self.outbox.drained()
        await self.analytics.settled()
        await self.outbox.drained()

    async def advance(self, minutes: int) -> None:
        for _ in range(minutes):
            self.house.clock.advance(60)
            await self.settled()

    def opened(self) -> list[dict[str, Any]]:
        from lurewire.incidents import tables

        return self.incidents.page(sa.select(tables.incidents).order_by(tables.incidents.c.number))

    def titles(self) -> list[str]:
        return [incident["properties"]["title"] for incident in self.opened()]


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Loop]:
    house = House(tmp_path)
    outbox = Outbox(house.db, house.clock)
    workspaces = Workspaces(tmp_path / "workspaces", house.clock)
    made = Loop(
        house,
        outbox,
        workspaces,
        Analytics(house.db, outbox, house.clock, workspaces),
        Incidents(
            house.db,
            outbox,
            house.clock,
            workspaces,
            gatekeeper=house.identity,
            resources=house.store,
            portal="https://localhost",
        ),
    )
    await made.open()
    yield made
    await made.close()


async def test_the_page_s_rule_opens_an_incident_for_the_test_event_too(loop: Loop) -> None:
    await loop.deploy("trapeye", "tables", "rule")
    await loop.threat("10.0.0.1", NIL, "test-webhook-connection.local")
    await loop.threat("198.51.100.7", "0e28f730-18c1-429a-821e-5282cf641dd4")
    assert loop.titles() == ["New TrapEye Threat from 10.0.0.1", "New TrapEye Threat from 198.51.100.7"]
    first = loop.opened()[0]["properties"]
    assert first["description"].splitlines() == [
        "To investigate related interactions, run:",
        "TrapEye_Interactions_CL",
        f"| where threat_uuid == '{NIL}'",
        "| order by TimeGenerated desc",
    ]
    assert first["additionalData"]["tactics"] == ["Reconnaissance", "CredentialAccess", "Discovery", "LateralMovement"]
    entities = loop.incidents.entities(str(WORKSPACE), loop.opened()[0]["name"])
    assert [(e["kind"], e["properties"]["friendlyName"]) for e in entities] == [
        ("Ip", "10.0.0.1"),
        ("DnsResolution", "test-webhook-connection.local"),
    ]
    await loop.advance(20)
    assert len(loop.opened()) == 2


async def test_our_own_rule_leaves_the_test_event_out(loop: Loop) -> None:
    await loop.deploy("trapeye", "tables")
    await loop.deploy("lurewire", "rule")
    await loop.threat("10.0.0.1", NIL, "test-webhook-connection.local")
    await loop.threat("198.51.100.7", "0e28f730-18c1-429a-821e-5282cf641dd4")
    await loop.advance(20)
    assert loop.titles() == ["New threat from 198.51.100.7"]


async def test_a_new_incident_starts_the_playbook(loop: Loop) -> None:
    await loop.deploy("trapeye", "tables")
    await loop.deploy("lurewire", "rule", "automation")
    await loop.threat("198.51.100.7", "0e28f730-18c1-429a-821e-5282cf641dd4")
    (start,) = loop.started
    assert start["workflow"] == f"{GROUP}/providers/Microsoft.Logic/workflows/IPInsights-Enrich-Incident"
    assert start["body"]["object"]["properties"]["relatedEntities"][0]["properties"]["address"] == "198.51.100.7"


async def test_the_hourly_rules_find_high_scores_and_call_no_playbook(loop: Loop) -> None:
    await loop.deploy("ipinsights", "tables")
    await loop.deploy("ipinsights", "rule", pageRuleEnabled=True)
    await loop.deploy("lurewire", "automation")
    for address, score in (("198.51.100.7", 91.0), ("198.51.100.8", 20.0), ("198.51.100.7", 95.0)):
        await loop.ingest("IPInsights_CL", ip_s=address, threat_score_d=score, country_s="Germany", is_tor_b=True)
    await loop.advance(70)
    assert sorted(loop.titles()) == [
        "High-Threat IP Detected (ipinsights.io)",
        "High-threat IP address 198.51.100.7 (score 95.0)",
    ]
    entities = {
        incident["properties"]["title"].split()[0]: loop.incidents.entities(str(WORKSPACE), incident["name"])
        for incident in loop.opened()
    }
    assert entities["High-Threat"] == []  # the page maps a column that its query renames
    assert [e["properties"]["address"] for e in entities["High-threat"]] == ["198.51.100.7"]
    assert {i["properties"]["severity"] for i in loop.opened()} == {"High"}
    assert loop.started == []


async def test_the_page_s_mapping_of_a_renamed_column_is_taken_with_a_warning(loop: Loop) -> None:
    await loop.deploy("ipinsights", "tables")
    await loop.deploy("ipinsights", "rule")
    warnings = {
        body["properties"]["displayName"]: loop.analytics.warnings(ResourceId.parse(body["id"]))
        for body in loop.house.store.list("Microsoft.SecurityInsights/alertRules")
    }
    assert len(warnings["High-Threat IP Detected (ipinsights.io)"]) == 1
    assert "'ip_s'" in warnings["High-Threat IP Detected (ipinsights.io)"][0]
    assert warnings["High-threat IP address"] == []
    enabled = {
        body["properties"]["displayName"]: body["properties"]["enabled"]
        for body in loop.house.store.list("Microsoft.SecurityInsights/alertRules")
    }
    assert enabled == {"High-Threat IP Detected (ipinsights.io)": False, "High-threat IP address": True}


async def test_solutions_can_be_deployed_again(loop: Loop) -> None:
    for _ in range(2):
        await loop.deploy("trapeye", "tables")
        await loop.deploy("trapeye", "rule", enabled=False)
        await loop.deploy("lurewire", "rule", "automation")
    assert len(loop.house.store.list("Microsoft.SecurityInsights/alertRules")) == 2
    assert len(loop.house.store.list("Microsoft.SecurityInsights/automationRules")) == 1
