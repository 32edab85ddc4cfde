from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests
import uvicorn

from lurewire.core.http import build_app
from lurewire.incidents import incident_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.incidents.conftest import World


@dataclass
class Client:
    """Real HTTP to the room's routes on loopback."""

    base: str
    workspace: str

    async def call(self, method: str, path: str, body: Any = None, token: str | None = "a", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = body if isinstance(body, bytes) else (json.dumps(body).encode() if body is not None else None)
        url = f"{self.base}{more.pop('workspace', self.workspace)}/providers/Microsoft.SecurityInsights/incidents{path}"
        params = {"api-version": "2024-09-01", **more.pop("params", {})}
        return await asyncio.to_thread(
            requests.request, method, url, data=data, headers=headers, params=params, timeout=20
        )


@pytest.fixture
async def client(world: World, kit: Any) -> AsyncIterator[Client]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = build_app([incident_routes(world.incidents)], world.doorman)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    yield Client(f"http://127.0.0.1:{listener.getsockname()[1]}", kit.WORKSPACE)
    server.should_exit = True
    await task


def incident(**changes: Any) -> dict[str, Any]:
    return {"properties": {"title": "By hand", "severity": "Low", "status": "New", **changes}}


async def test_an_incident_is_made_read_replaced_and_deleted(client: Client) -> None:
    made = await client.call("PUT", "/I-1", incident(description="d", labels=[{"labelName": "x"}]))
    assert made.status_code == 201
    body = made.json()
    assert body["name"] == "i-1"
    assert body["properties"]["incidentNumber"] == 1
    assert body["properties"]["providerName"] == "Azure Sentinel"
    assert body["etag"].startswith('"')
    assert (await client.call("GET", "/i-1")).json() == body
    replaced = await client.call("PUT", "/i-1", {**incident(status="Active"), "etag": body["etag"]})
    assert replaced.status_code == 200
    assert replaced.json()["properties"]["description"] == ""  # a PUT replaces
    assert replaced.json()["properties"]["labels"] == []
    assert replaced.json()["etag"] != body["etag"]
    assert (await client.call("DELETE", "/i-1")).status_code == 200
    assert (await client.call("DELETE", "/i-1")).status_code == 204
    assert (await client.call("GET", "/i-1")).status_code == 404


async def test_what_a_get_answers_can_be_put_back(client: Client) -> None:
    body = (await client.call("PUT", "/i", incident())).json()
    again = await client.call("PUT", "/i", body)
    assert again.status_code == 200
    unchanged = ("title", "severity", "status", "incidentNumber", "createdTimeUtc", "owner", "labels")
    assert {k: again.json()["properties"][k] for k in unchanged} == {k: body["properties"][k] for k in unchanged}


@pytest.mark.parametrize("etag", [None, '"stale"'])
async def test_a_change_needs_the_etag_that_is_stored(client: Client, etag: str | None) -> None:
    await client.call("PUT", "/i", incident())
    answer = await client.call("PUT", "/i", {**incident(title="other"), **({"etag": etag} if etag else {})})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "Conflict"
    assert (await client.call("GET", "/i")).json()["properties"]["title"] == "By hand"


async def test_an_incident_made_by_hand_runs_automation_rules(client: Client, world: World) -> None:
    await world.add_rule()
    await client.call("PUT", "/i", incident())
    await world.outbox.drained()
    assert len(world.started) == 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"properties": {"title": "\xff"}}', "JSON"),
        (b'{"properties": {"title": "\\udc80", "severity": "Low", "status": "New"}}', "JSON"),
        (b'{"properties": {"title": "x", "severity": 1e999, "status": "New"}}', "JSON"),
        ({}, "properties"),
        ({"properties": None}, "properties"),
        (incident(severity="Bad"), "severity"),
        (incident(status="Closed"), "classification"),
        (incident(title=""), "title"),
        (incident(title=7), "title"),
        (incident(firstActivityTimeUtc="soon"), "firstActivityTimeUtc"),
        (incident(surprise=1), "surprise"),
        (incident(labels=[{"name": "x"}]), "labels"),
        (incident(description="x" * 5001), "description"),
    ],
)
async def test_bad_bodies_are_refused_and_change_nothing(client: Client, world: World, body: Any, named: str) -> None:
    answer = await client.call("PUT", "/i", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadRequest"
    assert named in answer.json()["error"]["message"]
    assert world.all() == []


async def test_deep_and_long_bodies_are_refused(client: Client) -> None:
    for depth in (100, 900, 100_000):
        nested = b'{"properties": {"additionalData": ' + b"[" * depth + b"]" * depth + b"}}"
        assert (await client.call("PUT", "/i", nested)).status_code == 400
    assert (await client.call("PUT", "/i", b" " * (1024 * 1024 + 1))).status_code == 413


async def test_comments_over_http(client: Client) -> None:
    await client.call("PUT", "/i", incident())
    hostile = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
    made = await client.call("PUT", "/i/comments/c1", {"properties": {"message": hostile}})
    assert made.status_code == 201
    assert made.json()["properties"]["message"] == hostile
    assert made.json()["properties"]["author"] == {
        "email": None,
        "name": "Analyst",
        "objectId": "oid-1",
        "userPrincipalName": None,
    }
    changed = {"etag": made.json()["etag"], "properties": {"message": "better"}}
    assert (await client.call("PUT", "/i/comments/c1", changed)).status_code == 200
    assert (await client.call("PUT", "/i/comments/c1", changed)).status_code == 409
    assert (await client.call("GET", "/i/comments/c1")).json()["properties"]["message"] == "better"
    assert [c["name"] for c in (await client.call("GET", "/i/comments")).json()["value"]] == ["c1"]
    assert (await client.call("PUT", "/i/comments/c2", {"properties": {"message": "x" * 30_001}})).status_code == 400
    assert (await client.call("GET", "/i/comments/c2")).status_code == 404
    assert (await client.call("PUT", "/none/comments/c", {"properties": {"message": "x"}})).status_code == 404


async def test_tasks_over_http_up_to_forty(client: Client) -> None:
    await client.call("PUT", "/i", incident())
    task = {"properties": {"title": "Look", "status": "New", "description": "d"}}
    made = await client.call("PUT", "/i/tasks/t0", task)
    assert made.status_code == 201
    done = {"etag": made.json()["etag"], "properties": {"title": "Look", "status": "completed"}}
    assert (await client.call("PUT", "/i/tasks/t0", done)).json()["properties"]["status"] == "Completed"
    for n in range(1, 40):
        assert (await client.call("PUT", f"/i/tasks/t{n}", task)).status_code == 201
    assert (await client.call("PUT", "/i/tasks/t40", task)).status_code == 400
    assert len((await client.call("GET", "/i/tasks")).json()["value"]) == 40
    assert (await client.call("GET", "/i/tasks/t0")).json()["properties"]["createdBy"]["objectId"] == "oid-1"


async def test_alerts_entities_relations_and_bookmarks(client: Client, world: World, kit: Any) -> None:
    message = await world.raise_alert(
        entities=[kit.entity("Ip", address="198.51.100.7"), kit.entity("DnsResolution", domainName="x.example")]
    )
    name = world.only()["name"]
    entities = (await client.call("POST", f"/{name}/entities")).json()
    assert [e["kind"] for e in entities["entities"]] == ["Ip", "DnsResolution"]
    assert {"entityKind": "Ip", "count": 1} in entities["metaData"]
    alerts = (await client.call("POST", f"/{name}/alerts")).json()["value"]
    assert [a["name"] for a in alerts] == [message["id"]]
    relations = (await client.call("GET", f"/{name}/relations")).json()["value"]
    assert relations[0]["properties"]["relatedResourceKind"] == "SecurityAlert"
    assert (await client.call("POST", f"/{name}/bookmarks")).json() == {"value": []}


class TestList:
    async def fill(self, client: Client, world: World) -> None:
        for n in range(5):
            world.clock.advance(60)
            severity = "High" if n % 2 else "Low"
            await client.call("PUT", f"/i{n}", incident(title=f"it's {n}", severity=severity))

    async def test_pages_follow_each_other(self, client: Client, world: World) -> None:
        await self.fill(client, world)
        answer = (await client.call("GET", "", params={"$top": "2"})).json()
        seen = [i["name"] for i in answer["value"]]
        while "nextLink" in answer:
            link = answer["nextLink"]
            assert link.startswith(client.base)
            answer = (
                await asyncio.to_thread(requests.get, link, headers={"Authorization": "Bearer a"}, timeout=20)
            ).json()
            seen += [i["name"] for i in answer["value"]]
        assert seen == ["i4", "i3", "i2", "i1", "i0"]

    @pytest.mark.parametrize(
        ("parameters", "names"),
        [
            ({"$filter": "properties/severity eq 'High'"}, ["i3", "i1"]),
            ({"$filter": "properties/severity eq 'High' and properties/incidentNumber gt 2"}, ["i3"]),
            ({"$filter": "properties/createdTimeUtc ge 2026-11-22T01:10:00Z"}, ["i4", "i3"]),
            ({"$filter": "properties/title eq 'it''s 2'"}, ["i2"]),
            ({"$filter": "properties/status ne 'New'"}, []),
            ({"$orderby": "properties/createdTimeUtc asc", "$top": "2"}, ["i0", "i1"]),
            ({"$orderby": "properties/severity desc, properties/incidentNumber"}, ["i0", "i2", "i4", "i1", "i3"]),
        ],
    )
    async def test_filters_and_orders(
        self, client: Client, world: World, parameters: dict[str, str], names: list[str]
    ) -> None:
        await self.fill(client, world)
        answer = (await client.call("GET", "", params=parameters)).json()
        assert [i["name"] for i in answer["value"]] == names

    @pytest.mark.parametrize(
        "parameters",
        [
            {"$filter": "contains(properties/title, 'x')"},
            {"$filter": "properties/severity eq 'High' or properties/severity eq 'Low'"},
            {"$filter": "properties/severity eq 'High' and"},
            {"$filter": "properties/owner eq 'x'"},
            {"$filter": "properties/severity like 'x'"},
            {"$filter": "properties/incidentNumber eq 'x'"},
            {"$filter": "properties/createdTimeUtc gt yesterday"},
            {"$orderby": "properties/title; drop table incidents_incident"},
            {"$top": "-1"},
            {"$top": "0"},
            {"$top": "1001"},
            {"$top": "٣"},
            {"$skipToken": "x"},
        ],
    )
    async def test_what_is_not_understood_is_refused_by_name(self, client: Client, parameters: dict[str, str]) -> None:
        answer = await client.call("GET", "", params=parameters)
        assert answer.status_code == 400
        assert next(iter(parameters)) in answer.json()["error"]["message"]


class TestAccess:
    async def test_without_a_token_and_without_a_role(self, client: Client, world: World) -> None:
        answer = await client.call("GET", "", token=None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
        world.doorman.allowed = {("oid-1", "Microsoft.SecurityInsights/incidents/read")}
        assert (await client.call("GET", "")).status_code == 200
        answer = await client.call("PUT", "/i", incident())
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")
        assert "Microsoft.SecurityInsights/incidents/write" in answer.json()["error"]["message"]

    async def test_every_operation_asks_for_an_action_of_its_own(self, client: Client, world: World) -> None:
        await client.call("PUT", "/i", incident())
        world.doorman.allowed = set()
        paths = ["", "/i", "/i/comments", "/i/comments/c", "/i/tasks", "/i/tasks/t", "/i/relations"]
        for method, path in [
            *(("GET", p) for p in paths),
            *(("PUT", p) for p in ("/i", "/i/comments/c", "/i/tasks/t")),
            ("DELETE", "/i"),
            *(("POST", f"/i/{p}") for p in ("alerts", "entities", "bookmarks", "runPlaybook")),
        ]:
            assert (await client.call(method, path, {})).status_code == 403, (method, path)

    async def test_an_unknown_workspace_is_not_found(self, client: Client) -> None:
        answer = await client.call("GET", "", workspace=client.workspace + "-other")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")

    async def test_paths_are_matched_without_case(self, client: Client) -> None:
        await client.call("PUT", "/i", incident())
        answer = await client.call("GET", "/I", workspace=client.workspace.upper())
        assert answer.json()["id"].startswith(client.workspace)


class TestRunPlaybook:
    async def test_starts_the_playbook_each_time(self, client: Client, world: World, kit: Any) -> None:
        await client.call("PUT", "/i", incident())
        body = {"tenantId": "t", "logicAppsResourceId": kit.PLAYBOOK}
        for _ in range(2):
            assert (await client.call("POST", "/i/runPlaybook", body)).status_code == 204
        await world.outbox.drained()
        assert [s["body"]["objectEventType"] for s in world.started] == ["Manual", "Manual"]
        assert world.keys[0] != world.keys[1]

    @pytest.mark.parametrize(
        ("target", "status"), [("x", 400), ("RULE", 400), ("PLAYBOOK-2", 404), ("PLAYBOOK-off", 400), (None, 400)]
    )
    async def test_a_playbook_that_is_none_is_refused(
        self, client: Client, kit: Any, target: str | None, status: int
    ) -> None:
        await client.call("PUT", "/i", incident())
        known = {"RULE": kit.RULE, "PLAYBOOK-2": kit.PLAYBOOK + "2", "PLAYBOOK-off": kit.PLAYBOOK + "-off"}
        value = known.get(target or "", target)
        answer = await client.call("POST", "/i/runPlaybook", {"logicAppsResourceId": value})
        assert answer.status_code == status

    async def test_needs_the_right_to_call_the_playbook(self, client: Client, world: World, kit: Any) -> None:
        await client.call("PUT", "/i", incident())
        world.doorman.allowed = {("oid-1", "Microsoft.SecurityInsights/incidents/runPlaybook/action")}
        answer = await client.call("POST", "/i/runPlaybook", {"logicAppsResourceId": kit.PLAYBOOK})
        assert answer.status_code == 403
        assert "Microsoft.Logic/workflows" in answer.json()["error"]["message"]
