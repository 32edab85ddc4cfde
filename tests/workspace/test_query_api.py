"""The query API over HTTPS on loopback, with `requests` and Microsoft's own client."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsQueryClient, LogsQueryStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ingestion.cloud import GROUP, LOGS, TENANT, WORKSPACE, Cloud

    from lurewire.workspace.pool import QueryPool
else:
    from ingestion.cloud import GROUP, LOGS, TENANT, WORKSPACE, Cloud

READER = "Log Analytics Reader"
OLD = datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)
KINDS = {
    "TimeGenerated": "datetime",
    "b": "boolean",
    "i": "int",
    "l": "long",
    "r": "real",
    "s": "string",
    "d": "datetime",
    "g": "guid",
    "j": "dynamic",
}
GUID = "0e28f730-18c1-429a-821e-5282cf641dd4"
FULL = {
    "TimeGenerated": "2026-01-02T03:04:05.1234567Z",
    "b": True,
    "i": -1,
    "l": 2**62,
    "r": 0.5,
    "s": 'é"\\\n',
    "d": "2026-01-01T00:00:00Z",
    "g": GUID,
    "j": {"a": [1, None]},
}


@pytest.fixture(scope="module")
def workspace_id(cloud: Cloud) -> str:
    cloud.table("Kinds_CL", KINDS)

    async def fill() -> None:
        workspace = cloud.workspace()
        await workspace.append("Kinds_CL", [FULL, {"TimeGenerated": OLD + timedelta(days=1)}], key="rows")
        many = [{"Computer": f"host-{i}"} for i in range(40_000)]
        await workspace.until_loaded(await workspace.append("Heartbeat", many, key="many"))

    cloud.run(fill())
    return cloud.workspace().customer_id


@pytest.fixture(scope="module")
def token(cloud: Cloud, workspace_id: str) -> str:
    return cloud.token("reader", (READER, WORKSPACE), resource=LOGS)


def post(
    cloud: Cloud, workspace_id: str, token: str | None, body: Any, path: str = "/v1/workspaces/{}/query", **headers: str
) -> requests.Response:
    sent = {"Prefer": headers.get("prefer", "")} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = {"data": body} if isinstance(body, bytes) else {"json": body}
    return requests.post(cloud.url() + path.format(workspace_id), headers=sent, verify=cloud.ca, timeout=60, **data)


@pytest.mark.parametrize("path", ["/v1/workspaces/{}/query", "/workspaces/{}/query", "/V1/Workspaces/{}/Query"])
def test_every_type_as_the_contract_has_it(cloud: Cloud, workspace_id: str, token: str, path: str) -> None:
    body = {"query": "Kinds_CL | project-away TenantId, _ResourceId | sort by TimeGenerated asc", "timespan": None}
    answer = post(cloud, workspace_id, token, body | {"workspaces": None}, path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    (table,) = answer.json()["tables"]
    assert table["name"] == "PrimaryResult"
    assert {c["name"]: c["type"] for c in table["columns"]} == KINDS | {"b": "bool", "Type": "string"}
    assert table["rows"] == [
        [
            "2026-01-02T03:04:05.1234567Z",
            True,
            -1,
            2**62,
            0.5,
            'é"\\\n',
            "2026-01-01T00:00:00Z",
            GUID,
            '{"a":[1,null]}',
            "Kinds_CL",
        ],
        ["2026-01-03T03:04:05.123456Z", None, None, None, None, "", None, None, None, "Kinds_CL"],
    ]
    assert set(answer.json()) == {"tables"}


SCALARS = """print b = true, i = int(-7), l = 9007199254740993, r = 0.1, n = real(nan), p = real(+inf), m = real(-inf),
 e = decimal(1.10), d = datetime(2026-01-01T00:00:00.1234567Z), z = datetime(0001-01-01), t = 1d + 2h + 3ticks,
 u = -1s, g = guid(0e28f730-18c1-429a-821e-5282cf641dd4), s = 'x', j = dynamic({"a": [1, null]})"""
ENCODED = {
    "b": ("bool", True),
    "i": ("int", -7),
    "l": ("long", 9007199254740993),
    "r": ("real", 0.1),
    "n": ("real", "NaN"),
    "p": ("real", "Infinity"),
    "m": ("real", "-Infinity"),
    "e": ("decimal", "1.1"),
    "d": ("datetime", "2026-01-01T00:00:00.1234567Z"),
    "z": ("datetime", "0001-01-01T00:00:00Z"),
    "t": ("timespan", "1.02:00:00.0000003"),
    "u": ("timespan", "-00:00:01"),
    "g": ("guid", GUID),
    "s": ("string", "x"),
    "j": ("dynamic", '{"a":[1,null]}'),
}


def test_every_scalar_as_the_contract_and_microsofts_client_have_it(
    cloud: Cloud, logs: LogsQueryClient, workspace_id: str, token: str
) -> None:
    (table,) = post(cloud, workspace_id, token, {"query": SCALARS}).json()["tables"]
    found = {
        column["name"]: (column["type"], value)
        for column, value in zip(table["columns"], table["rows"][0], strict=True)
    }
    assert found == ENCODED
    answer: Any = logs.query_workspace(workspace_id, SCALARS, timespan=None)
    (row,) = answer.tables[0].rows
    assert row["d"] == datetime(2026, 1, 1, 0, 0, 0, 123456, UTC), "the client cuts the seventh digit"
    plain = [(name, row[name]) for name in ENCODED if name not in "dz"]
    assert plain == [(name, value) for name, (_, value) in ENCODED.items() if name not in "dz"]
    nulls = "print i = int(null), r = real(null), d = datetime(null), j = dynamic(null), s = tostring(int(null))"
    assert post(cloud, workspace_id, token, {"query": nulls}).json()["tables"][0]["rows"] == [
        [None, None, None, None, ""]
    ]


def test_more_rows_than_one_batch_come_whole(cloud: Cloud, workspace_id: str, token: str) -> None:
    answer = post(cloud, workspace_id, token, {"query": "Heartbeat | project Computer"})
    rows = answer.json()["tables"][0]["rows"]
    assert sorted(rows) == sorted([f"host-{i}"] for i in range(40_000))


def test_no_rows(cloud: Cloud, workspace_id: str, token: str) -> None:
    answer = post(cloud, workspace_id, token, {"query": "Heartbeat | where Computer == 'x' | project Computer"})
    assert answer.json() == {
        "tables": [{"name": "PrimaryResult", "columns": [{"name": "Computer", "type": "string"}], "rows": []}]
    }


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        (
            "Heartbeat | where Computer in ('host-1', 'host-2') | fork Seen=(count) (summarize least = min(Computer))",
            [("PrimaryResult", [[2]]), ("Table_1", [["host-1"]])],
        ),
        (
            "Heartbeat | where Computer == 'host-1' | facet by Type with (project Computer)",
            [("PrimaryResult", [["host-1"]]), ("Table_1", [["Heartbeat", 1]])],
        ),
        (
            "print x = 1; print y = 'a', z = 2 | as Named; Heartbeat | where Computer == '' | count",
            [("PrimaryResult", [[1]]), ("Named", [["a", 2]]), ("Table_2", [[0]])],
        ),
    ],
)
def test_several_results(
    cloud: Cloud, workspace_id: str, token: str, query: str, tables: list[tuple[str, list[list[Any]]]]
) -> None:
    prefer = "include-statistics=true"
    answer = post(cloud, workspace_id, token, {"query": query}, prefer=prefer).json()
    assert [(table["name"], table["rows"]) for table in answer["tables"]] == tables
    sizes = answer["statistics"]["query"]["datasetStatistics"]
    assert [size["tableRowCount"] for size in sizes] == [len(rows) for _, rows in tables]


def test_microsofts_client_reads_several_results(logs: LogsQueryClient, workspace_id: str) -> None:
    answer: Any = logs.query_workspace(
        workspace_id, "print a = 1, b = 'x' | fork (project a) (project b)", timespan=None
    )
    assert answer.status == LogsQueryStatus.SUCCESS
    assert [[list(row) for row in table.rows] for table in answer.tables] == [[[1]], [["x"]]]


def test_prefer(cloud: Cloud, workspace_id: str, token: str) -> None:
    prefer = "wait=600, include-statistics=true,include-render=true"
    answer = post(cloud, workspace_id, token, {"query": "Heartbeat | count"}, prefer=prefer).json()
    query = answer["statistics"]["query"]
    assert query["executionTime"] > 0
    assert query["datasetStatistics"][0]["tableRowCount"] == 1
    assert answer["render"]["visualization"] == "table"


def test_timespan_bounds_the_time(cloud: Cloud, workspace_id: str, token: str) -> None:
    def count(timespan: str | None) -> int:
        body = {"query": "Kinds_CL | count", "timespan": timespan}
        (row,) = post(cloud, workspace_id, token, body).json()["tables"][0]["rows"]
        return int(row[0])

    assert count(None) == 2
    assert count("PT1H") == 0
    assert count("2026-01-02T00:00:00.000Z/PT86400.0S") == 1
    assert count("2026-01-03T03:04:05.123456Z/2026-01-03T03:04:05.123456Z") == 1, "both ends belong to it"
    assert count("2026-01-01/P30D") == 2


def test_partial_result(cloud: Cloud, workspace_id: str, token: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    small = Cloud(tmp_path_factory.mktemp("small"), {"workspace.query_rows": 7})
    small.start()
    try:

        async def fill() -> None:
            rows = [{"Computer": f"host-{i}"} for i in range(20)]
            await small.workspace().until_loaded(await small.workspace().append("Heartbeat", rows, key="many"))

        small.run(fill())
        app_id, secret = small.app("sdk reader", (READER, WORKSPACE))
        with client(small, app_id, secret) as logs:
            answer: Any = logs.query_workspace(small.workspace().customer_id, "Heartbeat", timespan=None)
        assert answer.status == LogsQueryStatus.PARTIAL
        assert len(answer.partial_data[0].rows) == 7
        assert answer.partial_error.code == "PartialError"
        inner = answer.partial_error.details[0]["innererror"]
        assert inner["message"] == "The results of this query exceed the set limit of 7 records."
        token = small.token("reader", (READER, WORKSPACE), resource=LOGS)
        several = "Heartbeat | take 4; Heartbeat | take 3; Heartbeat | take 1; Heartbeat | where Computer == ''"
        cut = post(small, small.workspace().customer_id, token, {"query": several}).json()
        assert [len(table["rows"]) for table in cut["tables"]] == [4, 3, 0, 0], "the limit is of all tables together"
        assert cut["tables"][3]["columns"] == cut["tables"][0]["columns"]
        assert cut["error"]["details"][0]["innererror"] == inner
        just = "Heartbeat | take 4; Heartbeat | take 3; Heartbeat | where Computer == ''"
        assert set(post(small, small.workspace().customer_id, token, {"query": just}).json()) == {"tables"}
    finally:
        small.stop()


def client(cloud: Cloud, app_id: str, secret: str) -> LogsQueryClient:
    credential = ClientSecretCredential(
        TENANT, app_id, secret, authority=cloud.url(), disable_instance_discovery=True, connection_verify=cloud.ca
    )
    return LogsQueryClient(credential, endpoint=cloud.url(), audience=LOGS, connection_verify=cloud.ca)


@pytest.fixture(scope="module")
def logs(cloud: Cloud, workspace_id: str) -> Iterator[LogsQueryClient]:
    with client(cloud, *cloud.app("sdk reader", (READER, GROUP))) as made:
        yield made


def test_microsofts_client(logs: LogsQueryClient, workspace_id: str) -> None:
    answer: Any = logs.query_workspace(
        workspace_id,
        "Kinds_CL | where i == -1",
        timespan=(OLD - timedelta(days=1), timedelta(days=2)),
        include_statistics=True,
        include_visualization=True,
        server_timeout=30,
    )
    assert answer.status == LogsQueryStatus.SUCCESS
    (row,) = answer.tables[0].rows
    assert (row["TimeGenerated"], row["l"], row["g"], row["j"]) == (OLD, 2**62, GUID, '{"a":[1,null]}')
    assert answer.statistics["query"]["datasetStatistics"][0]["tableRowCount"] == 1
    assert answer.visualization["visualization"] == "table"
    for timespan in (timedelta(days=1), (OLD, OLD + timedelta(days=2)), None):
        assert (
            logs.query_workspace(workspace_id, "Kinds_CL | count", timespan=timespan).status == LogsQueryStatus.SUCCESS
        )


def test_microsofts_client_sees_where_a_query_is_wrong(logs: LogsQueryClient, workspace_id: str) -> None:
    with pytest.raises(HttpResponseError) as caught:
        logs.query_workspace(workspace_id, "Kinds_CL\n| where (", timespan=None)
    assert caught.value.status_code == 400
    assert caught.value.error is not None
    assert caught.value.error.code == "BadArgumentError"
    assert "SyntaxError" in str(caught.value)


@pytest.mark.parametrize(
    ("query", "outer", "inner", "line", "words"),
    [
        ("Kinds_CL | where", "SyntaxError", "SYN", 1, "could not be parsed"),
        ("Kinds_CL\n| where nope == 1", "SemanticError", "SEM0100", 2, "nope"),
        ("Nope_CL", "SemanticError", "SEM0100", 1, "Nope_CL"),
        ("", "SyntaxError", "SYN", 1, ""),
        ("Kinds_CL | facet by Nope", "SemanticError", "SEM0100", 1, "'facet' operator: "),
        ("Kinds_CL | take 1; Kinds_CL | where nope == 1", "SemanticError", "SEM0100", 1, "nope"),
        ("'; drop table t1; --", "SyntaxError", "SYN", 1, ""),
    ],
)
def test_query_errors(
    cloud: Cloud, workspace_id: str, token: str, query: str, outer: str, inner: str, line: int, words: str
) -> None:
    answer = post(cloud, workspace_id, token, {"query": query})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("BadArgumentError", "The request had some invalid properties")
    uuid.UUID(error["correlationId"])
    assert error["innererror"]["code"] == outer
    innermost = error["innererror"]["innererror"]
    assert innermost["code"].startswith(inner)
    assert (innermost["line"], innermost["pos"] > 0) == (line, True)
    assert words in innermost["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"query":1}',
        b'{"timespan":"P1D"}',
        b'{"query":"\xff"}',
        b'{"query":' + b"[" * 100_000,
        {"query": "Heartbeat", "timespan": "yesterday"},
        {"query": "Heartbeat", "workspaces": "another"},
    ],
)
def test_bodies_that_do_not_fit(cloud: Cloud, workspace_id: str, token: str, body: Any) -> None:
    answer = post(cloud, workspace_id, token, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadArgumentError")
    assert answer.json()["error"]["innererror"]["message"]


def test_body_over_the_limit(cloud: Cloud, workspace_id: str, token: str) -> None:
    assert post(cloud, workspace_id, token, b" " * (2 << 20)).status_code == 413


def test_who_may_not_query(cloud: Cloud, workspace_id: str, token: str) -> None:
    body = {"query": "Heartbeat | count"}
    for wrong in (None, "x.y.z"):
        answer = post(cloud, workspace_id, wrong, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidTokenError")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    nobody = cloud.token("nobody at all", resource=LOGS)
    answer = post(cloud, workspace_id, nobody, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "InsufficientAccessError")


LONG = (
    "range a from 1 to 1000000 step 1 | extend k = 1 "
    "| join kind=inner (range b from 1 to 1000000 step 1 | extend k = 1) on k | summarize sum(a * b)"
)


def until_nothing_runs(pool: QueryPool) -> None:
    """The engine has stopped, and soon after that the worker says so."""
    give_up = time.monotonic() + 10
    while pool._running:
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_query_of_a_client_that_went_away_is_stopped(cloud: Cloud, workspace_id: str, token: str, method: str) -> None:
    pool = cloud.workspace()._queries._pool
    body: Any = {"params": {"query": LONG}} if method == "GET" else {"json": {"query": LONG}}
    with pytest.raises(requests.Timeout):
        requests.request(
            method,
            f"{cloud.url()}/v1/workspaces/{workspace_id}/query",
            headers={"Authorization": f"Bearer {token}"},
            verify=cloud.ca,
            timeout=0.5,
            **body,
        )
    until_nothing_runs(pool)


def test_query_over_its_time(cloud: Cloud, workspace_id: str, token: str) -> None:
    answer = post(cloud, workspace_id, token, {"query": LONG}, prefer="wait=1")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["innererror"]["code"]) == (504, "GatewayTimeout", "GatewayTimeout")
    until_nothing_runs(cloud.workspace()._queries._pool)
