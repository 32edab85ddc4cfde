"""The ipinsights playbook: deployed as an ARM template, run against the real rooms, with the seed page's fragments."""

from __future__ import annotations

import asyncio
import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.playbooks.rig import GROUP, INCIDENT, START, TENANT, VAULT, WORKSPACE, Done, Rig, Web

from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.http import Audience, room_app
from lurewire.core.resources import ResourceId
from lurewire.ipintel import DataFolder, IpIntel, Lookup, fetch, pick_address
from lurewire.ipintel import routes as ipintel_routes
from lurewire.playbooks import Status
from lurewire.solutions import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lurewire.core.principal import Principal

PLAYBOOK = f"{GROUP}/providers/Microsoft.Logic/workflows/IPInsights-Enrich-Incident"
RULE = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/ipinsights-dcr"
SEEDS = Path(os.environ.get("LUREWIRE_SEEDS", Path(__file__).parents[2].parent / "shared/seeds"))


def template() -> dict[str, Any]:
    found: dict[str, Any] = dict(load("ipinsights"))["playbook"]
    return found


def actions_of(body: dict[str, Any]) -> dict[str, Any]:
    workflow = next(one for one in body["resources"] if one["type"] == "Microsoft.Logic/workflows")
    actions: dict[str, Any] = workflow["properties"]["definition"]["actions"]
    return actions


class Nobody:
    """The lookup room checks its keys itself."""

    def authenticate(self, authorization: str | None, audience: Audience) -> Principal:
        raise NotImplementedError

    def allows(self, principal: Principal, action: str, scope: str, *, data: bool) -> bool:
        raise NotImplementedError


class Deployed:
    """The rig with the lookup room behind `https://ipinsights.io`, and the template deployed."""

    def __init__(self, folder: Path, web: Web, *, real_incidents: bool = False) -> None:
        self._web = web
        self._lookup_db = Database(folder / "lookup.db")
        self._lookup_db.open()
        self.lookup = IpIntel(self._lookup_db, ManualClock(START), DataFolder.default())
        rooms = {"ipintel": room_app(ipintel_routes(self.lookup), Nobody())}
        self.rig = Rig(folder, routes={"ipinsights.io": "ipintel"}, rooms=rooms, real_incidents=real_incidents)

    async def open(self) -> None:
        await self.rig.open()
        self.key = await self.lookup.create_key("playbook")
        self.reference = await self.rig.set_secret("ipinsights-api-key", self.key)
        endpoints = {"logsIngestion": self._web.url}
        body = {"location": "local", "properties": {"immutableId": "dcr-0123456789abcdef", "endpoints": endpoints}}
        await self.rig.store.put(ResourceId.parse(RULE), body)
        self._web.answers = [(204, b"", {})]

    async def deploy(self, changed: dict[str, Any] | None = None) -> dict[str, Any]:
        values = {
            "API_KEY": self.reference,
            "WorkspaceName": "lurewire",
            "KeyVaultName": "lurewire-vault",
            "DataCollectionRuleName": "ipinsights-dcr",
        }
        parameters = {name: {"value": value} for name, value in values.items()}
        properties = {"mode": "Incremental", "template": changed or template(), "parameters": parameters}
        shown = await self.rig.deployments.deploy(ResourceId.parse(GROUP), "playbook", {"properties": properties})
        assert shown["properties"]["provisioningState"] == "Succeeded", shown["properties"]
        return shown

    async def close(self) -> None:
        await self.rig.close()
        self.lookup.close()
        self._lookup_db.close()

    async def run(self, *addresses: str, key: str = "1") -> Done:
        return await self.rig.finish(await self.rig.begin(incident(*addresses), key, PLAYBOOK))


def incident(*addresses: str) -> dict[str, Any]:
    host = {"kind": "Host", "properties": {"hostName": "web-1"}}
    ips = [{"kind": "Ip", "properties": {"address": a, "friendlyName": a}} for a in addresses]
    properties = {"title": "t", "severity": "Medium", "incidentNumber": 7, "relatedEntities": [host, *ips]}
    return {"objectSchemaType": "Incident", "object": {"id": INCIDENT, "properties": properties}}


