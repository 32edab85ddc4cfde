"""Several queries in one request: each answers for itself."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryStatus

if TYPE_CHECKING:
    from tests.ingestion.cloud import LOGS, TENANT, WORKSPACE, Cloud
else:
    from ingestion.cloud import LOGS, TENANT, WORKSPACE, Cloud

READER = "Log Analytics Reader"
SECOND = WORKSPACE.replace("workspaces/lurewire", "workspaces/second")
LONG = "range a from 1 to 1000000 step 1 | extend k = 1 | join kind=inner (range b from 1 to 1000000 step 1 | extend k = 1) on k | summarize sum(a * b)"


@pytest.fixture(scope="module")
def workspace_id(cloud: Cloud) -> str:
    cloud.put(SECOND, {"location": "local", "properties": {}})
    return cloud.workspace().customer_id


@pytest.fixture(scope="module")
def token(cloud: Cloud, workspace_id: str) -> str:
    return cloud.token("reader", (READER, WORKSPACE), resource=LOGS)


def post(cloud: Cloud, token: str | None, body: Any, timeout: float = 30) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(f"{cloud.url()}/v1/$batch", json=body, headers=headers, verify=cloud.ca, timeout=timeout)


def element(workspace: str, query: str, **more: Any) -> dict[str, Any]:
    body = {"query": query, "timespan": None, "workspaces": None}
    one = {"id": str(uuid.uuid4()), "body": body, "headers": {"Prefer": ""}, "workspace": workspace}
    return one | {"path": "/query", "method": "POST"} | more


def test_each_query_has_its_own_answer(cloud: Cloud, workspace_id: str, token: str) -> None:
    second = cloud.workspaces.by_id(SECOND)
    assert second is not None
    elements = [
        element(workspace_id, "print x = 1", id="one", headers={"prefer": "include-statistics=true"}),
        element(workspace_id, "print x = ", id="syntax"),
        element(second.customer_id, "print x = 1", id="right"),
        element(str(uuid.uuid4()), "print x = 1", id="unknown"),
        element(workspace_id, "print x = 1", id="path", path="/fakePath"),
        element(workspace_id, "print x = 1", id=7, body={"query": 1}),
        element(workspace_id, "print x = 1", id="method", method="DELETE"),
        {"id": "get", "workspace": workspace_id, "path": "/query?query=print%20y%3D2"},
        element(workspace_id, "print x = 1", id="several", body={"query": "print 1", "workspaces": [SECOND]}),
    ]
    answer = post(cloud, token, {"requests": elements})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    found = {one["id"]: one for one in answer.json()["responses"]}
    assert {key: (one["status"], one["body"].get("error", {}).get("code")) for key, one in found.items()} == {
        "one": (200, None),
        "syntax": (400, "BadArgumentError"),
        "right": (403, "InsufficientAccessError"),
        "unknown": (403, "InsufficientAccessError"),
        "path": (404, "PathNotFoundError"),
        7: (400, "BadArgumentError"),
        "method": (400, "BadArgumentError"),
        "get": (200, None),
        "several": (403, "InsufficientAccessError"),
    }
    assert found["one"]["headers"] == {"Age": "0"}
    assert found["one"]["body"]["statistics"]["query"]["datasetStatistics"][0]["tableRowCount"] == 1
    assert found["get"]["body"]["tables"][0]["rows"] == [[2]]


def test_microsofts_client(cloud: Cloud, workspace_id: str) -> None:
    app_id, secret = cloud.app("sdk of batches", (READER, WORKSPACE))
    credential = ClientSecretCredential(
        TENANT, app_id, secret, authority=cloud.url(), disable_instance_discovery=True, connection_verify=cloud.ca
    )
    with LogsQueryClient(credential, endpoint=cloud.url(), audience=LOGS, connection_verify=cloud.ca) as client:
        answers: list[Any] = client.query_batch(
            [
                LogsBatchQuery(workspace_id, f"print x = {i}" if i != 3 else "nothing |", timespan=None)
                for i in range(12)
            ]
        )
    assert [answer.status for answer in answers].count(LogsQueryStatus.SUCCESS) == 11
    assert answers[3].status == LogsQueryStatus.FAILURE
    assert [answer.tables[0].rows[0][0] for i, answer in enumerate(answers) if i != 3] == [0, 1, 2, *range(4, 12)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": 1},
        {"requests": [1]},
        {"requests": [{"id": "1"}]},
        {"requests": [{"id": str(i), "workspace": "w"} for i in range(101)]},
        {"requests": [{"id": "1", "workspace": "w"}] * 2},
    ],
)
def test_bodies_that_do_not_fit(cloud: Cloud, token: str, body: Any) -> None:
    answer = post(cloud, token, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadArgumentError")


def test_without_a_token(cloud: Cloud) -> None:
    answer = post(cloud, None, {"requests": []})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidTokenError")


def test_no_queries(cloud: Cloud, token: str) -> None:
    assert post(cloud, token, {"requests": []}).json() == {"responses": []}


def test_queries_of_a_client_that_went_away_are_stopped(cloud: Cloud, workspace_id: str, token: str) -> None:
    pool = cloud.workspace()._queries._pool
    with pytest.raises(requests.RequestException):
        post(cloud, token, {"requests": [element(workspace_id, LONG) for _ in range(4)]}, timeout=1)
    give_up = time.monotonic() + 20
    while pool._running or any(pool._waiting.values()):
        assert time.monotonic() < give_up
        time.sleep(0.01)
