"""What calls an API that does not run here: stored with a warning, refused by name when it runs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from tests.playbooks.rig import (
    CONNECTION,
    CONNECTIONS,
    GROUP,
    HOST,
    SUBSCRIPTION,
    WORKFLOW,
    compose,
    connection,
    workflow,
)

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.playbooks.rig import Rig

MANAGED = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Web/locations/local/managedApis"
CUSTOM = f"{GROUP}/providers/Microsoft.Web/customApis"
RUNS = "it runs azuresentinel"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
WAITING = {
    "type": "ApiConnectionWebhook",
    "inputs": {"host": HOST, "path": "/flowbot/wait", "body": {"notificationUrl": "@{listCallbackUrl()}"}},
    "limit": {"timeout": "PT30M"},
}


def calling(api_id: str, *actions: dict[str, Any]) -> dict[str, Any]:
    """A workflow whose actions A, B, ... use a connection of the API."""
    body = workflow({chr(ord("A") + index): action for index, action in enumerate(actions)})
    connections = copy.deepcopy(CONNECTIONS)
    connections["sentinel_1"]["id"] = api_id
    body["properties"]["parameters"]["$connections"]["value"] = connections
    return body


def deployment(*resources: dict[str, Any]) -> dict[str, Any]:
    template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": list(resources)}
    return {"properties": {"mode": "Incremental", "template": template}}


def resource(kind: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "apiVersion": "2019-05-01", "name": name} | body


def of_api(api_id: str) -> dict[str, Any]:
    return resource("Microsoft.Web/connections", "c", {"location": "local", "properties": {"api": {"id": api_id}}})


@pytest.mark.parametrize(
    ("api_id", "named"),
    [
        (f"{MANAGED}/Teams", "the connector 'teams'"),
        (f"{CUSTOM}/FortinetConnector", "the custom connector 'FortinetConnector'"),
        (f"{CUSTOM}/azuresentinel", "the custom connector 'azuresentinel'"),
    ],
)
async def test_a_foreign_connector_deploys_with_a_warning_and_fails_by_name(rig: Rig, api_id: str, named: str) -> None:
    call = connection("POST", "/messages", {"text": "@triggerBody()"})
    after = compose("@actions('A')['error']['message']", {"A": ["Failed"]})
    body = calling(api_id, call, after, connection("GET", "/messages", None))
    shown = await rig.deployments.deploy(
        ResourceId.parse(GROUP), "d", deployment(of_api(api_id), resource("Microsoft.Logic/workflows", "Test", body))
    )
    properties = shown["properties"]
    assert (properties["provisioningState"], properties.get("error")) == ("Succeeded", None)
    first, second = properties["diagnostics"]
    assert (first["level"], first["code"], first["target"]) == (
        "Warning",
        "ConnectorNotRun",
        f"{GROUP}/providers/Microsoft.Web/connections/c",
    )
    assert f"Lurewire does not run {named}; {RUNS}" in first["message"]
    assert (second["code"], second["target"]) == ("ConnectorNotRun", WORKFLOW)
    assert f"Lurewire does not run {named}; {RUNS}" in second["message"]
    assert "When they run, 'A', 'C' fail." in second["message"]
    done = await rig.finish(await rig.begin("hello"))
    assert (done["A"].status, done["A"].code, done.row.status) == ("Failed", "NotSupported", "Failed")
    assert named in done["B"].outputs
    assert done["A"].inputs["body"] == {"text": "hello"}  # what it would have sent


async def test_the_connection_says_so_too(rig: Rig) -> None:
    connection_id = ResourceId.parse(f"{GROUP}/providers/Microsoft.Web/connections/c")
    for api_id, kind in (
        (f"{MANAGED}/teams", "Microsoft.Web/locations/managedApis"),
        (f"{CUSTOM}/Okta", "Microsoft.Web/customApis"),
    ):
        await rig.store.put(connection_id, {"location": "local", "properties": {"api": {"id": api_id}}})
        shown = rig.store.shown(connection_id)
        assert shown is not None
        assert shown["properties"]["api"] == {"id": api_id, "name": api_id.rpartition("/")[2], "type": kind}
        [status] = shown["properties"]["statuses"]
        assert (status["status"], status["error"]["code"]) == ("Error", "NotSupported")
        assert "does not run the" in status["error"]["message"]


async def test_an_operation_that_does_not_run(rig: Rig) -> None:
    path = "/Watchlists/@{utcNow()}"
    body = calling(CONNECTIONS["sentinel_1"]["id"], connection("GET", path, None), connection("POST", "/Incidents", {}))
    shown = await rig.deployments.deploy(
        ResourceId.parse(GROUP), "d", deployment(resource("Microsoft.Logic/workflows", "Test", body))
    )
    [warning] = shown["properties"]["diagnostics"]
    assert warning["code"] == "OperationNotRun"
    assert f"the operation GET {path} of the connector 'azuresentinel'" in warning["message"]
    assert warning["message"].endswith("When it runs, the action 'A' fails.")
    done = await rig.finish(await rig.begin())
    assert done["A"].problem is not None
    assert done["A"].code == "NotSupported"
    assert "GET /Watchlists/2026-11-22T" in done["A"].problem.message


@pytest.mark.parametrize("api_id", [f"{MANAGED}/teams", CONNECTIONS["sentinel_1"]["id"]])
async def test_an_action_that_waits_for_a_connector_fails_at_once(rig: Rig, api_id: str) -> None:
    body = calling(api_id, WAITING, compose(1, {"A": ["Failed", "TimedOut"]}))
    shown = await rig.deployments.deploy(
        ResourceId.parse(GROUP), "d", deployment(resource("Microsoft.Logic/workflows", "Test", body))
    )
    [warning] = shown["properties"]["diagnostics"]
    done = await rig.finish(await rig.begin())
    assert done["A"].problem is not None
    assert (done["A"].code, done["B"].status) == ("NotSupported", "Succeeded")
    assert warning["message"].startswith(done["A"].problem.message)


async def test_a_function_is_not_called(rig: Rig) -> None:
    function = {"id": f"{GROUP}/providers/Microsoft.Web/sites/app/functions/GetKey"}
    call = {"type": "Function", "inputs": {"function": function, "method": "POST", "body": "@triggerBody()"}}
    planned = deployment(resource("Microsoft.Logic/workflows", "Test", workflow({"F": call})))
    shown = await rig.deployments.deploy(ResourceId.parse(GROUP), "d", planned)
    [warning] = shown["properties"]["diagnostics"]
    reason = "Lurewire does not run Azure Functions: the function 'GetKey' is not called."
    assert (warning["code"], warning["message"]) == ("FunctionNotRun", f"{reason} When it runs, the action 'F' fails.")
    done = await rig.finish(await rig.begin())
    assert done["F"].problem is not None
    assert (done["F"].code, done["F"].problem.message) == ("NotSupported", reason)


async def test_what_if_warns_beforehand(rig: Rig) -> None:
    body = calling(f"{MANAGED}/teams", connection("POST", "/x", None))
    planned = deployment(resource("Microsoft.Logic/workflows", "Test", body))
    found = await rig.deployments.what_if(ResourceId.parse(GROUP), "d", planned)
    assert [row["code"] for row in found["diagnostics"]] == ["ConnectorNotRun"]
    broken = copy.deepcopy(planned)
    properties = broken["properties"]["template"]["resources"][0]["properties"]
    for secure in ({"defaults": 7}, {"values": {"x": 1}}):
        properties["secureParameters"] = secure
        found = await rig.deployments.what_if(ResourceId.parse(GROUP), "d", broken)
        assert found["diagnostics"] == []


async def test_a_workflow_that_runs_whole_has_no_warning(rig: Rig) -> None:
    body = workflow({"A": connection("POST", "/entities/ip", "@null")})
    await rig.deployments.deploy(
        ResourceId.parse(GROUP), "d", deployment(resource("Microsoft.Logic/workflows", "Test", body))
    )
    shown = rig.deployments.get(ResourceId.parse(GROUP), "d")
    assert "diagnostics" not in shown["properties"]
    assert rig.store.warnings(ResourceId.parse(CONNECTION), rig.store.get(ResourceId.parse(CONNECTION)) or {}) == []


async def test_names_are_found_without_case(rig: Rig) -> None:
    """As Azure does: public playbooks write `items('For_each')` of an action `For_Each`."""
    done = await rig.run(
        {
            "Start": {
                "type": "InitializeVariable",
                "inputs": {"variables": [{"name": "Found", "type": "array"}]},
            },
            "For_Each": {
                "type": "Foreach",
                "foreach": "@createArray(1, 2)",
                "runtimeConfiguration": {"concurrency": {"repetitions": 1}},
                "actions": {
                    "Add": {
                        "type": "AppendToArrayVariable",
                        "inputs": {"name": "found", "value": "@items('for_each')"},
                    }
                },
                "runAfter": {"START": ["Succeeded"]},
            },
            "Sum": compose(
                {"all": "@variables('FOUND')", "status": "@actions('FOR_EACH')['status']"}, {"for_each": ["Succeeded"]}
            ),
            "Read": compose("@outputs('sum')['all'][1]", {"SUM": ["Succeeded"]}),
        }
    )
    assert done["Sum"].outputs == {"all": [1, 2], "status": "Succeeded"}
    assert done["Read"].outputs == 2
