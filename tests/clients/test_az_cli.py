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

    def __init__(self, install: Install, folder: Path, **variables: str) -> None:
        self.install = install
        self._variables = {"AZURE_CONFIG_DIR": str(folder), "AZURE_CORE_COLLECT_TELEMETRY": "false"} | variables
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
    return claims_of(az)["oid"]


def claims_of(az: Az) -> dict[str, str]:
    """What the token says that a profile has now."""
    claims: str = az("account get-access-token")["accessToken"].split(".")[1]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(claims + "=="))
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


def test_a_managed_identity_signs_in(install: Install, tmp_path: Path) -> None:
    made = install.identity("cli-machine", "Reader")
    machine = Az(install, tmp_path, **{name: made[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")})
    [account] = machine("login --identity")
    assert account["id"] == install.subscription
    assert machine("group show --name lurewire")["id"] == install.group
    machine("login --identity", "--client-id", claims_of(machine)["appid"])
    machine("login --identity", "--resource-id", claims_of(machine)["xms_mirid"])
    assert machine("group show --name lurewire")["id"] == install.group
    with pytest.raises(Refused, match="AuthorizationFailed"):
        machine("group create --name of-a-reader --location local")


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


def test_deployments_are_predicted_and_complete_ones_delete(az: Az, tmp_path: Path) -> None:
    """Symbolic names, a loop and a nested deployment, in a group of their own; then less, in the mode Complete."""
    az("group create", "--name", "bench", "--location", "local")
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    endpoint = {"type": "Microsoft.Insights/dataCollectionEndpoints", "apiVersion": "2023-03-11", "location": "local"}
    inside = {
        "$schema": schema,
        "contentVersion": "1.0.0.0",
        "parameters": {"name": {"type": "string"}},
        "resources": [endpoint | {"name": "[parameters('name')]", "properties": {}}],
        "outputs": {"url": {"type": "string", "value": "[reference(parameters('name')).logsIngestion.endpoint]"}},
    }
    child = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2022-09-01",
        "name": "child",
        "properties": {"mode": "Incremental", "template": inside, "parameters": {"name": {"value": "in-child"}}},
    }
    several = {"name": "[format('e{0}', copyIndex())]", "copy": {"name": "all", "count": 2}, "properties": {}}
    template: dict[str, Any] = {
        "$schema": schema,
        "languageVersion": "2.0",
        "contentVersion": "1.0.0.0",
        "resources": {"several": endpoint | several, "child": child},
        "outputs": {"url": {"type": "string", "value": "[reference('child').outputs.url.value]"}},
    }
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template))
    arguments = ("-g", "bench", "--name", "d", "--template-file", str(file))

    def predicted(*more: str) -> dict[str, str]:
        found = az("deployment group what-if --no-pretty-print", *arguments, *more)["changes"]
        return {one["resourceId"].rpartition("/")[2]: one["changeType"] for one in found}

    assert predicted() == {"e0": "Create", "e1": "Create", "in-child": "Create"}
    made = az("deployment group create", *arguments)
    assert made["properties"]["outputs"]["url"]["value"] == az.install.url
    assert set(predicted().values()) == {"NoChange"}
    template["resources"]["several"]["copy"]["count"] = 1
    file.write_text(json.dumps(template))
    assert predicted("--mode", "Complete") == {"e0": "NoChange", "e1": "Delete", "in-child": "NoChange"}
    az("deployment group create --mode Complete", *arguments)
    assert sorted(one["name"] for one in az("resource list -g bench")) == ["e0", "in-child"]
    assert az("deployment group export -g bench --name d")["languageVersion"] == "2.0"
    az("group delete --yes --name bench")


def test_tags_locks_and_diagnostic_settings(az: Az) -> None:
    vault = f"{az.install.group}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
    assert az("resource tag --tags team=blue", "--ids", vault)["tags"] == {"team": "blue"}
    assert [one["name"] for one in az("resource list --tag team=blue")] == ["lurewire-vault"]
    merged = az("tag update --operation merge --tags row=1", "--resource-id", vault)
    assert merged["properties"]["tags"] == {"team": "blue", "row": "1"}
    az("lock create --name keep --lock-type CanNotDelete", "--resource", vault)
    with pytest.raises(Refused):
        az("resource delete", "--ids", vault)
    az("lock delete --name keep", "--resource", vault)
    settings = "monitor diagnostic-settings {} --resource " + vault
    workspace = f"{az.install.group}/providers/Microsoft.OperationalInsights/workspaces/lurewire"
    logs = json.dumps([{"category": "AuditEvent", "enabled": True}])
    az(settings.format("create"), "--name", "audit", "--workspace", workspace, "--logs", logs)
    assert [one["name"] for one in az(settings.format("list"))] == ["audit"]
    az(settings.format("delete"), "--name", "audit")


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


