"""azure-cli, unmodified: the commands of Microsoft's tutorials, after the four that point it here."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.solutions import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.conftest import Install

pytestmark = pytest.mark.cli

PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
NOT_FOUND = 3
"""azure-cli's exit code for a 404."""


class Refused(Exception):
    """A command failed: what it printed, and its exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Az:
    """Commands of one profile folder, which knows this Lurewire: the first three of the four commands."""

    def __init__(self, install: Install, folder: Path) -> None:
        self.install = install
        self._variables = {"AZURE_CONFIG_DIR": str(folder), "AZURE_CORE_COLLECT_TELEMETRY": "false"}
        self("cloud register", "--name", "Local", "--endpoint-resource-manager", install.url)
        self("cloud set", "--name", "Local")
        self("config set", "core.instance_discovery=false")

    def sign_in(self, secret: str) -> None:
        """The fourth."""
        value = self.install.environment
        password = f"--password={secret}"  # it may begin with a hyphen
        user = ("--username", value["AZURE_CLIENT_ID"], "--tenant", value["AZURE_TENANT_ID"])
        self("login --service-principal", *user, password)

    def __call__(self, command: str, *arguments: str) -> Any:
        """What `az {command} {arguments}` prints, as JSON; None where that is nothing. Raises `Refused`."""
        words = ("-m", "azure.cli", *command.split(), *arguments, "--output", "json")
        done = self.install.python(*words, **self._variables)
        if done.returncode:
            raise Refused(done.stderr, done.returncode)
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def az(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Az:
    az = Az(install, tmp_path_factory.mktemp("azure"))
    az.sign_in(install.environment["AZURE_CLIENT_SECRET"])
    return az


@pytest.fixture(scope="module")
def second(az: Az, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tables of TrapEye deployed again, under other names, from a file with an author's comments."""
    [template] = [content for name, content in load("trapeye") if name == "tables"]
    file = tmp_path_factory.mktemp("template") / "tables.json"
    text = json.dumps(template, indent=2).replace("{\n", "{ // the second connector's\n", 1)
    file.write_text(f"/* Deployed\n   by hand. */\n{text}\n")
    names = ("endpointName=second-dce", "ruleName=second-dcr")
    made: dict[str, Any] = az(
        "deployment group create --name second -g lurewire", "--template-file", str(file), "--parameters", *names
    )
    return made


@pytest.fixture(scope="module")
def object_id(az: Az) -> str:
    claims: str = az("account get-access-token")["accessToken"].split(".")[1]
    found: str = json.loads(base64.urlsafe_b64decode(claims + "=="))["oid"]
    return found


def test_sign_in_finds_tenant_and_subscription(az: Az) -> None:
    account = az("account show")
    assert account["id"] == az.install.subscription
    assert account["tenantId"] == az.install.environment["AZURE_TENANT_ID"]
    assert (account["environmentName"], account["state"]) == ("Local", "Enabled")
    endpoints = az("cloud show")["endpoints"]
    assert endpoints["resourceManager"] == endpoints["activeDirectory"] == az.install.url


def test_wrong_secret_is_refused(install: Install, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="AADSTS7000215"):
        Az(install, tmp_path).sign_in("wrong")


def test_rest_on_resource_manager(az: Az) -> None:
    groups = az("rest", "--url", "/subscriptions/{subscriptionId}/resourcegroups?api-version=2024-11-01")["value"]
    assert [group["id"] for group in groups] == [az.install.group]
    missing = f"{az.install.group}/providers/Microsoft.Insights/dataCollectionRules/none?api-version=2023-03-11"
    with pytest.raises(Refused, match="ResourceNotFound"):
        az("rest", "--url", missing)


def query(az: Az, text: str) -> list[list[Any]]:
    url = f"{az.install.url}/v1/workspaces/{az.install.environment['LUREWIRE_WORKSPACE_ID']}/query"
    body = json.dumps({"query": text})
    answer = az("rest --method post", "--url", url, "--resource", "https://api.loganalytics.io", "--body", body)
    rows: list[list[Any]] = answer["tables"][0]["rows"]
    return rows


def test_rest_on_the_query_api(az: Az) -> None:
    assert query(az, "TrapEye_Threats_CL | where threat_uuid == 'none' | count") == [[0]]
    with pytest.raises(Refused, match="Failed to resolve"):
        query(az, "TrapEye_Threats_CL | where nothing == 1")


def test_resource_groups(az: Az) -> None:
    made = az("group create", "--name", "other", "--location", "local", "--tags", "team=blue")
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert az("group update", "--name", "other", "--tags", "team=red")["tags"] == {"team": "red"}
    assert az("group exists", "--name", "other") is True
    az("group delete --yes", "--name", "other")
    assert az("group exists", "--name", "other") is False
    with pytest.raises(Refused, match="ResourceGroupNotFound") as raised:
        az("group show", "--name", "other")
    assert raised.value.code == NOT_FOUND


def test_deployment_of_a_file_with_comments(az: Az, second: dict[str, Any]) -> None:
    assert second["properties"]["provisioningState"] == "Succeeded"
    rule = f"{az.install.group}/providers/Microsoft.Insights/dataCollectionRules/second-dcr"
    assert second["properties"]["outputs"]["ruleId"]["value"] == rule
    assert az("deployment group show --name second -g lurewire")["properties"] == second["properties"]
    assert "second" in [one["name"] for one in az("deployment group list -g lurewire")]
    operations = az("deployment operation group list --name second -g lurewire")
    assert {one["properties"]["provisioningState"] for one in operations} == {"Succeeded"}
    targets = {one["properties"]["targetResource"]["id"] for one in operations}
    assert targets == {one["id"] for one in second["properties"]["outputResources"]}
    assert rule in targets
    shown = az("resource show", "--ids", rule)
    assert shown["properties"]["immutableId"] == second["properties"]["outputs"]["immutableId"]["value"]


