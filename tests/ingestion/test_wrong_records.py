"""What becomes of records that are not, or not wholly, what a rule declares: cut, nulled, moved in time, and told of."""

from __future__ import annotations

import gzip
import json
import random
import string
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from azure.monitor.ingestion._helpers import _create_gzip_requests
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.core.clock import ManualClock
from lurewire.core.limits import Limits
from lurewire.core.resources import ResourceId
from lurewire.ingestion import error_log
from lurewire.ingestion.bodies import check_size, longest
from lurewire.ingestion.error_log import ErrorLog, LoggedError
from lurewire.ingestion.errors import BodyTooLarge
from lurewire.ingestion.limits import LIMITS
from lurewire.kql import Column, KqlType
from lurewire.workspace import Losses, RowDecoder, loader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ingestion.cloud import COLUMNS, ENDPOINT, GROUP, RULE, STREAM, WORKSPACE, Cloud, rule_body
else:
    from ingestion.cloud import COLUMNS, ENDPOINT, GROUP, RULE, STREAM, WORKSPACE, Cloud, rule_body

PUBLISHER = "Monitoring Metrics Publisher"
LIMIT = 1 << 20
FIELD = 64 << 10


def told(cloud: Cloud, request_id: str) -> list[tuple[Any, ...]]:
    cloud.settle()
    return told_at_once(cloud, request_id)


def told_at_once(cloud: Cloud, request_id: str) -> list[tuple[Any, ...]]:
    query = f"DCRLogErrors | where ClientRequestId == '{request_id}' | project OperationName, Message | order by Message asc"
    return cloud.query(query)