@pytest.fixture(scope="session", autouse=True)
def _data() -> None:
    fetch()


@pytest.fixture
async def deployed(folder: Path, web: Web) -> AsyncIterator[Deployed]:
    made = Deployed(folder, web)
    await made.open()
    yield made
    await made.close()


def bad_address() -> str:
    """An address that scores above 70, by the data that is installed."""
    lookup = Lookup(DataFolder.default())
    try:
        return pick_address(lookup, "tor")
    finally:
        lookup.close()


async def test_the_template_makes_everything_that_the_playbook_needs(deployed: Deployed) -> None:
    shown = await deployed.deploy()
    store = deployed.rig.store
    body = store.shown(ResourceId.parse(PLAYBOOK))
    assert body is not None
    assert shown["properties"]["outputs"]["principalId"]["value"] == body["identity"]["principalId"]
    assert deployed.key not in json.dumps(body)
    assert "Microsoft.KeyVault" not in json.dumps(body)
    principal = await deployed.rig.identity.managed_identity_for(ResourceId.parse(PLAYBOOK))
    allowed = {
        (VAULT, "Microsoft.KeyVault/vaults/secrets/getSecret/action", True),
        (RULE, "Microsoft.Insights/Telemetry/Write", True),
        (WORKSPACE, "Microsoft.SecurityInsights/incidents/write", False),
        (WORKSPACE, "Microsoft.SecurityInsights/incidents/comments/write", False),
    }
    for scope, action, data in allowed:
        assert deployed.rig.identity.allows(principal, action, scope, data=data)
    assert not deployed.rig.identity.allows(principal, "Microsoft.Logic/workflows/write", GROUP, data=False)


async def test_an_address_that_scores_high_escalates_the_incident(deployed: Deployed, web: Web) -> None:
    await deployed.deploy()
    address = bad_address()
    done = await deployed.run(address)
    assert done.row.status is Status.SUCCEEDED
    (message,) = deployed.rig.incident.comments.values()
    assert address in message
    assert message.startswith("<h3>")
    (update,) = deployed.rig.incident.updates.values()
    assert update == {
        "severity": "High",
        "status": "Active",
        "add_labels": ("ipinsights-high-threat", "auto-escalated"),
    }
    sent = done.repetition("HTTP", 0)
    assert sent.inputs["uri"] == f"https://ipinsights.io/api/v1/lookup?ip={address}"
    assert sent.inputs["headers"]["X-API-Key"] == "*sanitized*"
    assert sent.outputs["route"] == "ipintel"
    (stored,) = web.seen
    assert stored["path"].startswith(
        "/dataCollectionRules/dcr-0123456789abcdef/streams/Custom-IPInsights_CL?api-version="
    )
    token = stored["headers"]["Authorization"]
    assert deployed.rig.identity.authenticate(token, Audience.MONITOR).name == "IPInsights-Enrich-Incident"
    (row,) = json.loads(stored["body"])
    columns = {
        column["name"]
        for column in dict(load("ipinsights"))["tables"]["resources"][0]["properties"]["schema"]["columns"]
    }
    assert set(row) == columns
    assert row["ip_s"] == address
    assert row["threat_score_d"] > 70
    assert row["incident_number_d"] == 7


async def test_a_private_address_ends_succeeded_with_a_comment(deployed: Deployed) -> None:
    await deployed.deploy()
    done = await deployed.run("10.0.0.5")
    assert done.row.status is Status.SUCCEEDED
    assert len(deployed.rig.incident.comments) == 1
    assert not deployed.rig.incident.updates
    assert done.statuses()["Update_incident"] == "Skipped"