def test_deployment_that_fails_says_what_and_where(az: Az, tmp_path: Path) -> None:
    nested = {"type": "Microsoft.OperationalInsights/workspaces/tables", "apiVersion": "2022-10-01"}
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    template = {"$schema": schema, "contentVersion": "1.0.0.0", "resources": [nested | {"name": "nowhere/A_CL"}]}
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template))
    with pytest.raises(Refused, match=r"DeploymentFailed[\s\S]*ParentResourceNotFound"):
        az("deployment group create --name failed -g lurewire", "--template-file", str(file))
    assert az("deployment group show --name failed -g lurewire")["properties"]["provisioningState"] == "Failed"
    file.write_text(json.dumps(template | {"outputs": {"o": {"type": "string", "value": "[nosuch()]"}}}))
    with pytest.raises(Refused, match=r"InvalidTemplate[\s\S]*nosuch"):
        az("deployment group validate -g lurewire", "--template-file", str(file))


def test_role_assignment_lets_logs_in(az: Az, second: dict[str, Any], object_id: str) -> None:
    outputs = {name: output["value"] for name, output in second["properties"]["outputs"].items()}
    stream = f"dataCollectionRules/{outputs['immutableId']}/streams/Custom-TrapEye_Threats_CL"
    url = f"{outputs['logsIngestionEndpoint']}/{stream}?api-version=2023-01-01"
    known, at = str(uuid.uuid4()), datetime.now(UTC).isoformat()
    row = {"event_type": "new_threat", "first_interaction": at, "threat_uuid": known, "source_ip": "198.51.100.78"}

    def send() -> None:
        az("rest --method post", "--url", url, "--resource", "https://monitor.azure.com", "--body", json.dumps([row]))

    with pytest.raises(Refused, match="OperationFailed"):
        send()
    assignee = ("--assignee-object-id", object_id, "--assignee-principal-type", "ServicePrincipal")
    made = az("role assignment create", *assignee, "--role", PUBLISHER, "--scope", outputs["ruleId"])
    assert made["properties"]["scope"] == outputs["ruleId"]
    listed = az("role assignment list --fill-principal-name false", "--scope", outputs["ruleId"])
    assert [(one["id"], one["roleDefinitionName"]) for one in listed] == [(made["id"], "Monitoring Metrics Publisher")]
    send()
    rows: list[list[Any]] = []
    for _ in range(20):
        rows = query(az, f"TrapEye_Threats_CL | where threat_uuid == '{known}' | project source_ip")
        if rows:
            break
    assert rows == [["198.51.100.78"]]
    az("role assignment delete", "--ids", made["id"])
    with pytest.raises(Refused, match="OperationFailed"):
        send()


def test_workspaces_and_tables(az: Az) -> None:
    place = "-g lurewire --workspace-name lurewire"
    shown = az("monitor log-analytics workspace show", *place.split())
    assert shown["customerId"] == az.install.environment["LUREWIRE_WORKSPACE_ID"]
    assert shown["provisioningState"] == "Succeeded"
    table = f"monitor log-analytics workspace table {{}} {place}"
    threats = az(table.format("show"), "--name", "TrapEye_Threats_CL")
    assert {"name": "source_ip", "type": "string"} in threats["schema"]["columns"]
    made = az(table.format("create"), "--name", "Made_CL", "--columns", "TimeGenerated=datetime", "text=string")
    assert (made["plan"], made["provisioningState"]) == ("Analytics", "Succeeded")
    assert query(az, "Made_CL | project text | count") == [[0]]
    assert az(table.format("update"), "--name", "Made_CL", "--retention-time", "45")["retentionInDays"] == 45
    assert "Made_CL" in [one["name"] for one in az(table.format("list"))]
    az(table.format("delete --yes"), "--name", "Made_CL")
    with pytest.raises(Refused, match="ResourceNotFound") as raised:
        az(table.format("show"), "--name", "Made_CL")
    assert raised.value.code == NOT_FOUND


def test_a_workspace_of_its_own(az: Az) -> None:
    workspace = "monitor log-analytics workspace {} -g lurewire --workspace-name second-workspace"
    made = az(workspace.format("create"))
    assert uuid.UUID(made["customerId"])
    assert made["name"] == "second-workspace"
    az(workspace.format("delete --yes --force"))
    with pytest.raises(Refused, match="ResourceNotFound"):
        az(workspace.format("show"))


def test_vault_secrets(az: Az) -> None:
    url = f"{az.install.url}/secrets/from-the-cli"
    body = json.dumps({"value": "s3cret", "tags": {"by": "az"}})
    resource = ("--resource", "https://vault.azure.net")
    az("rest --method put", "--url", f"{url}?api-version=7.4", *resource, "--body", body)
    shown = az("keyvault secret show", "--id", url)
    assert (shown["value"], shown["name"], shown["tags"]) == ("s3cret", "from-the-cli", {"by": "az"})
    assert az("keyvault secret show", "--id", shown["id"])["value"] == "s3cret"
    with pytest.raises(Refused, match="SecretNotFound") as raised:
        az("keyvault secret show", "--id", f"{az.install.url}/secrets/none")
    assert raised.value.code == NOT_FOUND
    assert az("keyvault show -g lurewire --name lurewire-vault")["properties"]["enableRbacAuthorization"] is True