def test_long_texts_are_cut_and_told_of(cloud: Cloud, rule: str, token: str) -> None:
    rows = [
        {"name": "cut", "count": 1, "more": "é" * FIELD},
        {"name": "cut" + "💥" * (FIELD // 2), "count": 2, "more": {"v": "x" * FIELD}},
        {"name": "cut", "count": 3, "more": {"v": "x"}},
    ]
    assert cloud.post(rule, STREAM, token, rows, x_ms_client_request_id="cut").status_code == 204
    cloud.settle()
    found = cloud.query("Events_CL | where name startswith 'cut' | order by count asc | project name, more")
    assert [len(name.encode()) for name, _ in found] == [3, FIELD - 1, 3]
    assert json.loads(found[0][1]) == "é" * (FIELD // 2)
    assert json.loads(found[1][1]) == ('{"v":"' + "x" * FIELD)[:FIELD]
    assert json.loads(found[2][1]) == {"v": "x"}
    kept = "The value is cut there."
    messages = [message for _, message in told(cloud, "cut")]
    assert len(messages) == 2
    assert messages[0].startswith(f"1 of 3 records have a value for column 'name' that is longer than {FIELD} bytes, ")
    assert messages[1].startswith(f"2 of 3 records have a value for column 'more' that is longer than {FIELD} bytes, ")
    assert kept.lower() in messages[0]


def test_mistyped_values_are_told_of_and_the_rule_is_named(cloud: Cloud, rule: str, token: str) -> None:
    rows = [
        {"name": "told", "at": "yesterday", "count": "many"},
        {"name": "told", "at": None},
        {"name": "told", "at": "?"},
    ]
    assert cloud.post(rule, STREAM, token, rows, x_ms_client_request_id="told").status_code == 204
    assert told(cloud, "told") == [
        ("Ingestion", "1 of 3 records have a value for column 'count' that is none of its type: null is stored."),
        ("Ingestion", "2 of 3 records have a value for column 'at' that is none of its type: null is stored."),
    ]
    query = "DCRLogErrors | where ClientRequestId == 'told' | distinct InputStreamId, _ResourceId, SourceSystem"
    assert cloud.query(query) == [(STREAM, RULE, "Azure")]


def test_a_repeat_is_told_of_once(cloud: Cloud, rule: str, token: str) -> None:
    for _ in range(3):
        cloud.post(rule, STREAM, token, [{"flag": "maybe"}], x_ms_client_request_id="told-once")
    assert len(told(cloud, "told-once")) == 1


def test_records_that_have_nothing_declared_are_told_of(cloud: Cloud, rule: str, token: str) -> None:
    assert cloud.post(rule, STREAM, token, [{"Name": "x"}] * 2, x_ms_client_request_id="nothing").status_code == 204
    ((_, message),) = told(cloud, "nothing")
    assert message.startswith("None of the 2 records has a value for any column that the stream declares")


def test_good_records_are_not_told_of(cloud: Cloud, rule: str, token: str) -> None:
    rows = [{"name": "", "TimeGenerated": "2026-01-01"}, {"at": "2026-01-01T00:00:00"}, {"name": "\ud800"}]
    assert cloud.post(rule, STREAM, token, rows, x_ms_client_request_id="good").status_code == 204
    assert told(cloud, "good") == []


def test_calls_that_a_rule_refuses_are_told_of(cloud: Cloud, rule: str, token: str) -> None:
    cloud.post(rule, "Custom-None_CL", token, [{}], x_ms_client_request_id="refused-stream")
    assert told(cloud, "refused-stream")[0][1].startswith("400 InvalidStream: ")
    cloud.post(rule, STREAM, token, b"[", x_ms_client_request_id="refused-json")
    assert told(cloud, "refused-json")[0][1].startswith("400 InvalidPayload: The body is not valid JSON")
    cloud.post(rule, STREAM, token, b"x" * (3 << 20), x_ms_client_request_id="refused-size")
    assert told(cloud, "refused-size")[0][1].startswith("413 ContentLengthLimitExceeded: ")


def test_an_answer_does_not_wait_for_its_error(
    cloud: Cloud, rule: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loader that waits for room on its disk answers nobody; who sent something wrong is answered all the same."""
    monkeypatch.setattr(error_log, "_PATIENCE_SECONDS", 0.05)
    intake, room = cloud.workspace()._intake, threading.Event()
    monkeypatch.setattr(intake, "_streams", {})  # as at the first error of a process: the loader is to store the stream
    intake._loader.submit(lambda _: room.wait(60))
    try:
        answer = cloud.post(rule, "Custom-Late_CL", token, [{}], x_ms_client_request_id="late")
        assert (answer.status_code, told_at_once(cloud, "late")) == (400, [])
    finally:
        room.set()
    assert told(cloud, "late")[0][1].startswith("400 InvalidStream: ")


def test_a_call_that_cannot_be_loaded_is_told_of(
    cloud: Cloud, rule: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loader._with_identity

    def poisoned(load: loader.Load) -> Any:
        if load.rows is not None and "poison" in load.rows.column("c1").to_pylist():
            raise duckdb.ConversionException("these rows cannot be")
        return real(load)

    monkeypatch.setattr(loader, "_with_identity", poisoned)
    assert cloud.post(rule, STREAM, token, [{"name": "poison"}]).status_code == 204
    cloud.settle()
    cloud.settle()
    found = cloud.query(
        "DCRLogErrors | where OperationName == 'Transformation' | project Message, InputStreamId, _ResourceId"
    )
    assert ("A call's records could not be stored: these rows cannot be", STREAM, RULE) in found


def test_a_table_that_was_deleted_is_told_of(cloud: Cloud, token: str) -> None:
    table = f"{WORKSPACE}/tables/Gone_CL"
    cloud.table("Gone_CL", COLUMNS)
    flow = {"streams": [STREAM], "destinations": ["la"], "outputStream": "Custom-Gone_CL"}
    gone = cloud.rule("gone-dcr", rule_body(dataFlows=[flow]))
    assert cloud.run(cloud.store.delete(ResourceId.parse(table)))
    assert cloud.post(gone, STREAM, token, [{"name": "x"}], x_ms_client_request_id="gone").status_code == 204
    assert told(cloud, "gone") == [("Ingestion", "The table 'Gone_CL' was deleted: records for it are dropped.")]


def test_an_error_that_goes_on_is_muted_until_the_hour_is_over() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    log = ErrorLog(clock, Limits(LIMITS, {"ingestion.same_errors_per_hour": 3, "ingestion.errors_per_hour": 5}))
    where = ResourceId.parse(RULE)
    error, other = LoggedError("a", "Ingestion", "A."), LoggedError("b", "Ingestion", "B.")
    texts = [text for _, text in log.told(where, [error] * 9)]
    assert texts == ["A.", "A.", "A. This error is muted for the rest of the hour."]
    assert [text for _, text in log.told(where, [other] * 9)] == [
        "B.",
        "B. Every error of the rule is muted for the rest of the hour.",
    ]
    clock.advance(3600)
    assert len(log.told(where, [error])) == 1


@pytest.fixture(scope="module")
def clamping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("clamping"), clamp_time=True)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("keep", [False, True])
def test_times_far_from_the_receipt_are_the_time_of_receipt(cloud: Cloud, clamping: Cloud, keep: bool) -> None:
    house = cloud if keep else clamping
    house.table("Events_CL", COLUMNS)
    rule = house.rule("times-dcr", rule_body())
    token = house.token(f"publisher of times {keep}", (PUBLISHER, GROUP))
    now = datetime.now(UTC)
    moments = {
        "past": now - timedelta(hours=49),
        "near past": now - timedelta(hours=47),
        "near future": now + timedelta(hours=23),
        "future": now + timedelta(hours=25),
    }
    rows = [{"name": f"time {name}", "TimeGenerated": moment.isoformat()} for name, moment in moments.items()]
    rows += [{"name": "time year 1", "TimeGenerated": "0001-01-01"}, {"name": "time none"}]
    assert house.post(rule, STREAM, token, rows).status_code == 204
    house.settle()
    found = house.query(
        "Events_CL | where name startswith 'time ' | where TimeGenerated == _TimeReceived"
        " | where ingestion_time() - _TimeReceived < 1m | project name | order by name asc"
    )
    clamped = ["time none"] if keep else ["time future", "time none", "time past", "time year 1"]
    assert [name for (name,) in found] == clamped


def test_endpoints_that_are_closed_or_gone(cloud: Cloud, rule: str, token: str) -> None:
    own = ENDPOINT.replace("events-dce", "closed-dce")
    cloud.put(own, {"location": "local", "properties": {}})
    behind = cloud.rule(
        "closed-dcr", rule_body(dataCollectionEndpointId=own.upper().replace("/SUBSCRIPTIONS", "/subscriptions"))
    )
    assert cloud.post(behind, STREAM, token, [{}]).status_code == 204
    body: dict[str, Any] = {"location": "local", "properties": {"networkAcls": {"publicNetworkAccess": "Disabled"}}}
    cloud.put(own, body)
    answer = cloud.post(behind, STREAM, token, [{}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "OperationFailed")
    assert "IsDcrDceBindingValid: False" in answer.json()["error"]["message"]
    assert cloud.run(cloud.store.delete(ResourceId.parse(own)))
    answer = cloud.post(behind, STREAM, token, [{}])
    assert (answer.status_code, "was deleted" in answer.json()["error"]["message"]) == (403, True)
    direct = cloud.rule("direct-dcr", rule_body(dataCollectionEndpointId=None) | {"kind": "Direct"})
    assert cloud.post(direct, STREAM, token, [{}]).status_code == 204


ROW = st.dictionaries(st.sampled_from("abc"), st.text(max_size=40) | st.integers() | st.none(), max_size=3)


@settings(max_examples=25, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.integers(0, 2**32))
def test_every_chunk_of_microsofts_client_fits(rows: list[Any], seed: int) -> None:
    rng = random.Random(seed)
    filler = [
        {"f": "".join(rng.choices(string.printable, k=rng.randrange(1, 400_000)))} for _ in range(rng.randrange(6))
    ]
    mixed = [*rows, *filler]
    rng.shuffle(mixed)
    for packed, records in _create_gzip_requests(mixed):
        assert len(packed) <= LIMIT
        text = gzip.decompress(packed)
        assert len(text) <= longest(LIMIT)
        check_size(len(text), len(records), LIMIT)


@pytest.mark.parametrize("size", [2, 3, 64, 1024, LIMIT])
def test_a_call_may_be_exactly_as_large_as_the_client_fills_it(size: int) -> None:
    rows: list[Any] = [{"a": "x" * (size - 9)}] if size >= 9 else [{}] if size == 2 else [1]
    each = len(json.dumps(rows[0]))
    count = LIMIT // each
    text = len(json.dumps(rows * count))
    check_size(text, count, LIMIT)
    with pytest.raises(BodyTooLarge):
        check_size(text + (LIMIT - count * each) + 1, count, LIMIT)


HOSTILE = [
    b'{"name":"a","name":"dup-last"}',
    b'{"count":1e999,"score":-1e999,"total":1e400,"more":1e999}',
    b'{"count":NaN,"score":Infinity}',
    b'{"total":' + b"9" * 5_000 + b',"score":' + b"9" * 5_000 + b',"more":' + b"9" * 5_000 + b"}",
    b'{"name":"\\ud800","more":{"\\udfff":"\\ud800\\ud800"}}',
    b'{"more":' + b'{"a":' * 600 + b"1" + b"}" * 600 + b"}",
    b'{"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b"{" + b",".join(b'"%x":0' % i for i in range(100_000)) + b"}",
    b'{"more":{' + b",".join(b'"k%d":%d' % (i, i) for i in range(4_000)) + b"}}",
    b'{"name":"\x00"}',
    b'{"\\u0000":1,"name":"\\u0000"}',
    b'{"at":"9999-12-31T23:59:59.9999999Z","TimeGenerated":"10000-01-01"}',
    b'{"flag":' + b"1" * 400 + b"}",
    b'{"name":-0.0,"score":-0,"total":-0.0}',
]


@pytest.mark.parametrize("record", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_records_have_an_answer_and_leave_the_table_readable(
    cloud: Cloud, rule: str, token: str, record: bytes
) -> None:
    answer = cloud.post(rule, STREAM, token, b"[" + record + b"]")
    assert answer.status_code in (204, 400), answer.text
    cloud.settle()
    cloud.query(
        "Events_CL | extend v = more.a, t = tostring(more), k = bag_keys(more), d = todouble(more) | where t != 'x'"
    )


def test_of_two_equal_keys_the_last_stands(cloud: Cloud, rule: str, token: str) -> None:
    assert cloud.post(rule, STREAM, token, b'[{"name":"dup-first","name":"dup-second"}]').status_code == 204
    cloud.settle()
    assert cloud.query("Events_CL | where name startswith 'dup-' and name != 'dup-last' | project name") == [
        ("dup-second",)
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("2026-01-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*COLUMNS, "x"]), inner, max_size=5),
    max_leaves=20,
)
DECODER = RowDecoder([Column(n, KqlType(t.replace("boolean", "bool"))) for n, t in COLUMNS.items()], 64)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "x"]), JSON, max_size=8), max_size=6))
def test_both_ways_of_decoding_agree_and_count_what_is_lost(records: list[dict[str, Any]]) -> None:
    body = json.dumps(records).replace("NaN", "null").replace("Infinity", "1e999").encode()
    seen, careful = Losses(), Losses()
    fast = DECODER.fast(body, seen)
    slow = DECODER.careful(body, careful)
    assert all(value is None or len(value.encode()) <= 64 for value in slow.column("c1").to_pylist())
    if fast is not None:
        assert fast.to_pylist() == slow.to_pylist()
        assert (seen.mistyped, seen.cut) == (careful.mistyped, careful.cut) == ({}, careful.cut)
    for name, count in careful.mistyped.items():
        nulls = slow.column(f"c{list(COLUMNS).index(name)}").null_count
        assert 0 < count <= nulls
