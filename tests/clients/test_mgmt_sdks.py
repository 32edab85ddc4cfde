"""The azure-mgmt-* packages, unmodified: their quick-starts, run in the clients' environment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Install

pytestmark = pytest.mark.cli

SCRIPT = Path(__file__).parent / "scripts" / "mgmt_quickstarts.py"
NOT_FOUND = ["ResourceNotFoundError", 404, "ResourceNotFound"]


def run(install: Install, name: str) -> dict[str, Any]:
    done = install.python(str(SCRIPT), name)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def workspace(install: Install) -> str:
    return f"{install.group}/providers/Microsoft.OperationalInsights/workspaces/lurewire"


def test_subscriptions(install: Install) -> None:
    seen = run(install, "subscriptions")
    assert seen["subscriptions"] == [[install.subscription, "Enabled"]]
    assert seen["name"] == "Lurewire"
    assert seen["tenants"] == [install.environment["AZURE_TENANT_ID"]]


def test_resource_groups_and_providers(install: Install) -> None:
    seen = run(install, "resources")
    assert seen["made"] == ["quickstart", "local", {"team": "blue"}, "Succeeded"]
    assert seen["listed"] == ["lurewire", "quickstart"]
    assert seen["patched"] == {"team": "red"}
    assert seen["provider"] == seen["registered"] == "Registered"
    assert (seen["exists"], seen["deleted"]) == (True, False)
    assert seen["gone"] == ["ResourceNotFoundError", 404, "ResourceGroupNotFound"]
    assert seen["resources"] == seen["by type"] == ["e"]
    assert (seen["expanded"], seen["there"]) == (["Succeeded"], True)
    assert (seen["tags"], seen["tag names"]) == ({"team": "blue", "row": "1"}, ["row"])
    assert seen["not moved"] == ["HttpResponseError", 400, "ResourceMoveNotSupported"]


def test_deployments(install: Install) -> None:
    seen = run(install, "deployments")
    assert seen["valid"] == "Succeeded"
    assert seen["invalid"] == ["HttpResponseError", 400, "InvalidTemplate"]
    assert seen["before"] is False
    assert seen["made"] == ["Succeeded", {"endpoint": {"type": "String", "value": install.url}}]
    assert seen["same"]
    assert seen["resources"] == [f"{install.group}/providers/Microsoft.Insights/dataCollectionEndpoints/quickstart-dce"]
    assert seen["operations"] == [["Create", "Succeeded", "Created"]]
    assert seen["listed"]
    assert seen["gone"] == ["ResourceNotFoundError", 404, "DeploymentNotFound"]
    assert seen["what if"] == ["Succeeded", {"quickstart-dce": "NoChange"}]
    assert seen["what if another"] == {"another": "Create"}
    assert seen["exported"]
    assert seen["cancel"] == ["ResourceExistsError", 409, "DeploymentCannotBeCancelled"]
    assert seen["subscription"] == [
        "local",
        [f"/subscriptions/{install.subscription}/resourceGroups/from-subscription"],
    ]


def test_vaults(install: Install) -> None:
    seen = run(install, "keyvault")
    name, uri = seen["made"]
    assert (name, uri.startswith("https://sdk-vault.vault.localhost:")) == ("sdk-vault", True)
    assert (seen["taken"], seen["updated"]) == (False, True)
    assert seen["listed"] == seen["subscription"] == ["lurewire-vault", "sdk-vault"]
    assert seen["deleted"] == []
    assert seen["gone"] == NOT_FOUND
    assert (seen["kept"], seen["for"]) == (["sdk-vault"], 90)
    assert seen["name taken"] == ["ResourceExistsError", 409, "ConflictError"]
    assert seen["recovered"] == ["sdk-vault", True]
    assert seen["purged"] == ["ResourceNotFoundError", 404, "DeletedVaultNotFound"]


def test_data_collection_rules(install: Install) -> None:
    seen = run(install, "monitor")
    immutable, address, state = seen["endpoint"]
    assert re.fullmatch("dce-[0-9a-f]{32}", immutable)
    assert (address, state) == (install.url, "Succeeded")
    rule, state = seen["made"]
    assert re.fullmatch("dcr-[0-9a-f]{32}", rule)
    assert state == "Succeeded"
    assert seen["shown"] == [rule, "source | project TimeGenerated = when, source_ip"]
    assert seen["destination"] == workspace(install)
    assert {"sdk-dcr", "trapeye-dcr"} <= set(seen["listed"])
    assert seen["subscription"] == seen["listed"]
    assert seen["again"] == rule, "a second PUT keeps the id that senders know"
    assert seen["tags"] == {"team": "blue"}
    assert seen["wrong"] == ["HttpResponseError", 400, "InvalidPayload"]
    assert seen["gone"] == NOT_FOUND


def test_workspaces_and_tables(install: Install) -> None:
    seen = run(install, "loganalytics")
    assert seen["made"] == ["Succeeded", 60, "PerGB2018"]
    assert seen["customer"]
    assert seen["listed"] == ["lurewire", "sdk-workspace"]
    assert seen["table"] == ["Sdk_CL", "Analytics", 45, "Succeeded"]
    assert seen["columns"] == [["TimeGenerated", "dateTime"], ["text", "string"]]
    assert seen["tables"] == ["Sdk_CL", "Operation"], "that which notes the change of schema too"
    assert seen["updated"] == [45, 365, 320]
    assert seen["tagged"] == [{"team": "blue"}, 60]
    assert seen["wrong"][1] == 400
    assert seen["gone"] == [NOT_FOUND, NOT_FOUND]


def test_role_assignments(install: Install) -> None:
    seen = run(install, "authorization")
    assert seen["role"] == ["73c42c96-874c-492b-b04d-ab87d138a893", "Log Analytics Reader", "BuiltInRole"]
    assert seen["made"] == [True, workspace(install), True, "ServicePrincipal"]
    assert seen["here"]
    assert seen["whole"] == [True]
    assert seen["shown"]
    assert seen["twice"] == ["ResourceExistsError", 409, "RoleAssignmentExists"]
    assert (seen["deleted"], seen["no more"]) == (True, True)
    assert seen["gone"] == NOT_FOUND


def test_custom_roles(install: Install) -> None:
    seen = run(install, "custom_roles")
    assert seen["made"] == [True, "Playbook Looker", "CustomRole", True]
    assert seen["listed"] == [[True, "Looks."]]
    assert seen["by id"] == "Playbook Looker"
    assert seen["twice"] == ["ResourceExistsError", 409, "RoleDefinitionWithSameNameExists"]
    assert seen["in use"] == ["HttpResponseError", 400, "RoleDefinitionHasAssignments"]
    assert seen["inherited"] == [True]
    # The subscription's owner has no say in the tenant; the scope `/` is understood, and refused.
    assert seen["tenant"] == seen["tenant's list"] == ["HttpResponseError", 403, "AuthorizationFailed"]
    assert seen["deleted"]


def test_watchlists(install: Install) -> None:
    seen = run(install, "securityinsight")
    assert seen["made"] == ["sdk-list", "sdk-list", "Complete"]
    assert (seen["by"], seen["raw"], seen["shown"], seen["listed"]) == (True, False, "From the SDK", True)
    assert (seen["items"], seen["left"]) == (["bob", "eve", "trent"], 2)
    assert seen["etags"]
    assert seen["stale"] == ["ResourceExistsError", 409, "Conflict"]
    assert seen["refused"] == ["HttpResponseError", 400, "BadRequest"]
    assert (seen["item"], seen["gone"]) == (["ResourceNotFoundError", 404, "NotFound"], NOT_FOUND)


def test_logic(install: Install) -> None:
    seen = run(install, "logic")
    assert seen["invalid"] == ["HttpResponseError", 400, "InvalidTemplate"]
    assert (seen["states"], seen["versions"], seen["version"]) == (["Enabled", "Disabled", "Enabled"], 3, True)
    assert (seen["triggers"], seen["trigger"], seen["method"], seen["url"]) == (["manual"], "Enabled", "POST", True)
    assert (seen["run"], seen["ended"]) == ("Cancelled", ["ResourceExistsError", 409, "WorkflowRunEnded"])
