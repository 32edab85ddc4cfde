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
    assert seen["tables"] == ["Sdk_CL"]
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