def test_a_failed_deployment_has_the_last_good_one_run_again(az: Az, tmp_path: Path) -> None:
    """In a group of its own, for what is run again deletes what it does not name; its parameter has a type."""
    az("group create --name of-cli-rollback --location local")
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    account = {"type": "Microsoft.Storage/storageAccounts", "apiVersion": "2023-01-01", "location": "local"}
    good = {
        "$schema": schema,
        "languageVersion": "2.0",
        "contentVersion": "1.0.0.0",
        "definitions": {"names": {"type": "array", "items": {"type": "string", "minLength": 3}, "minLength": 1}},
        "parameters": {"names": {"$ref": "#/definitions/names"}},
        "resources": {"kept": account | {"name": "[parameters('names')[0]]"}},
    }
    refused = {"accessPolicies": [{"objectId": "x"}]}
    wrong = account | {"type": "Microsoft.KeyVault/vaults", "name": "of-cli-wrong", "properties": refused}
    bad = {"$schema": schema, "contentVersion": "1.0.0.0", "resources": [account | {"name": "other"}, wrong]}
    files = {name: tmp_path / f"{name}.json" for name in ("good", "bad")}
    for name, what in (("good", good), ("bad", bad)):
        files[name].write_text(json.dumps(what))
    create = ("deployment group create -g of-cli-rollback", "--template-file")
    with pytest.raises(Refused, match="the value at '/0' is shorter than"):
        az(*create, str(files["good"]), "--name", "good", "--parameters", 'names=["no"]')
    az(*create, str(files["good"]), "--name", "good", "--parameters", 'names=["kept"]')
    with pytest.raises(Refused):
        az(*create, str(files["bad"]), "--name", "bad", "--rollback-on-error")
    shown = az("deployment group show -g of-cli-rollback --name bad")["properties"]
    again = {"type": "LastSuccessful", "deploymentName": "good", "provisioningState": "Succeeded"}
    assert (shown["provisioningState"], shown["onErrorDeployment"]) == ("Failed", again)
    assert [one["name"] for one in az("resource list -g of-cli-rollback")] == ["kept"]
    az("group delete --name of-cli-rollback --yes")


def test_a_role_in_a_group_is_enough_to_sign_in(az: Az, tmp_path: Path) -> None:
    made = az("ad sp create-for-rbac --name of-cli-group --role Reader", "--scopes", az.install.group)
    limited = Az(az.install, tmp_path)
    user = ("--username", made["appId"], "--tenant", made["tenant"], f"--password={made['password']}")
    [account] = limited("login --service-principal", *user)
    assert account["id"] == az.install.subscription
    assert limited("account show")["id"] == az.install.subscription
    assert [one["name"] for one in limited("account list-locations")] == ["local"]
    assert limited("group show --name lurewire")["id"] == az.install.group
    with pytest.raises(Refused, match="AuthorizationFailed"):
        limited("provider list")
    az("ad app delete", "--id", made["appId"])


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


def test_secrets_are_deleted_recovered_and_purged(az: Az) -> None:
    url = f"{az.install.url}/secrets/short-lived"
    resource = ("--resource", "https://vault.azure.net")
    az("rest --method put", "--url", f"{url}?api-version=7.4", *resource, "--body", json.dumps({"value": "one"}))
    assert az("keyvault secret set-attributes --content-type text/plain", "--id", url)["contentType"] == "text/plain"
    assert len(az("keyvault secret list-versions", "--id", url)) == 1
    assert "short-lived" in [one["name"] for one in az("keyvault secret list", "--id", az.install.url)]
    gone = az("keyvault secret delete", "--id", url)
    recovery = gone["recoveryId"]
    assert recovery == f"{az.install.url}/deletedsecrets/short-lived"
    assert az("keyvault secret show-deleted", "--id", recovery)["recoveryId"] == recovery
    assert [one["name"] for one in az("keyvault secret list-deleted", "--id", az.install.url)] == ["short-lived"]
    az("keyvault secret recover", "--id", recovery)
    assert az("keyvault secret show", "--id", url)["value"] == "one"
    az("keyvault secret delete", "--id", url)
    az("keyvault secret purge", "--id", recovery)
    with pytest.raises(Refused, match="SecretNotFound"):
        az("keyvault secret show-deleted", "--id", recovery)


def test_vaults_are_deleted_recovered_and_purged(az: Az) -> None:
    name = ("--name", "cli-vault")
    made = az("keyvault create -g lurewire --location local --retention-days 7", *name)
    assert (made["properties"]["enableRbacAuthorization"], made["properties"]["softDeleteRetentionInDays"]) == (True, 7)
    az("keyvault delete", *name)
    shown = az("keyvault show-deleted", *name)["properties"]
    assert shown["vaultId"] == made["id"]
    assert [one["name"] for one in az("keyvault list-deleted --resource-type vault")] == ["cli-vault"]
    with pytest.raises(Refused, match="ConflictError"):
        az("keyvault create -g lurewire --location local", *name)
    assert az("keyvault recover", *name)["properties"]["softDeleteRetentionInDays"] == 7
    az("keyvault delete", *name)
    az("keyvault purge", *name)
    assert az("keyvault list-deleted --resource-type vault") == []
    protected = ("--name", "cli-guarded", "--enable-purge-protection", "true")
    az("keyvault create -g lurewire --location local", *protected)
    az("keyvault delete --name cli-guarded")
    with pytest.raises(Refused, match="DeletedVaultPurge"):
        az("keyvault purge --name cli-guarded")


