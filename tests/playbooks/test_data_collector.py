"""ApiConnection with the Data Collector connector: a playbook's records in a table of the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.playbooks.rig import GROUP, MANAGED_API, WORKSPACE, Rig, workflow

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.playbooks.rig import Done

API = MANAGED_API.replace("azuresentinel", "azureloganalyticsdatacollector")
CONNECTION = f"{GROUP}/providers/Microsoft.Web/connections/collector"


@pytest_asyncio.fixture(name="rig")
async def fixture_rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path, real_incidents=True)
    await made.open()
    yield made
    await made.close()


async def connect(rig: Rig, customer_id: str, key: str) -> None:
    values = {"username": customer_id, "password": key}
    body = {"location": "local", "properties": {"api": {"id": API}, "parameterValues": values}}
    stored = await rig.store.put(ResourceId.parse(CONNECTION), body)
    assert stored["properties"]["overallStatus"] == "Connected"
    assert key not in str(rig.store.shown(ResourceId.parse(CONNECTION)))


def send(body: Any, **headers: str) -> dict[str, Any]:
    made = workflow({"Send": action(body, {name.replace("_", "-"): value for name, value in headers.items()})})
    entry = {"connectionId": CONNECTION, "connectionName": "collector", "id": API}
    made["properties"]["parameters"]["$connections"]["value"] |= {"collector": entry}
    return made


def action(body: Any, headers: dict[str, str], path: str = "/api/logs") -> dict[str, Any]:
    host = {"connection": {"name": "@parameters('$connections')['collector']['connectionId']"}}
    inputs = {"host": host, "method": "post", "path": path, "headers": headers, "body": body}
    return {"type": "ApiConnection", "inputs": inputs, "runAfter": {}}


async def run(rig: Rig, body: dict[str, Any], key: str = "key-1") -> Done:
    await rig.put(body)
    return await rig.finish(await rig.begin({"ip": "198.51.100.7", "score": 87.5}, key))


async def test_records_arrive_in_the_table(rig: Rig) -> None:
    workspace = rig.workspaces.by_id(WORKSPACE)
    assert workspace is not None
    primary, secondary = await rig.keys.of(workspace.customer_id)
    text = '{\n"ip": "@{triggerBody()?[\'ip\']}", "score": @{triggerBody()?[\'score\']}\n}'
    for number, (key, body) in enumerate(((primary, text), (secondary, "@triggerBody()"))):
        await connect(rig, workspace.customer_id, key)
        done = await run(rig, send(body, Log_Type="Enrichment"), f"key-{number}")
        assert (done["Send"].status, done["Send"].outputs["statusCode"]) == ("Succeeded", 200)
    marker = await workspace.append("Heartbeat", [{"Computer": "x"}], key="settle")
    await workspace.until_loaded(marker)
    found = await workspace.query("Enrichment_CL | project ip_s, score_d")
    assert found.values() == [("198.51.100.7", 87.5)] * 2


@pytest.mark.parametrize(
    ("key", "headers", "body", "status", "code"),
    [
        ("wrong", {"Log_Type": "X"}, {"a": 1}, 403, "InvalidAuthorization"),
        ("", {"Log_Type": "X"}, {"a": 1}, 400, "BadRequest"),
        ("good", {}, {"a": 1}, 400, "MissingLogType"),
        ("good", {"Log_Type": "x-y"}, {"a": 1}, 400, "InvalidLogType"),
        ("good", {"Log_Type": "X"}, "no json", 400, "InvalidDataFormat"),
        ("good", {"Log_Type": "X"}, None, 400, "BadRequest"),
    ],
)
async def test_what_the_api_refuses_fails_the_action(
    rig: Rig, key: str, headers: dict[str, str], body: Any, status: int, code: str
) -> None:
    workspace = rig.workspaces.by_id(WORKSPACE)
    assert workspace is not None
    good, _ = await rig.keys.of(workspace.customer_id)
    await connect(rig, workspace.customer_id, good if key == "good" else key or "x")
    if not key:
        connection = {"location": "local", "properties": {"api": {"id": API}}}
        await rig.store.put(ResourceId.parse(CONNECTION), connection)
    done = await run(rig, send(body, **headers))
    assert (done["Send"].status, done["Send"].outputs["statusCode"]) == ("Failed", status)
    assert done["Send"].outputs["body"]["error"]["code"] == code
    assert good not in str(done["Send"].inputs)


async def test_another_operation_fails_by_name(rig: Rig) -> None:
    made = send({})
    made["properties"]["definition"]["actions"]["Send"] = action({}, {}, "/api/other")
    done = await run(rig, made)
    assert done["Send"].problem is not None
    assert (done["Send"].code, "POST /api/other" in done["Send"].problem.message) == ("NotSupported", True)