async def test_addresses_one_after_the_other_and_none_at_all(deployed: Deployed, web: Web) -> None:
    await deployed.deploy()
    done = await deployed.run("10.0.0.5", "8.8.8.8", "2001:4860:4860::8888")
    assert done.row.status is Status.SUCCEEDED
    assert len(deployed.rig.incident.comments) == 3
    assert [json.loads(seen["body"])[0]["ip_s"] for seen in web.seen] == ["10.0.0.5", "8.8.8.8", "2001:4860:4860::8888"]
    assert (await deployed.run(key="2")).row.status is Status.SUCCEEDED


@pytest.mark.parametrize("address", ["999.1.1.1", "1.1.1.1&ip=2.2.2.2", "<script>", "1.1.1.1\r\nX: y", "@{utcNow()}"])
async def test_a_hostile_address_is_a_lookup_that_fails(deployed: Deployed, address: str) -> None:
    await deployed.deploy()
    done = await deployed.run(address, "10.0.0.5")
    assert done.repetition("HTTP", 0).code == "BadRequest"
    assert done.row.status is Status.FAILED
    assert len(deployed.rig.incident.comments) == 1


async def test_the_designers_view_of_the_condition_compares_text_with_a_number(deployed: Deployed) -> None:
    changed = template()
    condition = actions_of(changed)["For_each"]["actions"]["Condition"]["expression"]["and"][0]
    condition["greater"][0] = f"@{{{condition['greater'][0][1:]}}}"
    assert condition["greater"][0] == "@{body('Parse_JSON')?['data']?['threat_assessment']?['score']}"
    await deployed.deploy(changed)
    done = await deployed.run("8.8.8.8")
    record = done.repetition("Condition", 0)
    assert (record.status, record.code) == ("Failed", "InvalidTemplate")
    assert record.problem is not None
    assert "'String' and 'Integer' that do not match" in record.problem.message
    assert done.row.status is Status.FAILED
    assert len(deployed.rig.incident.comments) == 1


async def test_tags_in_the_connectors_own_form(deployed: Deployed) -> None:
    changed = template()
    update = actions_of(changed)["For_each"]["actions"]["Condition"]["actions"]["Update_incident"]
    body = update["inputs"]["body"]
    body["tagsToAdd"] = {"TagsToAdd": copy.deepcopy(body["tagsToAdd"])}
    await deployed.deploy(changed)
    done = await deployed.run(bad_address())
    assert done.row.status is Status.SUCCEEDED
    (changes,) = deployed.rig.incident.updates.values()
    assert changes["add_labels"] == ("ipinsights-high-threat", "auto-escalated")


async def test_a_wrong_key_is_seen_in_the_run(deployed: Deployed) -> None:
    deployed.reference = "wrong-key-value"
    await deployed.deploy()
    done = await deployed.run("8.8.8.8")
    assert done.repetition("HTTP", 0).code in ("Unauthorized", "Forbidden")
    assert "wrong-key-value" not in str(done.repetition("HTTP", 0))


async def test_a_missing_role_is_seen_in_the_run(deployed: Deployed) -> None:
    from lurewire.core.errors import Forbidden

    await deployed.deploy()
    principal = await deployed.rig.identity.managed_identity_for(ResourceId.parse(PLAYBOOK))
    deployed.rig.incident.refuse = Forbidden(
        principal, "Microsoft.SecurityInsights/incidents/comments/write", WORKSPACE
    )
    done = await deployed.run("8.8.8.8")
    record = done.repetition("Add_comment_to_incident_(V3)", 0)
    assert (record.status, record.code) == ("Failed", "Forbidden")
    assert record.outputs["body"]["error"]["code"] == "AuthorizationFailed"
    assert record.problem is not None
    assert "incidents/comments/write" in record.problem.message


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the user's pages are not here")
def test_the_fragments_are_the_pages_to_the_letter() -> None:
    (page,) = (path.read_text(encoding="utf-8") for path in SEEDS.glob("003_*.txt"))

    def fragment(start: str) -> Any:
        return json.JSONDecoder().raw_decode(page, page.index(start))[0]

    actions = actions_of(template())
    loop = actions["For_each"]["actions"]
    assert loop["HTTP"]["inputs"] == fragment('{ "method": "GET"')
    assert loop["Parse_JSON"]["inputs"]["schema"] == fragment('{ "type": "object", "properties": { "success"')
    assert loop["Condition"]["actions"]["Update_incident"]["inputs"]["body"] == fragment('{ "incidentArmId"')
    html = page[page.index("<h3>") : page.index("</table>") + len("</table>")]
    assert loop["Add_comment_to_incident_(V3)"]["inputs"]["body"]["message"] == html
    arm = fragment('{ "$schema": "https://schema.management.azure.com/schemas/2019-04-01')
    given = template()
    assert given["$schema"] == arm["$schema"]
    assert given["parameters"]["API_KEY"] == arm["parameters"]["API_KEY"]
    workflow = next(one for one in given["resources"] if one["type"] == "Microsoft.Logic/workflows")
    assert workflow["apiVersion"] == arm["resources"][0]["apiVersion"]
    wanted = arm["resources"][0]["properties"]["definition"]["parameters"]
    assert workflow["properties"]["definition"]["parameters"]["API_KEY"] == wanted["API_KEY"]


