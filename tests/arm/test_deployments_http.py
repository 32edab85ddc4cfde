"""Deployments as azure-cli and the SDKs send them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import requests
    from tests.arm.house import Server

SUBSCRIPTION = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"{SUBSCRIPTION}/resourcegroups/lurewire"
DEPLOYMENTS = f"{GROUP}/providers/Microsoft.Resources/deployments"

# What azure-cli puts on the wire: a key without quotes, and the user's file as it is.
CLI_BODY = """{"properties": {"parameters": {"p": {"value": "from the cli"}}, "mode": "Incremental", template:{
  // a comment of the author
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {"p": {"type": "string"}},
  "resources": [
    {"type": "Contoso.Test/widgets", "apiVersion": "2024-01-01", "name": "cli", "properties": {"p": "[parameters('p')]",},},
  ],
  "outputs": {"serial": {"type": "string", "value": "[reference('cli').serial]"}}
}
}}"""


@pytest.fixture(scope="module")
def owner(server: Server) -> str:
    return server.token("owner", ("Owner", SUBSCRIPTION))


def error(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_the_sequence_of_azure_cli(server: Server, owner: str) -> None:
    one = f"{DEPLOYMENTS}/d9"
    assert server.call("HEAD", one, owner).status_code == 404
    validated = server.call("POST", f"{one}/validate", owner, data=CLI_BODY.encode())
    assert validated.status_code == 200
    assert validated.json()["properties"]["validatedResources"][0]["id"].endswith("/widgets/cli")
    put = server.call("PUT", one, owner, data=CLI_BODY.encode())
    assert put.status_code == 201
    assert put.json()["properties"]["provisioningState"] == "Succeeded"
    poll = put.headers["Azure-AsyncOperation"].removeprefix(server.house.url())
    assert poll.startswith("/subscriptions/")
    assert server.call("GET", poll, owner).json() == {"status": "Succeeded"}
    shown = server.call("GET", one, owner).json()
    assert shown["id"].lower() == one.lower()
    assert shown["properties"]["outputs"] == {"serial": {"type": "String", "value": "cli"}}
    assert shown["properties"]["outputResources"][0]["id"].endswith("/widgets/cli")
    operations = server.call("GET", f"{GROUP}/deployments/d9/operations", owner).json()["value"]
    assert [o["properties"]["provisioningState"] for o in operations] == ["Succeeded"]
    single = server.call("GET", f"{GROUP}/deployments/d9/operations/{operations[0]['operationId']}", owner)
    assert single.json() == operations[0]
    assert server.call("HEAD", one, owner).status_code == 204
    listed = server.call("GET", f"{DEPLOYMENTS}/", owner).json()["value"]  # with the slash that clients send
    assert listed == server.call("GET", DEPLOYMENTS, owner).json()["value"]
    assert "d9" in [deployment["name"] for deployment in listed]
    assert "d9" in [d["name"] for d in server.call("GET", DEPLOYMENTS, owner).json()["value"]]
    assert server.call("PUT", one, owner, data=CLI_BODY.encode()).status_code == 200
    assert server.call("DELETE", one, owner).status_code == 204
    assert error(server.call("GET", one, owner)) == (404, "DeploymentNotFound")


def test_a_failure_is_told_at_the_first_look(server: Server, owner: str) -> None:
    body = CLI_BODY.replace('"name": "cli"', '"name": "none/child"').replace("widgets", "widgets/parts")
    body = body.replace("[reference('cli').serial]", "x")
    put = server.call("PUT", f"{DEPLOYMENTS}/failing", owner, data=body.encode())
    assert (put.status_code, put.json()["properties"]["provisioningState"]) == (201, "Failed")
    status = server.call("GET", put.headers["Azure-AsyncOperation"].removeprefix(server.house.url()), owner).json()
    assert (status["status"], status["error"]["code"]) == ("Failed", "DeploymentFailed")
    assert status["error"]["details"][0]["code"] == "ParentResourceNotFound"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "InvalidRequestContent")),
        (b"[]", (400, "InvalidRequestContent")),
        (b"{template:", (400, "InvalidRequestContent")),
        (b"\xff", (400, "InvalidRequestContent")),
        (b"{a: NaN}", (400, "InvalidRequestContent")),
        (b"{a: -Infinity}", (400, "InvalidRequestContent")),
        (b"{a: '\\ud800'}", (400, "InvalidRequestContent")),
        (b"{a:" * 3000 + b"1" + b"}" * 3000, (400, "InvalidRequestContent")),
        (b"{}", (400, "InvalidDeployment")),
        (b"{properties: 3}", (400, "InvalidDeployment")),
        (b"{properties: {mode: 'Incremental', template: {}}}", (400, "InvalidTemplate")),
    ],
    ids=lambda value: repr(value[:16]) if isinstance(value, bytes) else "",
)
def test_hostile_bodies(server: Server, owner: str, body: bytes, expected: tuple[int, str]) -> None:
    for call in (("PUT", f"{DEPLOYMENTS}/hostile"), ("POST", f"{DEPLOYMENTS}/hostile/validate")):
        assert error(server.call(*call, owner, data=body)) == expected
    assert server.call("HEAD", f"{DEPLOYMENTS}/hostile", owner).status_code == 404


def test_wrong_names_groups_and_callers(server: Server, owner: str) -> None:
    body = CLI_BODY.encode()
    assert error(server.call("PUT", f"{DEPLOYMENTS}/{'x' * 65}", owner, data=body)) == (400, "InvalidDeployment")
    elsewhere = f"{SUBSCRIPTION}/resourcegroups/none/providers/Microsoft.Resources/deployments"
    assert error(server.call("PUT", f"{elsewhere}/d", owner, data=body)) == (404, "ResourceGroupNotFound")
    assert error(server.call("GET", elsewhere, owner)) == (404, "ResourceGroupNotFound")
    reader = server.token("reader", ("Reader", GROUP))
    assert error(server.call("PUT", f"{DEPLOYMENTS}/d", reader, data=body)) == (403, "AuthorizationFailed")
    # Who may deploy may not therefore write what is deployed.
    deployer = server.token("deployer", ("Microsoft Sentinel Reader", GROUP))
    refused = server.call("PUT", f"{DEPLOYMENTS}/d", deployer, data=body)
    assert error(refused) == (403, "InvalidTemplateDeployment")
    assert refused.json()["error"]["details"][0]["code"] == "AuthorizationFailed"
