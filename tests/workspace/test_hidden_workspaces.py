"""Who may not query a workspace does not learn whether there is one: what is not there is refused as what is."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from tests.ingestion.cloud import ARM, GROUP, LOGS, SUBSCRIPTION, WORKSPACE, Cloud
else:
    from ingestion.cloud import ARM, GROUP, LOGS, SUBSCRIPTION, WORKSPACE

READER = "Log Analytics Reader"
HIDDEN = WORKSPACE.replace("workspaces/lurewire", "workspaces/hidden")
ABSENT = WORKSPACE.replace("workspaces/lurewire", "workspaces/absent")
TWIN = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/twin"
Names = tuple[str, str, str]
Told = tuple[int, str, str]


@pytest.fixture(scope="module")
def hidden(cloud: Cloud) -> Names:
    """Name, GUID and id of a workspace that the tests' readers may not query."""
    body = cloud.put(HIDDEN, {"location": "local", "properties": {}})
    return "hidden", body["properties"]["customerId"], HIDDEN


@pytest.fixture(scope="module")
def own(cloud: Cloud) -> str:
    return str(cloud.workspace().customer_id)


def answers(cloud: Cloud, own: str, names: Names, *grants: tuple[str, str]) -> dict[str, Told]:
    """Status, code and message of every way to name a workspace, in the order of these."""
    token, managed = (cloud.token(f"of {grants}", *grants, resource=resource) for resource in (LOGS, ARM))
    name, customer, resource_id = names

    def ask(path: str, body: Any, token: str = token) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(cloud.url() + path, json=body, headers=headers, verify=cloud.ca, timeout=30)

    query, here = {"query": "print 1"}, f"/v1/workspaces/{own}"
    asked: dict[str, Any] = {
        "guid": ask(f"/v1/workspaces/{customer}/query", query),
        "metadata": ask(f"/v1/workspaces/{customer}/metadata", {}),
        "arm id": ask(f"/v1{resource_id}/query", query),
        "manager": ask(f"{resource_id}/api/query?api-version=2017-01-01-preview", query, managed),
    }
    for kind, one in (("name", name), ("guid", customer), ("id", resource_id)):
        asked[f"workspaces: {kind}"] = ask(f"{here}/query", query | {"workspaces": [one]})
        asked[f"metadata: {kind}"] = ask(f"{here}/metadata", {"workspaces": [one]})
        asked[f"workspace(): {kind}"] = ask(f"{here}/query", {"query": f"workspace('{one}').Heartbeat | count"})
        asked[f"fuzzy: {kind}"] = ask(
            f"{here}/query", {"query": f"union isfuzzy=true Heartbeat, workspace('{one}').Heartbeat"}
        )
        asked[f"kusto: {kind}"] = ask("/v2/rest/query", {"db": one, "csl": "print 1"})
        asked[f"command: {kind}"] = ask("/v1/rest/mgmt", {"db": one, "csl": ".show tables"})
        element = {"id": "1", "workspace": one, "path": "/query", "method": "POST", "body": query}
        [batched] = ask("/v1/$batch", {"requests": [element]}).json()["responses"]
        asked[f"batch: {kind}"] = (batched["status"], batched["body"])
    return {way: _told(one) for way, one in asked.items()}


def _told(answer: Any) -> Told:
    status, body = answer if isinstance(answer, tuple) else (answer.status_code, answer.json())
    error: dict[str, Any] = {"code": "", "message": ""} if status == 200 else body["error"]
    return status, error["code"], " ".join((error["message"], error.get("innererror", {}).get("message", "")))


@pytest.mark.parametrize("grants", [[(READER, WORKSPACE)], [(READER, WORKSPACE), ("Reader", TWIN)]])
def test_there_is_no_telling(cloud: Cloud, own: str, hidden: Names, grants: list[tuple[str, str]]) -> None:
    cloud.put(TWIN, {"location": "local", "properties": {}})
    there = answers(cloud, own, hidden, *grants)
    gone = answers(cloud, own, ("absent", str(uuid.uuid4()), ABSENT), *grants)
    assert there == gone
    assert {status for status, _, _ in gone.values()} == {403}
    for _, _, message in gone.values():
        assert "check the workspace's id or name, and that a role such as Log Analytics Reader" in message


def test_who_may_query_all_is_told_what_is_not_there(cloud: Cloud, own: str) -> None:
    absent = ("absent", str(uuid.uuid4()), ABSENT)
    told = answers(cloud, own, absent, (READER, f"/subscriptions/{SUBSCRIPTION}"))
    for way in ("guid", "metadata", "arm id", "manager", "batch: name"):
        assert told[way][:2] == (404, "WorkspaceNotFoundError"), way
    for way in ("workspaces: name", "workspaces: id", "metadata: guid", "workspace(): id"):
        assert told[way][:2] == (400, "BadArgumentError"), way
    assert told["kusto: name"][:2] == (400, "BadRequest")
    of_group = answers(cloud, own, absent, (READER, GROUP))
    assert of_group["arm id"][:2] == (404, "WorkspaceNotFoundError"), "it may query all that can be at that id"
    assert of_group["workspaces: name"][0] == 403


def test_a_name_of_several_workspaces(cloud: Cloud, own: str, hidden: Names) -> None:
    cloud.put(TWIN, {"location": "local", "properties": {}})
    other = HIDDEN.replace("resourceGroups/lurewire", "resourceGroups/twin")
    cloud.put(other, {"location": "local", "properties": {}})
    one = answers(cloud, own, hidden, (READER, WORKSPACE), (READER, other))
    assert one["workspaces: name"] == answers(cloud, own, hidden, (READER, WORKSPACE))["workspaces: name"]
    both = answers(cloud, own, hidden, (READER, WORKSPACE), (READER, other), (READER, HIDDEN))
    for way in ("workspaces: name", "workspace(): name", "kusto: name", "batch: name"):
        assert both[way][0] == 400, "the name of two"
    assert both["workspaces: guid"][0] == 200
