"""The Logs Ingestion API over HTTPS on loopback, with `requests`, raw bytes and Microsoft's own client."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.ingestion.cloud import Cloud

if not TYPE_CHECKING:
    from ingestion.cloud import COLUMNS, LOGS, RULE, STREAM, TENANT, WORKSPACE, rule_body, table_body
else:
    from tests.ingestion.cloud import COLUMNS, LOGS, RULE, STREAM, TENANT, WORKSPACE, rule_body, table_body

PUBLISHER = "Monitoring Metrics Publisher"
LIMIT = 1 << 20


def stored(cloud: Cloud, name: str, select: str = "name") -> list[tuple[Any, ...]]:
    cloud.settle()
    return cloud.query(f"Events_CL | where name startswith '{name}' | project {select}")


@pytest.mark.parametrize("packed", [False, True])
def test_rows_arrive_once_with_their_values(cloud: Cloud, rule: str, token: str, packed: bool) -> None:
    name = f"row-{packed}"
    row = {
        "TimeGenerated": "2026-01-23T19:23:22.149338689Z",
        "name": name,
        "count": 3,
        "total": 9_007_199_254_740_993,
        "score": 0.5,
        "flag": True,
        "at": "1601-01-01T00:00:00.0000001Z",
        "more": {"a": [1, "é"], "b": None},
        "not declared": {"x": 1},
    }
    body = json.dumps([row]).encode()
    headers = {"Content_Encoding": "gzip"} if packed else {}
    answer = cloud.post(rule, STREAM, token, gzip.compress(body) if packed else body, **headers)
    assert (answer.status_code, answer.content) == (204, b"")
    columns = "TimeGenerated, count, total, score, flag, at, more, Type, TenantId"
    customer_id = cloud.workspace().customer_id
    assert stored(cloud, name, columns) == [
        (
            639047930021493386,
            3,
            9_007_199_254_740_993,
            0.5,
            True,
            504911232000000001,
            '{"a":[1,"é"],"b":null}',
            "Events_CL",
            customer_id,
        )
    ]


def test_missing_time_is_the_time_of_receipt(cloud: Cloud, rule: str, token: str) -> None:
    assert cloud.post(rule, STREAM, token, [{"name": "untimed"}]).status_code == 204
    cloud.settle()
    ((age,),) = cloud.query("Events_CL | where name == 'untimed' | project now() - TimeGenerated")
    assert 0 <= age < 60 * 10_000_000


def test_mistyped_values_are_converted_or_null(cloud: Cloud, rule: str, token: str) -> None:
    rows = [
        {"name": "mistyped", "count": "12", "total": 1.0, "score": "2.5", "flag": "True", "at": "2026-01-01"},
        {"name": "mistyped", "count": "x", "total": 2**70, "score": [], "flag": 7, "at": "soon", "more": "text"},
        {"name": 17, "count": 2**31},
    ]
    assert cloud.post(rule, STREAM, token, rows).status_code == 204
    assert stored(cloud, "mistyped", "count, total, score, flag, at, more") == [
        (12, 1, 2.5, True, 639028224000000000, None),
        (None, None, None, None, None, '"text"'),
    ]
    assert stored(cloud, "17", "name, count") == [("17", None)]


def test_repeat_of_a_request_is_dropped(cloud: Cloud, rule: str, token: str) -> None:
    body = [{"name": "repeat"}]
    request_id = {"x_ms_client_request_id": "6b0b0e0a-1111-4111-8111-111111111111"}
    assert [cloud.post(rule, STREAM, token, body, **request_id).status_code for _ in range(3)] == [204] * 3
    assert len(stored(cloud, "repeat")) == 1
    other = cloud.token("second publisher", (PUBLISHER, RULE))
    assert cloud.post(rule, STREAM, other, body, **request_id).status_code == 204
    assert cloud.post(rule, STREAM, token, body, x_ms_client_request_id="another").status_code == 204
    assert cloud.post(rule, STREAM, token, body).status_code == 204
    assert cloud.post(rule, STREAM, token, body).status_code == 204
    assert len(stored(cloud, "repeat")) == 5


def test_microsofts_client_sends_every_chunk(cloud: Cloud, rule: str) -> None:
    app_id, secret = cloud.app("sdk publisher", (PUBLISHER, RULE))
    credential = ClientSecretCredential(
        TENANT, app_id, secret, authority=cloud.url(), disable_instance_discovery=True, connection_verify=cloud.ca
    )
    rows: list[Any] = [{"name": f"sdk-{i:07}", "more": {"é": i}} for i in range(30_000)]
    filler = {"name": "sdk-big", "more": "x" * 300_000}
    with LogsIngestionClient(cloud.url(), credential, connection_verify=cloud.ca) as client:
        client.upload(rule, STREAM, [*rows, *[filler] * 7])
        client.upload(rule, STREAM, [{}] * 200_000)
    cloud.settle()
    assert cloud.query("Events_CL | where name startswith 'sdk-' | summarize count(), dcount(name)")[0][0] == 30_007
    assert cloud.query("Events_CL | where name == '' | count") == [(200_000,)]


def test_no_role_no_rows(cloud: Cloud, rule: str) -> None:
    principal = cloud.principal("nobody")
    answer = cloud.post(
        rule, STREAM, cloud.identity.token_for(principal, "https://monitor.azure.com"), [{"name": "no"}]
    )
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "OperationFailed"
    assert error["message"].startswith(
        "The authentication token provided does not have access to ingest data for the data collection rule with "
        f"immutable Id '{rule}' PipelineAccessResult: AccessGranted: False, IsRbacPresent: False, "
    )
    assert f"objectId {principal.object_id} on resourceId {RULE}" in error["message"]
    assert stored(cloud, "no") == []


def test_role_on_another_rule_is_no_role(cloud: Cloud, rule: str) -> None:
    cloud.rule("other-dcr", rule_body())
    other = cloud.token("publisher elsewhere", (PUBLISHER, RULE.replace("events-dcr", "other-dcr")))
    assert cloud.post(rule, STREAM, other, [{}]).status_code == 403


def test_tokens_that_are_not_believed(cloud: Cloud, rule: str, token: str) -> None:
    for wrong in (None, "nonsense", token[:-4] + "AAAA"):
        answer = cloud.post(rule, STREAM, wrong, [{}])
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    elsewhere = cloud.token("wrong audience", (PUBLISHER, RULE), resource=LOGS)
    answer = cloud.post(rule, STREAM, elsewhere, [{}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAudience")


def test_unknown_rule_and_stream(cloud: Cloud, rule: str, token: str) -> None:
    answer = cloud.post("dcr-" + "0" * 32, STREAM, token, [{}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert answer.json()["error"]["message"] == f"Data collection rule with immutable Id 'dcr-{'0' * 32}' not found."
    for stream in ("Custom-Nope_CL", STREAM.lower(), "Events_CL", "%27%3b%20drop%20table%20t1--", "Custom-%00"):
        answer = cloud.post(rule, stream, token, [{}])
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidStream")


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"bad"}',
        b'"bad"',
        b"[1]",
        b'[{"name":"bad"},]',
        b'[{"name":"bad"}',
        b'[{"name":"bad"}] x',
        b'[{"name":"bad","more":NaN}]',
        b'[{"name":"bad","more":"\xff"}]',
        b'[{"name":"bad","undeclared":"\xff"}]',
        b'[{"name":"bad","more":' + b"[" * 50_000 + b"]" * 50_000 + b"}]",
        b"\x00",
        b"   ",
    ],
)
def test_bodies_that_are_no_array_of_objects(cloud: Cloud, rule: str, token: str, body: bytes) -> None:
    answer = cloud.post(rule, STREAM, token, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidPayload")
    assert stored(cloud, "bad") == []


@pytest.mark.parametrize(
    "packed",
    [
        b"not gzip at all",
        gzip.compress(b'[{"name":"bad"}]')[:-4],
        gzip.compress(b'[{"name":"bad"}]')[:-8] + b"12345678",
        gzip.compress(b'[{"name":"bad"}]') + b"garbage",
        zlib.compress(b'[{"name":"bad"}]'),
        gzip.compress(b""),
        gzip.compress(b"") * 40_000,
    ],
)
def test_broken_gzip(cloud: Cloud, rule: str, token: str, packed: bytes) -> None:
    answer = cloud.post(rule, STREAM, token, packed, Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidPayload")
    assert stored(cloud, "bad") == []


def test_gzip_of_several_members(cloud: Cloud, rule: str, token: str) -> None:
    packed = gzip.compress(b'[{"name":') + gzip.compress(b'"members"}]')
    assert cloud.post(rule, STREAM, token, packed, Content_Encoding="gzip").status_code == 204
    assert len(stored(cloud, "members")) == 1


def test_gzip_bomb_is_refused_unread(cloud: Cloud, rule: str, token: str) -> None:
    bomb = gzip.compress(b"[" + b" " * (256 << 20) + b"]")
    assert len(bomb) < LIMIT
    answer = cloud.post(rule, STREAM, token, bomb, Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "ContentLengthLimitExceeded")


def test_size_limit_is_where_the_sdk_fills_a_call(cloud: Cloud, rule: str, token: str) -> None:
    def body(size: int) -> bytes:
        row = b'{"name": "size", "more": "%s"}'
        return b"[" + row % (b"x" * (size - len(row) + 2)) + b"]"

    assert cloud.post(rule, STREAM, token, body(LIMIT)).status_code == 204
    for packed in (False, True):
        data = body(LIMIT + 1)
        headers = {"Content_Encoding": "gzip"} if packed else {}
        answer = cloud.post(rule, STREAM, token, gzip.compress(data) if packed else data, **headers)
        assert answer.status_code == 413
        error = answer.json()["error"]
        assert error["code"] == "ContentLengthLimitExceeded"
        prefix = "Maximum allowed content length: 1048576 bytes (1 MB). Provided content length: "
        assert error["message"] == f"{prefix}{len(data)} bytes."
    assert len(stored(cloud, "size")) == 1


def test_announced_length_over_the_limit_is_not_read(cloud: Cloud, rule: str, token: str) -> None:
    answer = cloud.post(rule, STREAM, token, b"x" * (3 << 20))
    assert answer.status_code == 413


def test_chunked_body_over_the_limit(cloud: Cloud, rule: str, token: str) -> None:
    url = f"{cloud.url()}/dataCollectionRules/{rule}/streams/{STREAM}?api-version=2023-01-01"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = requests.post(url, data=(b"x" * 65536 for _ in range(48)), headers=headers, verify=cloud.ca, timeout=30)
    assert answer.status_code == 413


def test_media_types(cloud: Cloud, rule: str, token: str) -> None:
    body = b'[{"name":"media"}]'
    for headers in ({"Content_Type": "text/plain"}, {"Content_Encoding": "br"}, {"Content_Encoding": "deflate"}):
        answer = cloud.post(rule, STREAM, token, body, **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UnsupportedMediaType")
    assert cloud.post(rule, STREAM, token, body, Content_Type="application/json; charset=utf-8").status_code == 204
    assert len(stored(cloud, "media")) == 1


def test_empty_body_and_empty_array(cloud: Cloud, rule: str, token: str) -> None:
    answer = cloud.post(rule, STREAM, token, b"")
    assert (answer.status_code, answer.content) == (500, b"")
    assert cloud.post(rule, STREAM, token, []).status_code == 204


def test_microsofts_client_sees_the_errors(cloud: Cloud, rule: str) -> None:
    app_id, secret = cloud.app("sdk without role")
    credential = ClientSecretCredential(
        TENANT, app_id, secret, authority=cloud.url(), disable_instance_discovery=True, connection_verify=cloud.ca
    )
    with (
        LogsIngestionClient(cloud.url(), credential, connection_verify=cloud.ca) as client,
        pytest.raises(HttpResponseError, match="OperationFailed") as caught,
    ):
        client.upload(rule, STREAM, [{"name": "no"}])
    assert caught.value.status_code == 403


def test_text_of_attackers_is_stored_as_text(cloud: Cloud, rule: str, token: str) -> None:
    hostile = ["'; drop table t1; --", "\x1b[31m", "a\x00b", '"\\', "[red]", "\ufeff", "💥" * 5, "x" * 60_000]
    rows = [{"name": f"hostile {i}", "more": {"v": text}} for i, text in enumerate(hostile)]
    body = json.dumps(rows).encode().replace(b'"hostile 0"', b'"hostile \\ud800 0"')
    assert cloud.post(rule, STREAM, token, body).status_code == 204
    found = stored(cloud, "hostile", "name, tostring(more.v)")
    assert sorted(found) == sorted(
        (f"hostile {i}" if i else "hostile \ufffd 0", text) for i, text in enumerate(hostile)
    )


def test_rule_without_endpoint_takes_nothing(cloud: Cloud) -> None:
    cloud.table("Events_CL", COLUMNS)
    unreachable = cloud.rule("unreachable-dcr", rule_body(dataCollectionEndpointId=None))
    everywhere = cloud.token("publisher of the group", (PUBLISHER, RULE.partition("/providers/")[0]))
    answer = cloud.post(unreachable, STREAM, everywhere, [{}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "OperationFailed")
    assert "IsDcrDceBindingValid: False" in answer.json()["error"]["message"]


def test_too_much_waiting_is_told_before_memory_grows(
    cloud: Cloud, rule: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.workspace()._intake, "_most_waiting", 100)
    answer = cloud.post(rule, STREAM, token, [{"name": "waiting"}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "TooManyRequests")
    assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert cloud.post(rule, STREAM, token, [{"name": "waiting"}]).status_code == 204
    assert len(stored(cloud, "waiting")) == 1


def test_full_disk_is_told_and_a_retry_stores_it(
    cloud: Cloud, rule: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    request_id = {"x_ms_client_request_id": "full disk"}
    monkeypatch.setattr(os, "writev", full)
    answer = cloud.post(rule, STREAM, token, [{"name": "full"}], **request_id)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ServiceUnavailable")
    assert "Retry-After" in answer.headers
    monkeypatch.undo()
    assert cloud.post(rule, STREAM, token, [{"name": "full"}], **request_id).status_code == 204
    assert len(stored(cloud, "full")) == 1


def test_a_rule_whose_workspace_is_gone_says_so(cloud: Cloud) -> None:
    """A destination that is gone takes nothing, and the other one is sent nothing twice because of it."""
    cloud.table("Events_CL", COLUMNS)
    other = f"{WORKSPACE}-gone"
    cloud.put(other, {"location": "local", "properties": {}})
    cloud.put(f"{other}/tables/Events_CL", table_body("Events_CL", COLUMNS))
    places = [{"name": name, "workspaceResourceId": at} for name, at in (("la", WORKSPACE), ("gone", other))]
    flow = {"streams": [STREAM], "destinations": ["la", "gone"], "outputStream": STREAM}
    both = cloud.rule("both-dcr", rule_body(destinations={"logAnalytics": places}, dataFlows=[flow]))
    sender = cloud.token("publisher to both", (PUBLISHER, RULE.partition("/providers/")[0]))
    assert cloud.post(both, STREAM, sender, [{"name": "both"}]).status_code == 204
    assert cloud.run(cloud.store.delete(ResourceId.parse(other)))
    answer = cloud.post(both, STREAM, sender, [{"name": "both"}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ServiceUnavailable")
    assert "Retry-After" in answer.headers
    assert len(stored(cloud, "both")) == 1
