"""What real clients of Azure do when the bench gives them faults, over HTTPS, as contract section 0.8 says."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.monitor.ingestion import LogsIngestionClient
from azure.monitor.query import LogsQueryClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.identity import ClientSecretCredential
    from tests.testbench.started import LOGS, Started
else:
    from testbench.started import LOGS

STREAM = "Custom-TrapEye_Threats_CL"
ROW = {"event_type": "new_threat", "source_ip": "198.51.100.9", "threat_uuid": "6a5b4c3d-1111-4000-8000-000000000001"}


@pytest.fixture(scope="module")
def credential(bench: Started) -> ClientSecretCredential:
    return bench.credential("faults", "Monitoring Metrics Publisher", "Log Analytics Reader")


@pytest.fixture(autouse=True)
def clean(bench: Started) -> Iterator[None]:
    yield
    bench.ask("/testbench/reset", {})


@pytest.fixture
def upload(bench: Started, credential: ClientSecretCredential) -> Iterator[Callable[[], None]]:
    with LogsIngestionClient(bench.url, credential, connection_verify=bench.ca, retry_backoff_factor=0.01) as client:
        rule = bench.now.facts["dcrs"]["trapeye-dcr"]

        def send() -> None:
            client.upload(rule_id=rule, stream_name=STREAM, logs=[ROW])

        yield send


@pytest.fixture
def query(bench: Started, credential: ClientSecretCredential) -> Iterator[Callable[[], Any]]:
    with LogsQueryClient(
        credential, endpoint=bench.url, audience=LOGS, connection_verify=bench.ca, retry_backoff_factor=0.01
    ) as client:
        yield lambda: client.query_workspace(bench.workspace_id, "print x = 1", timespan=timedelta(hours=1))


def outcomes(bench: Started, room: str) -> list[Any]:
    """Per request the status that the client saw, or how it was cut."""
    return [one["answer"]["cut"] or one["answer"]["status"] for one in requests_of(bench, room)]


def requests_of(bench: Started, room: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.ask("/testbench/requests", {"room": room})["value"]
    return found


def test_too_many_requests_with_retry_after_is_retried_when_it_says(bench: Started, upload: Callable[[], None]) -> None:
    bench.ask("/testbench/add", {"match": {"room": "ingestion"}, "status": 429, "retryAfter": 1, "times": 2})
    started = time.perf_counter()
    upload()
    assert time.perf_counter() - started >= 2
    assert outcomes(bench, "ingestion") == [429, 429, 204]
    sent = requests_of(bench, "ingestion")
    assert len({one["headers"]["x-ms-client-request-id"] for one in sent}) == 1, "a retry is the same call"
    assert sent[0]["answer"]["headers"]["retry-after"] == "1"


def test_too_many_requests_without_retry_after_is_raised_at_once(bench: Started, upload: Callable[[], None]) -> None:
    bench.ask("/testbench/add", {"match": {"room": "ingestion"}, "status": 429})
    with pytest.raises(HttpResponseError) as raised:
        upload()
    assert raised.value.status_code == 429
    assert raised.value.error is not None
    assert raised.value.error.code == "TooManyRequests"
    assert outcomes(bench, "ingestion") == [429]


@pytest.mark.parametrize("status", [500, 503])
def test_a_failing_server_is_tried_again(bench: Started, upload: Callable[[], None], status: int) -> None:
    bench.ask("/testbench/add", {"match": {"room": "ingestion"}, "status": status, "times": 2})
    upload()
    assert outcomes(bench, "ingestion") == [status, status, 204]


@pytest.mark.parametrize(("status", "kind"), [(413, HttpResponseError), (401, ClientAuthenticationError)])
def test_other_errors_are_raised(
    bench: Started, upload: Callable[[], None], status: int, kind: type[HttpResponseError]
) -> None:
    bench.ask("/testbench/add", {"match": {"room": "ingestion"}, "status": status, "times": 1})
    with pytest.raises(kind) as raised:
        upload()
    assert raised.value.status_code == status
    assert outcomes(bench, "ingestion") == [status]


def test_queries_get_the_query_apis_errors(bench: Started, query: Callable[[], Any]) -> None:
    bench.ask("/testbench/add", {"match": {"room": "workspace"}, "status": 429, "retryAfter": 0, "times": 1})
    bench.ask("/testbench/add", {"match": {"room": "workspace"}, "status": 500, "times": 1})
    assert query().tables[0].rows[0]["x"] == 1
    sent = requests_of(bench, "workspace")
    assert [one["answer"]["status"] for one in sent] == [429, 500, 200]
    assert [one["fault"] is not None for one in sent] == [True, True, False]
    assert sent[0]["answer"]["body"]["error"]["code"] == "ThrottledError"
    assert sent[0]["answer"]["body"]["error"]["correlationId"]


def test_a_share_of_queries_fails_and_the_same_seed_chooses_the_same(
    bench: Started, credential: ClientSecretCredential
) -> None:
    token = credential.get_token(f"{LOGS}/.default").token
    runs = []
    for _ in range(2):
        bench.ask("/testbench/reset", {})
        bench.ask("/testbench/add", {"match": {"room": "workspace"}, "status": 500, "percent": 20, "seed": 7})
        path = f"/v1/workspaces/{bench.workspace_id}/query"
        runs.append([bench.call("POST", path, token, json={"query": "print 1"}).status_code for _ in range(40)])
    assert runs[0] == runs[1]
    assert 2 <= runs[0].count(500) <= 16
    assert runs[0].count(200) == 40 - runs[0].count(500)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_cut_is_not_retried_by_itself_for_an_upload(
    bench: Started, upload: Callable[[], None], when: str
) -> None:
    bench.ask("/testbench/reset", {"tables": ["TrapEye_Threats_CL"]})
    bench.ask("/testbench/add", {"match": {"room": "ingestion"}, "cut": when, "times": 1})
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        upload()
    assert outcomes(bench, "ingestion") == [when]
    stored = settled(bench)
    assert stored == (1 if when == "after" else 0), "cut after the work: it is stored, and the client cannot know"


def settled(bench: Started) -> int:
    """Rows of the table, once what was acknowledged is visible: rows of the same workspace arrive in order."""
    rule = bench.now.facts["dcrs"]["trapeye-dcr"]
    token = bench.credential("settle", "Monitoring Metrics Publisher").get_token("https://monitor.azure.com/.default")
    row = ROW | {"threat_uuid": "6a5b4c3d-1111-4000-8000-0000000000ff"}
    path = f"/dataCollectionRules/{rule}/streams/{STREAM}?api-version=2023-01-01"
    assert bench.call("POST", path, token.token, json=[row]).status_code == 204
    deadline = time.perf_counter() + 20
    while time.perf_counter() < deadline:
        rows = bench.query("TrapEye_Threats_CL | project threat_uuid")
        if any(r["threat_uuid"].endswith("ff") for r in rows):
            return len(rows) - 1
        time.sleep(0.05)
    raise AssertionError("the row did not arrive")


def test_half_an_answer(bench: Started, query: Callable[[], Any]) -> None:
    bench.ask("/testbench/add", {"match": {"room": "workspace"}, "cut": "during", "times": 1})
    with pytest.raises(HttpResponseError, match="IncompleteRead"):
        query()
    [one] = requests_of(bench, "workspace")
    assert (one["answer"]["cut"], one["answer"]["status"]) == ("during", 200)
    assert query().tables[0].rows[0]["x"] == 1


def test_late_answers(bench: Started, query: Callable[[], Any]) -> None:
    bench.ask("/testbench/add", {"match": {"room": "workspace", "method": "POST"}, "delay": 0.5, "times": 1})
    started = time.perf_counter()
    query()
    assert time.perf_counter() - started >= 0.5
    assert requests_of(bench, "workspace")[0]["seconds"] >= 0.5


def test_rule_stream_path_and_skip_say_which(bench: Started, upload: Callable[[], None]) -> None:
    rule = bench.now.facts["dcrs"]["trapeye-dcr"]
    never = ({"rule": "dcr-" + "0" * 32}, {"stream": "Custom-Other_CL"}, {"path": "/v1/*"}, {"method": "GET"})
    for match in never:
        bench.ask("/testbench/add", {"match": match, "status": 413})
    match = {"rule": rule, "stream": STREAM, "path": "/datacollectionrules/*/streams/*"}
    bench.ask("/testbench/add", {"match": match, "status": 413, "skip": 1, "times": 1})
    upload()
    with pytest.raises(HttpResponseError):
        upload()
    upload()
    assert outcomes(bench, "ingestion") == [204, 413, 204]
    seen = [(one["seen"], one["given"]) for one in bench.ask("/testbench/faults", {})["value"]]
    assert seen == [(0, 0)] * 4 + [(3, 1)]


def test_the_token_service_can_fail_too(bench: Started) -> None:
    bench.ask("/testbench/add", {"match": {"room": "identity", "path": "*/token"}, "status": 401, "times": 1})
    credential = bench.credential("token-faults", "Log Analytics Reader")
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token(f"{LOGS}/.default")
    assert credential.get_token(f"{LOGS}/.default").token