def test_apps_and_their_credentials(az: Az, tmp_path: Path) -> None:
    """`az ad`: an app of its own, whose credentials are replaced, and which is gone at the end."""
    made = az("ad app create", "--display-name", "cli-app")
    assert (made["displayName"], made["passwordCredentials"]) == ("cli-app", [])
    again = az("ad app create", "--display-name", "cli-app")
    assert again["id"] == made["id"], "the same name is the same app"
    first = az("ad app credential reset", "--id", made["appId"], "--display-name", "first")
    assert first["tenant"] == az.install.environment["AZURE_TENANT_ID"]
    login = ("--username", made["appId"], "--tenant", first["tenant"], "--allow-no-subscriptions")
    with pytest.raises(Refused, match="AADSTS7000229"):  # in a profile of its own: MSAL repeats a 400 for a minute
        Az(az.install, tmp_path / "early")("login --service-principal", *login, f"--password={first['password']}")
    principal = az("ad sp create", "--id", made["appId"])
    assert (principal["appId"], principal["id"] == made["id"]) == (made["appId"], False)
    second = az("ad app credential reset", "--id", made["id"], "--append")
    listed = az("ad app credential list", "--id", made["appId"])
    assert [one["hint"] for one in listed] == [first["password"][:3], second["password"][:3]]
    az("ad app credential delete", "--id", made["appId"], "--key-id", listed[0]["keyId"])
    other = Az(az.install, tmp_path / "other")
    with pytest.raises(Refused, match="AADSTS7000215"):
        other("login --service-principal", *login, f"--password={first['password']}")
    of_principal = az("ad sp credential reset", "--id", principal["id"])
    other("login --service-principal", *login, f"--password={of_principal['password']}")
    with pytest.raises(Refused, match="Insufficient privileges"):
        other("ad app list")
    assert len(az("ad app credential list", "--id", made["appId"])) == 1
    assert az("ad sp list", "--display-name", "cli-a")[0]["appId"] == made["appId"]
    az("ad app update", "--id", made["appId"], "--display-name", "renamed")
    assert az("ad app show", "--id", made["id"])["displayName"] == "renamed"
    az("ad app delete", "--id", made["appId"])
    with pytest.raises(Refused, match="does not exist") as raised:
        az("ad app show", "--id", made["id"])
    assert raised.value.code == NOT_FOUND


def test_principal_for_rbac_and_roles_by_app_id(az: Az, tmp_path: Path) -> None:
    """The way tutorials make a credential; then a role for it, found by its app id and by the role's name."""
    made = az("ad sp create-for-rbac", "--name", "rbac", "--role", "Reader", "--scopes", az.install.group)
    other = Az(az.install, tmp_path)
    login = ("--username", made["appId"], "--tenant", made["tenant"])
    other("login --service-principal", *login, f"--password={made['password']}")
    assert other("group show --name lurewire")["id"] == az.install.group
    vault = f"{az.install.group}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
    role = ("--assignee", made["appId"], "--role", "Key Vault Secrets User", "--scope", vault)
    az("role assignment create", *role)
    listed = az("role assignment list --include-inherited", "--assignee", made["appId"], "--scope", vault)
    named = {(one["roleDefinitionName"], one["principalName"]) for one in listed}
    assert named == {("Reader", made["appId"]), ("Key Vault Secrets User", made["appId"])}
    az("role assignment delete", *role)
    listed = az("role assignment list --all", "--assignee", made["appId"])
    assert [one["roleDefinitionName"] for one in listed] == ["Reader"]
    signed = az("ad sp create-for-rbac", "--name", "certified", "--create-cert")
    certificate = ("--certificate", signed["fileWithCertAndPrivateKey"])
    signed_login = ("--username", signed["appId"], "--tenant", signed["tenant"], "--allow-no-subscriptions")
    other("login --service-principal", *signed_login, *certificate)


def test_custom_roles(az: Az) -> None:
    definition = {
        "Name": "Group Looker",
        "Description": "Sees groups.",
        "Actions": ["Microsoft.Resources/subscriptions/resourceGroups/read"],
        "AssignableScopes": [az.install.group, f"/subscriptions/{az.install.subscription}"],
    }
    made = az("role definition create", "--role-definition", json.dumps(definition))
    assert (made["roleName"], made["roleType"]) == ("Group Looker", "CustomRole")
    definition["Actions"] = ["Microsoft.Resources/subscriptions/resourceGroups/*"]
    changed = az("role definition update", "--role-definition", json.dumps(definition))
    assert changed["permissions"][0]["actions"] == definition["Actions"]
    assert [one["name"] for one in az("role definition list --custom-role-only true")] == [made["name"]]
    principal = az("ad sp create-for-rbac", "--name", "looker", "--role", "Group Looker", "--scopes", az.install.group)
    with pytest.raises(Refused, match="RoleDefinitionHasAssignments"):
        az("role definition delete", "--name", "Group Looker")
    az("role assignment delete", "--assignee", principal["appId"], "--scope", az.install.group)
    az("role definition delete", "--name", "Group Looker")
    assert az("role definition list --custom-role-only true") == []