async def test_an_alert_becomes_an_escalated_incident(folder: Path, web: Web) -> None:
    """Alert, incident, automation rule, playbook, incident: all rooms as they are."""
    made = Deployed(folder, web, real_incidents=True)
    await made.open()
    rig = made.rig
    await made.deploy()
    config = {"logicAppResourceId": PLAYBOOK, "tenantId": TENANT}
    properties = {
        "displayName": "Enrich",
        "order": 1,
        "triggeringLogic": {"isEnabled": True, "triggersOn": "Incidents", "triggersWhen": "Created", "conditions": []},
        "actions": [{"order": 1, "actionType": "RunPlaybook", "actionConfiguration": config}],
    }
    rule_id = f"{WORKSPACE}/providers/Microsoft.SecurityInsights/automationRules/enrich"
    await rig.store.put(ResourceId.parse(rule_id), {"properties": properties})
    address = bad_address()
    await rig.db.write(lambda conn: rig.outbox.put(conn, "alert.raised", "a1", alert(address)))
    async with asyncio.timeout(20):
        await rig.outbox.drained()
    (row,) = rig.playbooks.history.runs(ResourceId.parse(PLAYBOOK).key, 10)
    assert (await rig.finish(row.name)).row.status is Status.SUCCEEDED
    assert row.incident is not None
    principal = await rig.identity.managed_identity_for(ResourceId.parse(PLAYBOOK))
    found = (await rig.incidents.get(principal, row.incident))["properties"]
    assert (found["severity"], found["status"]) == ("High", "Active")
    assert {label["labelName"] for label in found["labels"]} == {"ipinsights-high-threat", "auto-escalated"}
    assert found["additionalData"]["commentsCount"] == 1
    await made.close()


def alert(address: str) -> dict[str, Any]:
    insights = f"{WORKSPACE}/providers/Microsoft.SecurityInsights"
    name = "0b1c2d3e-0000-4000-8000-000000000001"
    kind = "Microsoft.SecurityInsights/Entities"
    shown = {
        "systemAlertId": name,
        "alertDisplayName": f"Touch from {address}",
        "description": "d",
        "severity": "Medium",
        "tactics": [],
        "startTimeUtc": "2026-11-22T01:00:00.0000000Z",
        "endTimeUtc": "2026-11-22T01:01:00.0000000Z",
        "productName": "Azure Sentinel",
    }
    entity = {"id": f"{insights}/Entities/e", "name": "e", "type": kind, "kind": "Ip"}
    return {
        "id": name,
        "workspace": WORKSPACE,
        "rule": {"id": f"{insights}/alertRules/r", "name": "r", "kind": "Scheduled"},
        "alert": {"id": f"{insights}/Entities/{name}", "name": name, "kind": "SecurityAlert", "properties": shown},
        "entities": [{**entity, "properties": {"address": address, "friendlyName": address}}],
        "techniques": [],
        "customDetails": {},
        "createIncident": True,
        "grouping": None,
    }
