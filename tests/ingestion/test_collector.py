"""The HTTP Data Collector API over HTTPS, signed as Microsoft's documentation shows it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurewire.core.resources import ResourceId
from lurewire.ingestion.resources import KEPT_OF_TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ingestion.cloud import ARM, COLUMNS, GROUP, WORKSPACE, Cloud
else:
    from ingestion.cloud import ARM, COLUMNS, GROUP, WORKSPACE, Cloud

UNKNOWN = "6a5b4c3d-0000-4000-8000-00000000ffff"


@pytest.fixture(scope="module")
def key(cloud: Cloud) -> str:
    return str(cloud.run(cloud.keys.of(cloud.workspace().customer_id))[0])


def send(
    cloud: Cloud, key: str, body: Any, log_type: str = "Legacy", *, customer_id: str = "", date: str = "", **more: str
) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    customer_id = customer_id or cloud.workspace().customer_id
    date = date or format_datetime(datetime.now(UTC), usegmt=True)
    signed = f"POST\n{len(data)}\napplication/json\nx-ms-date:{date}\n/api/logs"
    digest = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"SharedKey {customer_id}:{base64.b64encode(digest).decode()}",
        "Log-Type": log_type,
        "x-ms-date": date,
    } | {name.replace("_", "-"): value for name, value in more.items()}
    headers = {name: value for name, value in headers.items() if value != "-"}
    url = f"{cloud.url()}/api/logs?api-version=2016-04-01"
    return requests.post(url, data=data, headers=headers, verify=cloud.ca, timeout=60)


def stored(cloud: Cloud, table: str, select: str) -> list[tuple[Any, ...]]:
    cloud.settle()
    return cloud.query(f"{table} | project {select}")


def test_a_record_becomes_columns_with_suffixes(cloud: Cloud, key: str) -> None:
    record = {
        "ip": "198.51.100.7",
        "threat_score": 87.5,
        "is_tor": True,
        "first-seen": "2026-01-23T19:23:22Z",
        "lookup": "8B1E1D3C11114111811111111111aaaa",
        "more": {"a": [1, "é"]},
        "nothing": None,
    }
    answer = send(cloud, key, record, "First", x_ms_AzureResourceId=WORKSPACE)
    assert (answer.status_code, answer.content) == (200, b"")
    names = "ip_s, threat_score_d, is_tor_b, first_seen_t, tostring(lookup_g), more_s, Type, SourceSystem, _ResourceId"
    assert stored(cloud, "First_CL", names) == [
        (
            "198.51.100.7",
            87.5,
            True,
            639047930020000000,
            "8b1e1d3c-1111-4111-8111-11111111aaaa",
            '{"a": [1, "\\u00e9"]}',
            "First_CL",
            "RestAPI",
            WORKSPACE,
        )
    ]
    shown = cloud.query("First_CL | getschema | project ColumnName")
    assert ("nothing_s",) not in shown
    assert {("Computer",), ("MG",), ("ManagementGroupName",), ("RawData",), ("TenantId",)} <= set(shown)


def test_existing_columns_steer_the_conversion(cloud: Cloud, key: str) -> None:
    assert send(cloud, key, [{"number": 42, "flag": True, "text": "x"}], "Steer").status_code == 200
    assert send(cloud, key, [{"number": "43", "flag": "False", "text": "y"}], "Steer").status_code == 200
    assert send(cloud, key, [{"number": "many", "flag": 50, "text": 7}], "Steer").status_code == 200
    columns = "number_d, flag_b, text_s, number_s, flag_d, text_d"
    assert stored(cloud, "Steer_CL", columns) == [
        (42.0, True, "x", "", None, None),
        (43.0, False, "y", "", None, None),
        (None, None, "", "many", 50.0, 7.0),
    ]


def test_the_table_of_a_rule_takes_the_records_too(cloud: Cloud, key: str) -> None:
    cloud.table("Ruled_CL", COLUMNS | {"score_d": "real", "ip_s": "string"})
    assert send(cloud, key, {"score": "1.5", "ip": "192.0.2.1"}, "Ruled").status_code == 200
    assert stored(cloud, "Ruled_CL", "score_d, ip_s, name") == [(1.5, "192.0.2.1", "")]


def test_a_wider_table_is_kept_as_long_as_before(cloud: Cloud, key: str) -> None:
    table = f"{WORKSPACE}/tables/Kept_CL"
    properties = cloud.table("Kept_CL", COLUMNS)["properties"]
    cloud.put(table, {"properties": properties | {"totalRetentionInDays": 400, "totalRetentionInDaysAsDefault": False}})
    assert send(cloud, key, {"wider": 1}, "Kept").status_code == 200
    after = cloud.store.get(ResourceId.parse(table))
    assert after is not None
    assert "wider_d" in [column["name"] for column in after["properties"]["schema"]["columns"]]
    found = {name: after["properties"][name] for name in KEPT_OF_TABLES}
    assert found == {
        "plan": "Analytics",
        "retentionInDays": properties["retentionInDays"],
        "retentionInDaysAsDefault": True,
        "totalRetentionInDays": 400,
        "totalRetentionInDaysAsDefault": False,
    }


def test_numbers_that_no_double_holds(cloud: Cloud, key: str) -> None:
    assert send(cloud, key, b'[{"n":%s},{"n":1e999},{"n":7}]' % (b"9" * 400), "Huge").status_code == 200
    assert sorted(stored(cloud, "Huge_CL", "n_d"), key=str) == [(7.0,), (None,), (None,)]


def test_full_disk_is_told(cloud: Cloud, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    assert send(cloud, key, {"a": 1}, "Full").status_code == 200
    monkeypatch.setattr(os, "writev", full)
    answer = send(cloud, key, {"a": 2}, "Full")
    assert (answer.status_code, answer.json()["Error"]) == (503, "ServiceUnavailable")
    assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert send(cloud, key, {"a": 2}, "Full").status_code == 200
    assert sorted(stored(cloud, "Full_CL", "a_d")) == [(1.0,), (2.0,)]


def test_time_generated_field(cloud: Cloud, key: str) -> None:
    moment = "2026-01-23T19:23:22Z"
    rows = [{"at": moment, "n": 1}, {"at": "soon", "n": 2}, {"n": 3}]
    assert send(cloud, key, {"": moment, "n": 1}, "Untimed").status_code == 200
    assert stored(cloud, "Untimed_CL", "n_d, TimeGenerated > ago(1h)") == [(1.0, True)]
    assert send(cloud, key, rows, "Timed", time_generated_field="at").status_code == 200
    found = stored(cloud, "Timed_CL", "n_d, given = TimeGenerated == datetime(2026-01-23T19:23:22Z), at_t, at_s")
    assert sorted(found) == [
        (1.0, True, 639047930020000000, ""),
        (2.0, False, None, "soon"),
        (3.0, False, None, ""),
    ]


def test_long_values_are_cut_and_too_many_columns_dropped_with_a_warning(cloud: Cloud, key: str) -> None:
    assert send(cloud, key, {"long": "x" * 40_000}, "Long").status_code == 200
    assert stored(cloud, "Long_CL", "strlen(long_s)") == [(32 << 10,)]
    assert send(cloud, key, {f"p{i}": i for i in range(505)}, "Wide").status_code == 200
    assert len(stored(cloud, "Wide_CL", "p0_d")) == 1
    warnings = cloud.query("Operation | where OperationStatus == 'Warning' | project OperationKey, Detail")
    assert {key for key, _ in warnings} == {"Long_CL", "Wide_CL"}


def test_whoever_cannot_sign_is_refused_alike(cloud: Cloud, key: str) -> None:
    other = base64.b64encode(b"x" * 64).decode()
    old = format_datetime(datetime.now(UTC) - timedelta(minutes=20), usegmt=True)
    first = send(cloud, other, {"a": 1})
    assert first.status_code == 403
    assert send(cloud, key, {"a": 1}, customer_id=UNKNOWN).json() == first.json()
    assert send(cloud, key, {"a": 1}, host=f"{UNKNOWN}.ods.opinsights.azure.com").json() == first.json()
    for answer in (
        send(cloud, key, {"a": 1}, date=old),
        send(cloud, key, {"a": 1}, date="yesterday"),
        send(cloud, key, {"a": 1}, date="Mon, 01 Jan 99999999999999999999 00:00:00 GMT"),
        send(cloud, key, {"a": 1}, date="Sun, 22 Nov 2026 11:00:00 +99999999999999"),
        send(cloud, key, {"a": 1}, Authorization="-"),
        send(cloud, key, {"a": 1}, Authorization="Bearer x"),
        send(
            cloud,
            key,
            {"a": 1},
            Authorization=f"SharedKey {cloud.workspace().customer_id}:é".encode().decode("latin-1"),
        ),
    ):
        assert (answer.status_code, answer.json()["Error"]) == (403, "InvalidAuthorization")
    own = f"{cloud.workspace().customer_id}.ods.opinsights.azure.com"
    assert send(cloud, key, {"a": 1}, "Hosted", host=own).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Log_Type": "-"}, "MissingLogType"),
        ({"Log_Type": "a-b"}, "InvalidLogType"),
        ({"Log_Type": "'; drop table t1--"}, "InvalidLogType"),
        ({"Log_Type": "a" * 101}, "InvalidLogType"),
        ({"Content_Type": "-"}, "MissingContentType"),
        ({"Content_Type": "text/plain"}, "UnsupportedContentType"),
        ({"Authorization": "SharedKey me:abcd"}, "InvalidCustomerId"),
    ],
)
def test_headers_that_do_not_fit(cloud: Cloud, key: str, headers: dict[str, str], code: str) -> None:
    answer = send(cloud, key, {"a": 1}, **headers)
    assert (answer.status_code, answer.json()["Error"]) == (400, code)


def test_a_body_of_unknown_length_is_not_read(cloud: Cloud) -> None:
    """The length is signed: without it anybody could have 30 MB read."""
    url = f"{cloud.url()}/api/logs?api-version=2016-04-01"
    headers = {"Content-Type": "application/json", "Log-Type": "Legacy"}
    answer = requests.post(url, data=iter([b"{}"]), headers=headers, verify=cloud.ca, timeout=30)
    assert (answer.status_code, answer.json()["Error"]) == (411, "LengthRequired")


def test_api_version(cloud: Cloud) -> None:
    for query, code in (("", "MissingApiVersion"), ("?api-version=2020-01-01", "InvalidApiVersion")):
        answer = requests.post(f"{cloud.url()}/api/logs{query}", data=b"{}", verify=cloud.ca, timeout=30)
        assert (answer.status_code, answer.json()["Error"]) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b'"x"',
        b"{",
        b"\xff",
        b'{"a":1} x',
        b'{"a":NaN}',
        b'{"a":[NaN]}',
        {"TimeGenerated": "x"},
        [{"tenant": 1}],
        {"RawData": ""},
    ],
)
def test_bodies_that_do_not_fit(cloud: Cloud, key: str, body: Any) -> None:
    answer = send(cloud, key, body, "Refused")
    assert (answer.status_code, answer.json()["Error"]) == (400, "InvalidDataFormat")
    assert cloud.workspace().tables.find("Refused_CL") is None


def test_limit_of_a_body(cloud: Cloud, key: str) -> None:
    answer = send(cloud, key, b" " * ((30 << 20) + 1))
    assert (answer.status_code, answer.json()["Error"]) == (413, "RequestTooLarge")
    assert send(cloud, key, b"[" + b'{"a":1},' * 100_000 + b'{"a":1}]', "Many").status_code == 200
    cloud.settle()
    assert cloud.query("Many_CL | count") == [(100_001,)]
    assert send(cloud, key, b"[" + b"{}," * 2_000_001 + b"{}]").json()["Error"] == "InvalidDataFormat"


def test_what_a_call_that_went_away_left_running_is_waited_for(cloud: Cloud) -> None:
    first, second = threading.Event(), threading.Event()

    async def calls() -> None:
        gone = asyncio.ensure_future(cloud.collector._alone(first.wait))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        waiting = asyncio.ensure_future(cloud.collector._alone(second.set))
        await asyncio.sleep(0.05)
        assert not second.is_set()
        first.set()
        await waiting

    cloud.run(calls())
    assert second.is_set()


def test_a_workspace_whose_disk_is_full_makes_no_other_wait(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, {"ingestion.collector_workspace_bytes": 1000})
    cloud.start()
    room = threading.Event()
    try:
        cloud.put(f"{WORKSPACE}-full", {"location": "local", "properties": {}})
        full, other = cloud.workspaces.by_id(f"{WORKSPACE}-full"), cloud.workspace()
        assert full is not None
        keys = {one: str(cloud.run(cloud.keys.of(one.customer_id))[0]) for one in (full, other)}
        full._intake._loader.submit(lambda _cursor: room.wait())  # as a loader that tries again until there is room
        with ThreadPoolExecutor(3) as pool:
            body = {"a": "x" * 100}
            waiting = [
                pool.submit(send, cloud, keys[full], body, f"New{number}", customer_id=full.customer_id)
                for number in range(3)
            ]
            while cloud.collector._held[full.customer_id] < 3 * 230:
                time.sleep(0.01)
            assert send(cloud, keys[other], body, "New").status_code == 200
            refused = send(cloud, keys[full], {"a": "x" * 400}, "More", customer_id=full.customer_id)
            assert (refused.status_code, refused.json()["Error"]) == (429, "TooManyRequests")
            assert send(cloud, keys[other], {"a": "x" * 400}, "New").status_code == 200
            room.set()
            assert [call.result().status_code for call in waiting] == [200] * 3
        assert (cloud.collector._held.total(), cloud.collector._waiting) == (0, 0)
    finally:
        room.set()
        cloud.stop()


def test_keys_are_shown_and_regenerated_to_those_who_may(cloud: Cloud) -> None:
    cloud.put(f"{WORKSPACE}-keys", {"location": "local", "properties": {}})
    reader = cloud.token("reader of keys", ("Reader", GROUP), resource=ARM)
    contributor = cloud.token("contributor of keys", ("Contributor", GROUP), resource=ARM)

    def ask(token: str, verb: str, workspace: str = f"{WORKSPACE}-keys") -> requests.Response:
        url = f"{cloud.url()}{workspace}/{verb}?api-version=2020-08-01"
        return requests.post(url, headers={"Authorization": f"Bearer {token}"}, verify=cloud.ca, timeout=30)

    for verb in ("sharedKeys", "listKeys", "regenerateSharedKey"):
        assert ask(reader, verb).status_code == 403
    first = ask(contributor, "sharedKeys").json()
    assert ask(contributor, "listKeys").json() == first
    assert len(base64.b64decode(first["primarySharedKey"])) == len(base64.b64decode(first["secondarySharedKey"])) == 64
    other = cloud.workspaces.by_id(f"{WORKSPACE}-keys")
    assert other is not None
    for name in ("primarySharedKey", "secondarySharedKey"):
        assert send(cloud, first[name], {"a": 1}, customer_id=other.customer_id).status_code == 200
    second = ask(contributor, "regenerateSharedKey").json()
    assert not set(first.values()) & set(second.values())
    assert send(cloud, first["primarySharedKey"], {"a": 1}, customer_id=other.customer_id).status_code == 403
    assert ask(contributor, "sharedKeys", f"{WORKSPACE}-none").status_code == 404
    raw = b"".join(p.read_bytes() for p in cloud.folder.glob("control.db*"))
    assert second["primarySharedKey"].encode() not in raw


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
    | st.just("2026-01-01"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text("ab_1é-", max_size=5), VALUES, max_size=4), max_size=3))
def test_any_records_are_taken(cloud: Cloud, key: str, records: list[dict[str, Any]]) -> None:
    body = json.dumps(records).replace("Infinity", "1e999").encode()
    answer = send(cloud, key, body, "Any")
    assert answer.status_code == 200
