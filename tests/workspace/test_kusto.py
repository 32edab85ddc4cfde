"""The endpoint of Azure Data Explorer's clients: a workspace is a database."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from tests.ingestion.cloud import LOGS, WORKSPACE, Cloud
else:
    from ingestion.cloud import LOGS, WORKSPACE, Cloud

READER = "Log Analytics Reader"
LONG = (
    "range a from 1 to 1000000 step 1 | extend k = 1 "
    "| join kind=inner (range b from 1 to 1000000 step 1 | extend k = 1) on k | summarize sum(a * b)"
)


@pytest.fixture(scope="module")
def token(cloud: Cloud) -> str:
    cloud.table("Kusto_CL", {"TimeGenerated": "datetime", "a": "int"})
    return cloud.token("kusto reader", (READER, WORKSPACE), resource=LOGS)


def post(
    cloud: Cloud, token: str | None, path: str, csl: str, db: str | None = "lurewire", timeout: float = 30, **more: Any
) -> Any:
    headers = {"x-ms-client-request-id": "KPC.execute;1"} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = {"db": db, "csl": csl} | more
    return requests.post(cloud.url() + path, json=body, headers=headers, verify=cloud.ca, timeout=timeout)


def test_where_to_get_a_token(cloud: Cloud) -> None:
    answer = requests.get(f"{cloud.url()}/v1/rest/auth/metadata", verify=cloud.ca, timeout=30).json()["AzureAD"]
    assert answer["LoginEndpoint"] == cloud.url()
    assert answer["KustoServiceResourceId"] == LOGS


def test_frames(cloud: Cloud, token: str) -> None:
    frames = post(cloud, token, "/v2/rest/query", "print a = 1, b = 2h | fork (project a) (project b)").json()
    assert [frame["FrameType"] for frame in frames] == ["DataSetHeader", *["DataTable"] * 3, "DataSetCompletion"]
    assert frames[1] == {
        "FrameType": "DataTable",
        "TableId": 0,
        "TableKind": "PrimaryResult",
        "TableName": "PrimaryResult",
        "Columns": [{"ColumnName": "a", "ColumnType": "long"}],
        "Rows": [[1]],
    }
    assert (frames[2]["TableName"], frames[2]["Rows"]) == ("Table_1", [["02:00:00"]])
    assert frames[3]["TableKind"] == "QueryCompletionInformation"
    assert frames[4] == {"FrameType": "DataSetCompletion", "HasErrors": False, "Cancelled": False}


def test_commands(cloud: Cloud, token: str) -> None:
    def rows(command: str) -> Any:
        return post(cloud, token, "/v1/rest/mgmt", command, cloud.workspace().customer_id).json()["Tables"][0]["Rows"]

    assert rows(".show databases") == [["lurewire", cloud.workspace().customer_id]]
    assert ["Kusto_CL", "lurewire"] in rows(".show tables")
    ((name, schema, _),) = rows(".show table ['Kusto_CL'] cslschema")
    assert (name, "['a']:int" in schema) == ("Kusto_CL", True)


@pytest.mark.parametrize(
    ("path", "csl", "more", "code", "words"),
    [
        ("/v2/rest/query", "print |", {}, "SyntaxError", "Syntax error: SYN"),
        ("/v2/rest/query", "Nope", {}, "SemanticError", "Semantic error: SEM0100"),
        ("/v2/rest/query", ".show tables", {}, "BadRequest", "a command goes to"),
        ("/v2/rest/query", "print 1", {"db": None}, "BadRequest", "could not be found"),
        ("/v2/rest/query", "print 1", {"properties": {"Options": {"query_now": 1}}}, "BadRequest", "'query_now'"),
        ("/v2/rest/query", "print 1", {"properties": {"Parameters": {"a": 1}}}, "BadRequest", "parameters"),
        ("/v2/rest/query", "print 1", {"properties": '{"Options":{"servertimeout":"x"}}'}, "BadRequest", "timespan"),
        ("/v1/rest/mgmt", ".drop table Kusto_CL", {}, "BadRequest", "'.drop table Kusto_CL' is not supported"),
        ("/v1/rest/mgmt", ".show table Nope cslschema", {}, "BadRequest", "not supported"),
    ],
)
def test_what_is_refused(
    cloud: Cloud, token: str, path: str, csl: str, more: dict[str, Any], code: str, words: str
) -> None:
    answer = post(cloud, token, path, csl, **more)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["@permanent"]) == (400, code, True)
    assert words in error["message"]


def test_who_may_not(cloud: Cloud, token: str) -> None:
    for path in ("/v2/rest/query", "/v1/rest/mgmt"):
        nobody = post(cloud, cloud.token("nobody", resource=LOGS), path, "print 1")
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (403, "Forbidden")
        stranger = post(cloud, None, path, "print 1")
        assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "Unauthorized")


def test_a_query_of_a_client_that_went_away_is_stopped(cloud: Cloud, token: str) -> None:
    pool = cloud.workspace()._queries._pool
    with pytest.raises(requests.Timeout):
        post(cloud, token, "/v2/rest/query", LONG, timeout=0.5)
    give_up = time.monotonic() + 10
    while pool._running:
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_over_its_time(cloud: Cloud, token: str) -> None:
    properties = {"Options": {"servertimeout": "00:00:01"}}
    answer = post(cloud, token, "/v2/rest/query", LONG, properties=properties)
    assert (answer.status_code, answer.json()["error"]["@permanent"]) == (504, False)


def test_a_cut_result(tmp_path_factory: pytest.TempPathFactory) -> None:
    small = Cloud(tmp_path_factory.mktemp("small"), {"workspace.query_rows": 3})
    small.start()
    try:
        granted = small.token("reader", (READER, WORKSPACE), resource=LOGS)
        frames = post(small, granted, "/v2/rest/query", "range x from 1 to 5 step 1").json()
    finally:
        small.stop()
    assert len(frames[1]["Rows"]) == 3
    assert frames[-1]["HasErrors"] is True
    assert frames[-1]["OneApiErrors"][0]["error"]["code"] == "LimitsExceeded"


def test_microsofts_client(cloud: Cloud, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data: Any = pytest.importorskip("azure.kusto.data")
    exceptions: Any = pytest.importorskip("azure.kusto.data.exceptions")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.ca)
    builder = data.KustoConnectionStringBuilder.with_token_provider(cloud.url(), lambda: token)
    with data.KustoClient(builder) as client:
        query = "print t = datetime(2026-01-01T00:00:00.5Z), s = 1d + 2s, d = dynamic({'a': 1}), x = decimal(1.5)"
        (row,) = client.execute("lurewire", query).primary_results[0]
        assert (row["t"], row["s"]) == (datetime(2026, 1, 1, 0, 0, 0, 500_000, UTC), timedelta(days=1, seconds=2))
        assert (row["d"], str(row["x"])) == ('{"a":1}', "1.5")
        shown = client.execute("lurewire", ".show tables").primary_results[0]
        assert "Kusto_CL" in [one["TableName"] for one in shown]
        with pytest.raises(exceptions.KustoApiError, match="Semantic error") as caught:
            client.execute("lurewire", "Nope")
        assert caught.value.is_semantic_error()
