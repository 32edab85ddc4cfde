"""Who has rights on one workspace learns nothing of another, and a token of another tenant is nobody's."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.conftest import EVERYTHING
    from tests.hostile.walk import Target, operations, target_of, tokens
    from tests.testbench.started import Started
else:
    from hostile.conftest import EVERYTHING
    from hostile.walk import operations, target_of, tokens
    from testbench.started import Started

MARK = f"the-other-one-{uuid.uuid4().hex}"
V = "?api-version=2023-01-01"
TEMPLATE = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "resources": [],
}


def put(victim: Started, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = victim.call("PUT", f"{path}{V}", token, json=body)
    assert answer.status_code in (200, 201, 202), (path, answer.text)
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture(scope="module")
def hidden(victim: Started) -> Target:
    """A resource group with a workspace, and one of everything in it, each with the mark."""
    owner = tokens(victim, "hidden-owner", *EVERYTHING, scope=victim.subscription)
    arm = owner["management"]
    group = f"{victim.subscription}/resourceGroups/hidden"
    put(victim, arm, group, {"location": "local", "tags": {"mark": MARK}})
    workspace = f"{group}/providers/Microsoft.OperationalInsights/workspaces/hidden"
    made = put(victim, arm, workspace, {"location": "local", "properties": {}})
    columns = [{"name": "TimeGenerated", "type": "datetime"}, {"name": "text", "type": "string"}]
    put(victim, arm, f"{workspace}/tables/Leak_CL", {"properties": {"schema": {"name": "Leak_CL", "columns": columns}}})
    search = {"category": "x", "displayName": MARK, "query": f"print '{MARK}'", "functionAlias": "leak"}
    put(victim, arm, f"{workspace}/savedSearches/leak", {"properties": search})
    sentinel = f"{workspace}/providers/Microsoft.SecurityInsights"
    rule = {
        "displayName": MARK,
        "enabled": True,
        "severity": "Low",
        "query": "Leak_CL",
        "suppressionEnabled": False,
        "suppressionDuration": "PT5H",
    }
    put(victim, arm, f"{sentinel}/alertRules/leak", {"kind": "NRT", "properties": rule})
    automation = {
        "displayName": MARK,
        "order": 1,
        "triggeringLogic": {"isEnabled": True, "triggersOn": "Incidents", "triggersWhen": "Created", "conditions": []},
        "actions": [{"order": 1, "actionType": "ModifyProperties", "actionConfiguration": {"severity": "Low"}}],
    }
    put(victim, arm, f"{sentinel}/automationRules/leak", {"properties": automation})
    watchlist = {"displayName": MARK, "provider": "p", "itemsSearchKey": "a", "rawContent": f"a\n{MARK}\n"}
    put(victim, arm, f"{sentinel}/watchlists/leak", {"properties": watchlist})
    put(victim, arm, f"{sentinel}/incidents/leak", {"properties": {"title": MARK, "severity": "Low", "status": "New"}})
    definition = {
        "$schema": "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#",
        "contentVersion": "1.0.0.0",
        "triggers": {"manual": {"type": "Request", "kind": "Http", "inputs": {}}},
        "actions": {"Compose": {"type": "Compose", "inputs": MARK, "runAfter": {}}},
    }
    flow = {"location": "local", "properties": {"state": "Enabled", "definition": definition}}
    put(victim, arm, f"{group}/providers/Microsoft.Logic/workflows/leak", flow)
    put(
        victim,
        arm,
        f"{group}/providers/Microsoft.Insights/dataCollectionEndpoints/leak",
        {"location": "local", "properties": {"description": MARK}},
    )
    collection = {
        "streamDeclarations": {"Custom-Leak_CL": {"columns": columns}},
        "destinations": {"logAnalytics": [{"name": "la", "workspaceResourceId": workspace}]},
        "dataFlows": [{"streams": ["Custom-Leak_CL"], "destinations": ["la"], "transformKql": "source"}],
        "description": MARK,
    }
    dcr = put(
        victim,
        arm,
        f"{group}/providers/Microsoft.Insights/dataCollectionRules/leak",
        {"location": "local", "kind": "Direct", "properties": collection},
    )
    vault = {"properties": {"enabledForTemplateDeployment": True}, "location": "local"}
    put(victim, arm, f"{group}/providers/Microsoft.KeyVault/vaults/leakvault", vault)
    secret = victim.call(
        "PUT", f"/secrets/leak{V}", owner["vault"], {"Host": "leakvault.vault.localhost"}, json={"value": MARK}
    )
    assert secret.status_code == 200, secret.text
    deployment = {"mode": "Incremental", "template": TEMPLATE | {"outputs": {"o": {"type": "string", "value": MARK}}}}
    put(victim, arm, f"{group}/providers/Microsoft.Resources/deployments/leak", {"properties": deployment})
    immutable = dcr["properties"]["immutableId"]
    customer = made["properties"]["customerId"]
    sent = victim.call(
        "POST",
        f"/dataCollectionRules/{immutable}/streams/Custom-Leak_CL{V}",
        owner["monitor"],
        json=[{"TimeGenerated": "2026-01-01T00:00:00Z", "text": MARK}],
    )
    assert sent.status_code == 204, sent.text
    query = f"/v1/workspaces/{customer}/query"
    deadline = time.perf_counter() + 20
    while MARK not in victim.call("POST", query, owner["log_analytics"], json={"query": "Leak_CL"}).text:
        assert time.perf_counter() < deadline
        time.sleep(0.05)
    return target_of(victim, "leak", group="hidden", workspace="hidden", customer_id=str(customer), rule=str(immutable))


@pytest.fixture(scope="module")
def insider(victim: Started) -> dict[str, str]:
    """Everything, but in one resource group."""
    return tokens(victim, "insider", *EVERYTHING, scope=victim.group)


def body_for(path: str) -> dict[str, Any]:
    return {"json": {"query": "Leak_CL | union (print 1)"}} if path.endswith("/query") else {"json": {}}


def test_the_others_ids_open_nothing(
    victim: Started, hidden: Target, insider: dict[str, str], document: dict[str, Any]
) -> None:
    wrong, walked = [], 0
    for operation in operations(document):
        path = hidden.fill(operation.path)
        token = insider[operation.audience] if operation.audience else None
        headers = {"Host": "leakvault.vault.localhost"} if operation.audience == "vault" else {}
        answer = victim.call(operation.method, f"{path}{V}", token, headers, **body_for(path))
        if MARK in answer.text:
            wrong.append(f"{operation.label}: shows {answer.text[:200]}")
        theirs = "/resourcegroups/hidden/" in f"{path.lower()}/" or hidden.customer_id in path or hidden.rule in path
        if operation.audience and (theirs or operation.audience == "vault") and answer.status_code not in (403, 404):
            wrong.append(f"{operation.label}: {answer.status_code} {answer.text[:200]}")
        walked += theirs
    assert wrong == []
    assert walked > 120


def test_lists_above_it_show_nothing_of_the_other(
    victim: Started, hidden: Target, insider: dict[str, str], document: dict[str, Any]
) -> None:
    shown = []
    for operation in operations(document):
        if operation.method != "GET":
            continue
        for scope in (f"subscriptions/{hidden.subscription}", f"{victim.workspace}/".strip("/")):
            path = hidden.fill(operation.path.replace("{scope}", scope))
            token = insider[operation.audience] if operation.audience else None
            if MARK in victim.call("GET", f"{path}{V}", token).text:
                shown.append(f"{operation.label} at {scope}")
    assert shown == []


def test_queries_of_ones_own_workspace_do_not_reach_the_other(
    victim: Started, hidden: Target, insider: dict[str, str]
) -> None:
    token = insider["log_analytics"]
    resource = hidden.workspace_id
    texts = [
        "Leak_CL",
        "leak",
        "leak()",
        *(f"workspace('{one}').Leak_CL" for one in ("hidden", hidden.customer_id, resource)),
        f"union Leak_CL, workspace('{hidden.customer_id}').Leak_CL",
        f"union workspace('{hidden.customer_id}').*",
        f"app('{hidden.customer_id}').Leak_CL",
        f"resource('{resource}').Leak_CL",
        f"cluster('x').database('{hidden.customer_id}').Leak_CL",
        "search 'the-other'",
        "union * | where * has 'other'",
        "find in (*) where text has 'the'",
    ]
    for text in texts:
        for body in ({"query": text}, {"query": text, "workspaces": [hidden.customer_id]}):
            answer = victim.call("POST", f"/v1/workspaces/{victim.workspace_id}/query", token, json=body)
            assert MARK not in answer.text, body
    for path in (f"/v1{resource}/query", f"{resource}/query", f"{resource}/api/query"):
        answer = victim.call("POST", f"{path}{V}", token, json={"query": "Leak_CL"})
        assert (answer.status_code in (401, 403, 404), MARK in answer.text) == (True, False), path
    batch = {
        "requests": [
            {
                "id": "1",
                "body": {"query": "Leak_CL"},
                "workspace": hidden.customer_id,
                "path": "/query",
                "method": "POST",
            }
        ]
    }
    assert MARK not in victim.call("POST", "/v1/$batch", token, json=batch).text


def templates(hidden: Target) -> Iterator[tuple[str, dict[str, Any]]]:
    group, workspace = hidden.group_id, hidden.workspace_id
    ids = {
        "saved search": f"{workspace}/savedSearches/leak",
        "rule": f"{workspace}/providers/Microsoft.SecurityInsights/alertRules/leak",
        "watchlist": f"{workspace}/providers/Microsoft.SecurityInsights/watchlists/leak",
        "playbook": f"{group}/providers/Microsoft.Logic/workflows/leak",
        "endpoint": f"{group}/providers/Microsoft.Insights/dataCollectionEndpoints/leak",
    }
    for name, resource_id in ids.items():
        output = {"type": "object", "value": f"[reference('{resource_id}', '2023-01-01', 'Full')]"}
        yield f"reference of a {name}", {"template": TEMPLATE | {"outputs": {"o": output}}}
    keys = {"type": "object", "value": f"[listKeys('{workspace}', '2023-01-01')]"}
    yield "keys", {"template": TEMPLATE | {"outputs": {"o": keys}}}
    secret = {
        "reference": {
            "keyVault": {"id": f"{group}/providers/Microsoft.KeyVault/vaults/leakvault"},
            "secretName": "leak",
        }
    }
    taken = {
        "parameters": {"p": {"type": "string"}},
        "outputs": {"o": {"type": "string", "value": "[parameters('p')]"}},
    }
    yield "a secret", {"template": TEMPLATE | taken, "parameters": {"p": secret}}
    nested = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2022-09-01",
        "name": "inner",
        "resourceGroup": "hidden",
        "properties": {
            "mode": "Incremental",
            "template": TEMPLATE
            | {
                "outputs": {
                    "o": {
                        "type": "object",
                        "value": "[reference(resourceId('Microsoft.Logic/workflows', 'leak'), '2019-05-01', 'Full')]",
                    }
                }
            },
        },
    }
    yield "a deployment in the other group", {"template": TEMPLATE | {"resources": [nested]}}


def test_templates_do_not_read_what_their_author_may_not(
    victim: Started, hidden: Target, insider: dict[str, str]
) -> None:
    token = insider["management"]
    wrong = []
    for number, (name, given) in enumerate(templates(hidden)):
        path = f"{victim.group}/providers/Microsoft.Resources/deployments/steal{number}"
        body = {"properties": {"mode": "Incremental", "parameters": {}} | given}
        for verb, where in (("POST", f"{path}/validate"), ("POST", f"{path}/whatIf"), ("PUT", path), ("GET", path)):
            answer = victim.call(verb, f"{where}{V}", token, json=None if verb == "GET" else body)
            if MARK in answer.text:
                wrong.append(f"{name}: {verb} {answer.text[:200]}")
    assert wrong == []


def test_nothing_of_ones_own_is_wired_to_the_other(victim: Started, hidden: Target, insider: dict[str, str]) -> None:
    columns = [{"name": "TimeGenerated", "type": "datetime"}, {"name": "text", "type": "string"}]
    collection = {
        "streamDeclarations": {"Custom-Leak_CL": {"columns": columns}},
        "destinations": {"logAnalytics": [{"name": "la", "workspaceResourceId": hidden.workspace_id}]},
        "dataFlows": [{"streams": ["Custom-Leak_CL"], "destinations": ["la"], "transformKql": "source"}],
    }
    path = f"{victim.group}/providers/Microsoft.Insights/dataCollectionRules/steal{V}"
    body = {"location": "local", "kind": "Direct", "properties": collection}
    answer = victim.call("PUT", path, insider["management"], json=body)
    assert answer.status_code == 403, answer.text


def test_a_token_of_another_tenant_is_nobodys(
    victim: Started, document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Started(tmp_path_factory.mktemp("other"), solutions=[]).start()
    try:
        foreign = tokens(other, "foreigner", *EVERYTHING, scope=other.subscription)
    finally:
        other.stop()
    target = target_of(victim, "leak")
    wrong = []
    for operation in operations(document):
        if operation.audience is None:
            continue
        path = target.fill(operation.path)
        answer = victim.call(operation.method, f"{path}{V}", foreign[operation.audience], json={})
        if answer.status_code not in (401, 404):
            wrong.append(f"{operation.label}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []
    assert victim.call("GET", "/testbench/requests", foreign["management"]).status_code == 404, "the bench is off"
