"""Bodies that are right but for one place: what a parser that trusts its input falls over."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.conftest import DIRECTORY, EVERYTHING
    from tests.hostile.walk import tokens
    from tests.testbench.started import Started
else:
    from hostile.conftest import DIRECTORY, EVERYTHING
    from hostile.walk import tokens

EXAMPLES = max(150, int(os.environ.get("LUREWIRE_FUZZ", "0")) // 10)
_COLUMNS = [{"name": "TimeGenerated", "type": "datetime"}, {"name": "text", "type": "string"}]
_SENTINEL = "{workspace}/providers/Microsoft.SecurityInsights"
_FLOW = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"
_TEMPLATE = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"

RIGHT: tuple[tuple[str, str, str, Any], ...] = (
    ("management", "PUT", "{group}", {"location": "local", "tags": {"a": "b"}}),
    ("management", "PUT", "{workspace}", {"location": "local", "properties": {"retentionInDays": 30}}),
    (
        "management",
        "PUT",
        "{workspace}/tables/Mutant_CL",
        {
            "properties": {
                "plan": "Analytics",
                "retentionInDays": 30,
                "schema": {"name": "Mutant_CL", "columns": _COLUMNS},
            }
        },
    ),
    (
        "management",
        "PUT",
        "{workspace}/savedSearches/mutant",
        {
            "properties": {
                "category": "c",
                "displayName": "d",
                "query": "print 1",
                "functionAlias": "mutant",
                "tags": [],
            }
        },
    ),
    (
        "management",
        "PUT",
        "{group}/providers/Microsoft.Insights/dataCollectionRules/mutant",
        {
            "location": "local",
            "kind": "Direct",
            "properties": {
                "streamDeclarations": {"Custom-M": {"columns": _COLUMNS}},
                "destinations": {"logAnalytics": [{"name": "la", "workspaceResourceId": "{workspace}"}]},
                "dataFlows": [
                    {
                        "streams": ["Custom-M"],
                        "destinations": ["la"],
                        "transformKql": "source",
                        "outputStream": "Custom-Mutant_CL",
                    }
                ],
            },
        },
    ),
    (
        "management",
        "PUT",
        f"{_SENTINEL}/alertRules/mutant",
        {
            "kind": "Scheduled",
            "properties": {
                "displayName": "m",
                "enabled": False,
                "severity": "Low",
                "query": "Heartbeat | project Computer",
                "queryFrequency": "PT5M",
                "queryPeriod": "PT5M",
                "triggerOperator": "GreaterThan",
                "triggerThreshold": 0,
                "suppressionEnabled": False,
                "suppressionDuration": "PT5H",
                "tactics": ["Impact"],
                "techniques": ["T1110"],
                "customDetails": {"a": "Computer"},
                "entityMappings": [
                    {"entityType": "Host", "fieldMappings": [{"identifier": "HostName", "columnName": "Computer"}]}
                ],
                "alertDetailsOverride": {"alertDisplayNameFormat": "x {{Computer}}"},
                "eventGroupingSettings": {"aggregationKind": "SingleAlert"},
                "incidentConfiguration": {
                    "createIncident": True,
                    "groupingConfiguration": {
                        "enabled": True,
                        "reopenClosedIncident": False,
                        "lookbackDuration": "PT5H",
                        "matchingMethod": "Selected",
                        "groupByEntities": ["Host"],
                    },
                },
            },
        },
    ),
    (
        "management",
        "PUT",
        f"{_SENTINEL}/automationRules/mutant",
        {
            "properties": {
                "displayName": "m",
                "order": 1,
                "triggeringLogic": {
                    "isEnabled": False,
                    "triggersOn": "Incidents",
                    "triggersWhen": "Created",
                    "conditions": [
                        {
                            "conditionType": "Property",
                            "conditionProperties": {
                                "propertyName": "IncidentTitle",
                                "operator": "Contains",
                                "propertyValues": ["x"],
                            },
                        }
                    ],
                },
                "actions": [
                    {
                        "order": 1,
                        "actionType": "ModifyProperties",
                        "actionConfiguration": {"severity": "Low", "labels": []},
                    }
                ],
            }
        },
    ),
    (
        "management",
        "PUT",
        f"{_SENTINEL}/watchlists/mutant",
        {
            "properties": {
                "displayName": "mutant",
                "provider": "m",
                "itemsSearchKey": "a",
                "rawContent": "a,b\n1,2",
                "contentType": "text/csv",
                "numberOfLinesToSkip": 0,
                "labels": ["l"],
                "defaultDuration": "P1D",
            }
        },
    ),
    (
        "management",
        "PUT",
        f"{_SENTINEL}/watchlists/mutant/watchlistItems/mutant",
        {"properties": {"itemsKeyValue": {"a": "1", "b": 2}, "entityMapping": {"c": "d"}}},
    ),
    (
        "management",
        "PUT",
        f"{_SENTINEL}/incidents/mutant",
        {
            "properties": {
                "title": "m",
                "severity": "Low",
                "status": "New",
                "owner": {"email": "a@b"},
                "labels": [{"labelName": "l"}],
            }
        },
    ),
    (
        "management",
        "PUT",
        "{group}/providers/Microsoft.Logic/workflows/mutant",
        {
            "location": "local",
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "state": "Disabled",
                "parameters": {"p": {"value": 1}},
                "definition": {
                    "$schema": _FLOW,
                    "contentVersion": "1.0.0.0",
                    "parameters": {"p": {"type": "Int", "defaultValue": 1}},
                    "triggers": {"manual": {"type": "Request", "kind": "Http", "inputs": {"schema": {}}}},
                    "actions": {
                        "C": {"type": "Compose", "inputs": "@parameters('p')", "runAfter": {}},
                        "F": {
                            "type": "Foreach",
                            "foreach": "@json('[1]')",
                            "actions": {},
                            "runAfter": {"C": ["Succeeded"]},
                        },
                    },
                },
            },
        },
    ),
    (
        "management",
        "PUT",
        "{group}/providers/Microsoft.Resources/deployments/mutant",
        {
            "properties": {
                "mode": "Incremental",
                "parameters": {"p": {"value": "x"}},
                "template": {
                    "$schema": _TEMPLATE,
                    "contentVersion": "1.0.0.0",
                    "parameters": {"p": {"type": "string", "allowedValues": ["x"], "maxLength": 5}},
                    "variables": {"v": "[concat(parameters('p'), 'y')]"},
                    "resources": [
                        {
                            "type": "Microsoft.Insights/dataCollectionEndpoints",
                            "apiVersion": "2023-03-11",
                            "name": "[variables('v')]",
                            "location": "local",
                            "condition": False,
                            "copy": {"name": "c", "count": 1},
                            "dependsOn": [],
                            "properties": {"networkAcls": {"publicNetworkAccess": "Enabled"}},
                        }
                    ],
                    "outputs": {"o": {"type": "string", "value": "[variables('v')]"}},
                },
            }
        },
    ),
    (
        "management",
        "PUT",
        "{group}/providers/Microsoft.Authorization/roleAssignments/6a5b4c3d-0000-4000-8000-00000000aaaa",
        {
            "properties": {
                "roleDefinitionId": "{subscription}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7",
                "principalId": "6a5b4c3d-0000-4000-8000-00000000bbbb",
                "principalType": "ServicePrincipal",
            }
        },
    ),
    (
        "vault",
        "PUT",
        "/secrets/mutant",
        {"value": "v", "tags": {"a": "b"}, "contentType": "t", "attributes": {"enabled": True, "exp": 1}},
    ),
    ("log_analytics", "POST", "/v1/workspaces/{id}/query", {"query": "print 1", "timespan": "PT1H", "workspaces": []}),
    (
        "log_analytics",
        "POST",
        "/v1/$batch",
        {
            "requests": [
                {
                    "id": "1",
                    "body": {"query": "print 1", "timespan": None},
                    "headers": {"Prefer": "wait=1"},
                    "workspace": "{id}",
                    "path": "/query",
                    "method": "POST",
                }
            ]
        },
    ),
    (
        "monitor",
        "POST",
        "/dataCollectionRules/{rule}/streams/Custom-TrapEye_Threats_CL",
        [{"event_type": "new_threat", "first_interaction": "2026-01-01T00:00:00Z", "@meta": {"product": "p"}}],
    ),
    ("graph", "POST", "/v1.0/applications", {"displayName": "mutant", "keyCredentials": [], "tags": []}),
    ("graph", "PATCH", "/v1.0/applications/{app}", {"displayName": "mutant", "keyCredentials": []}),
    (
        "graph",
        "POST",
        "/v1.0/applications/{app}/addPassword",
        {"passwordCredential": {"displayName": "d", "startDateTime": None, "endDateTime": "2099-01-01T00:00:00Z"}},
    ),
    ("graph", "POST", "/v1.0/directoryObjects/getByIds", {"ids": ["{app}"], "types": ["application"]}),
)

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**63, -(2**63) - 1, 10**400, 1e308, "", " ", "x", "\0", "\ud800", "'\"\\;--", "[", "[]", "[x]",
    "[concat(", "[parameters('none')]", "@", "@{", "@triggerBody()", "{{x}}", "P", "PT0S", "P99999999D", "PT-5M", "9999-99-99",
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00",
    "../../..", "/subscriptions", "/subscriptions//x", "x" * 5_000, [], [[]], [None], [1, "a", {}], {}, {"": ""}, {"a": {}},
    {"value": None}, {"type": 1}, {"$ref": "#"},
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*at, key))


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, str, str, Any]:
    """Audience, method, path, and the body with one or two places changed, emptied or renamed."""
    audience, method, path, right = draw(st.sampled_from(RIGHT))
    body = copy.deepcopy(right)
    for _ in range(draw(st.integers(1, 2))):
        found = list(places(body))
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        holder = body
        for key in way:
            holder = holder[key]
        match draw(st.integers(0, 9)):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, dict):
                holder[draw(st.sampled_from(["", "Type", "$schema", "\ud800", "[x]"]))] = holder.pop(last)
            case _:
                holder[last] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
    return audience, method, path, body


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        yield one


def test_one_wrong_place(victim: Started, session: requests.Session) -> None:
    bearer = tokens(victim, "hostile-mutants", *EVERYTHING, scope=victim.subscription, permissions=DIRECTORY)
    group = f"{victim.subscription}/resourceGroups/mutants"
    workspace = f"{group}/providers/Microsoft.OperationalInsights/workspaces/mutants"
    ids = {
        "{subscription}": victim.subscription,
        "{group}": group,
        "{workspace}": workspace,
        "{id}": victim.workspace_id,
        "{rule}": victim.now.facts["dcrs"]["trapeye-dcr"],
    }
    app = victim.call("POST", "/v1.0/applications", bearer["graph"], json={"displayName": "mutants"})
    ids["{app}"] = app.json()["id"]
    for path in (group, workspace):
        made = victim.call("PUT", f"{path}?api-version=1", bearer["management"], json={"location": "local"})
        assert made.status_code in (200, 201, 202), made.text

    def send(audience: str, method: str, path: str, body: Any) -> tuple[requests.Response, str]:
        text = json.dumps(body)
        for name, known in ids.items():
            path, text = path.replace(name, known), text.replace(name, known)
        answer = session.request(
            method,
            f"{victim.url}{path}?api-version=2023-01-01",
            data=text.encode("utf-8", "surrogatepass"),
            headers={"Authorization": f"Bearer {bearer[audience]}", "Content-Type": "application/json"},
            verify=victim.ca,
            timeout=30,
        )
        return answer, text

    for right in RIGHT:
        assert send(*right)[0].status_code < 300, (right, send(*right)[0].text)
    wrong: list[str] = []

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutants())
    def ask(mutant: tuple[str, str, str, Any]) -> None:
        answer, text = send(*mutant)
        if answer.status_code >= 500 or "Traceback" in answer.text:
            wrong.append(f"{mutant[1:3]}: {answer.status_code} {answer.text[:150]} for {text[:600]}")

    ask()
    assert wrong == []
