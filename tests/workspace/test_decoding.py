from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kql import Column, KqlType, ticks_from_text
from lurewire.workspace import BadBody
from lurewire.workspace.coercion import coerce, unescape
from lurewire.workspace.decoding import RowDecoder

K = KqlType
COLUMNS = [
    Column("text", K.STRING),
    Column("small", K.INT),
    Column("big", K.LONG),
    Column("real", K.REAL),
    Column("flag", K.BOOL),
    Column("at", K.DATETIME),
    Column("id", K.GUID),
    Column("@any ' ] column; drop table t1", K.DYNAMIC),
]
NAMES = [column.name for column in COLUMNS]
ANY = NAMES[-1]


def rows(body: bytes) -> list[dict[str, Any]]:
    table = RowDecoder(COLUMNS).decode(body)
    return [dict(zip(NAMES, row, strict=True)) for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]


def one(**values: Any) -> dict[str, Any]:
    (row,) = rows(json.dumps([values]).encode())
    return row


def test_clean_rows_take_the_fast_way() -> None:
    row = {
        "text": "é\n",
        "small": -1,
        "big": 2**63 - 1,
        "real": 3,
        "flag": False,
        "at": "2026-01-23T19:23:22.149338689Z",
        "id": "0E28F730-18C1-429A-821E-5282CF641DD4",
        ANY: {"a": [1, {"b": "é"}]},
        "unknown": [1],
    }
    decoder = RowDecoder(COLUMNS)
    body = json.dumps([row, {}]).encode()
    fast = decoder.fast(body)
    assert fast is not None
    assert fast.equals(decoder.careful(body))
    first, empty = rows(body)
    assert first == {
        "text": "é\n",
        "small": -1,
        "big": 2**63 - 1,
        "real": 3.0,
        "flag": False,
        "at": 639047930021493386,
        "id": uuid.UUID("0e28f730-18c1-429a-821e-5282cf641dd4"),
        ANY: '{"a":[1,{"b":"é"}]}',
    }
    assert empty == dict.fromkeys(NAMES) | {"text": ""}


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("0001-01-01T00:00:00Z", 0),
        ("1601-01-01T00:00:00.1234567Z", 504911232001234567),
        ("1969-12-31T23:59:59.9999999Z", 621355967999999999),
        ("1969-12-31T23:59:59.99999995Z", 621355967999999999),
        ("2026-01-23T19:23:22.1493386", 639047930021493386),
        ("2026-01-23T21:23:22.1493386+02:00", 639047930021493386),
        ("2026-01-23 19:23:22", 639047930020000000),
        ("9999-12-31T23:59:59.9999999Z", 3155378975999999999),
        ("", None),
        ("yesterday", None),
        ("2026-02-30", None),
        ("10000-01-01", None),
    ],
)
def test_datetimes_keep_seven_digits(text: str, ticks: int | None) -> None:
    assert one(at=text)["at"] == ticks
    assert [row["at"] for row in rows(json.dumps([{"at": text}, {"at": "2026-01-01T00:00:00Z"}]).encode())] == [
        ticks,
        639028224000000000,
    ]


@pytest.mark.parametrize(
    ("column", "value", "stored"),
    [
        ("text", 1.50, "1.5"),
        ("text", True, "true"),
        ("text", {"a": [1, 2]}, '{"a":[1,2]}'),
        ("small", "12", 12),
        ("small", 12.0, 12),
        ("small", 12.5, None),
        ("small", 2**31, None),
        ("small", True, None),
        ("small", "1e3", None),
        ("big", -(2**63), -(2**63)),
        ("big", 2**63, None),
        ("big", "9223372036854775807", 2**63 - 1),
        ("real", "1e3", 1000.0),
        ("real", "Infinity", float("inf")),
        ("real", 10**400, None),
        ("real", "ten", None),
        ("flag", "FALSE", False),
        ("flag", 1, True),
        ("flag", 2, None),
        ("flag", "yes", None),
        ("at", 5, None),
        ("id", "not a guid", None),
        ("id", "{0e28f730-18c1-429a-821e-5282cf641dd4}", uuid.UUID("0e28f730-18c1-429a-821e-5282cf641dd4")),
    ],
)
def test_mistyped_values(column: str, value: Any, stored: Any) -> None:
    assert one(**{column: value})[column] == stored


def test_dynamic_is_compact_text_and_never_loses_a_number() -> None:
    body = b'[{"%s" : { "n" : 123456789012345678901234567890 , "x":1E400, "s": " a , b " } }]' % ANY.encode()
    assert rows(body)[0][ANY] == '{"n":123456789012345678901234567890,"x":1E400,"s":" a , b "}'
    assert one(**{ANY: None})[ANY] is None
    assert one(**{ANY: "null"})[ANY] == '"null"'


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert rows(rb'[{"text":"\ud83d\ude00 \ud83d \ude00 \\ud83d"}]')[0]["text"] == "😀 \ufffd \ufffd \\ud83d"
    assert rows(b'[{"text":"' + rb"\ud800" * 5000 + b'"}]')[0]["text"] == "\ufffd" * 5000


def test_duplicate_keys_and_byte_order_mark() -> None:
    assert rows(b'\xef\xbb\xbf[{"small":1,"small":2}]')[0]["small"] == 2


def test_thousands_of_keys() -> None:
    body = json.dumps([{f"k{i}": i for i in range(100_000)} | {"small": 1}]).encode()
    assert rows(body)[0]["small"] == 1


def test_depth_is_refused() -> None:
    for text in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        with pytest.raises(BadBody):
            rows(b'[{"x":' + text + b"}]")


TEXT = st.text(max_size=12)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
CLEAN = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXT,
        "small": st.integers(-(2**31), 2**31 - 1),
        "big": st.integers(-(2**63), 2**63 - 1),
        "real": st.floats(allow_nan=False, allow_infinity=False),
        "flag": st.booleans(),
        "at": st.datetimes().map(lambda d: d.isoformat() + "Z"),
        "id": st.uuids().map(str),
        ANY: ANYTHING,
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CLEAN | st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, ANYTHING)), max_size=4))
def test_both_ways_agree(records: list[dict[str, Any]]) -> None:
    decoder = RowDecoder(COLUMNS)
    body = json.dumps(records).encode()
    careful = decoder.careful(body)
    fast = decoder.fast(body)
    assert careful.num_rows == len(records)
    if fast is not None:
        assert fast.to_pydict() == careful.to_pydict()
    for record, text in zip(records, careful.column(7).to_pylist(), strict=True):
        assert (None if text is None else json.loads(text)) == record.get(ANY)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda t: f'[{{"text":"{t}"}}]'.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_rows_or_a_bad_body(body: bytes) -> None:
    try:
        rows(body)
    except BadBody:
        return
    json.loads(body.removeprefix(b"\xef\xbb\xbf"), parse_constant=float)


@given(st.text())
def test_unescape_keeps_the_meaning(text: str) -> None:
    escaped = json.dumps(text).encode()
    assert json.loads(unescape(escaped)) == "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


@given(st.datetimes().map(lambda d: d.isoformat()))
def test_coerced_datetime_is_the_parsed_one(text: str) -> None:
    assert coerce(json.dumps(text).encode(), K.DATETIME) == ticks_from_text(text)


@pytest.mark.parametrize(
    "text",
    ['"at":"2026-11-22 10:00:00 +01:00"', '"id":"0E28F730-18C1-429A-821E-5282CF641DD4"'],
)
def test_values_that_are_read_one_by_one_are_read_off_the_loop(text: str) -> None:
    """Hundreds of milliseconds for a body of 1 MB: a few go the fast way, many do not."""
    decoder = RowDecoder(COLUMNS)
    few, many = (f"[{','.join([f'{{{text}}}'] * count)}]".encode() for count in (900, 1_100))
    fast = decoder.fast(few)
    assert fast is not None
    assert fast.equals(decoder.careful(few))
    assert decoder.fast(many) is None
    assert decoder.decode(many).slice(0, 900).equals(fast)


def test_zoned_datetimes_are_never_read_one_by_one() -> None:
    body = json.dumps([{"at": "2026-01-23T19:23:22.149338689Z"}, {}] * 2_500).encode()
    decoder = RowDecoder(COLUMNS)
    fast = decoder.fast(body)
    assert fast is not None
    assert fast.equals(decoder.careful(body))


def test_one_escaped_character_among_many_backslashes_is_no_work_for_the_loop() -> None:
    few, many = (b'[{"text":"\\u00e9' + b"\\n" * count + b'"}]' for count in (1_000, 30_000))
    decoder = RowDecoder(COLUMNS)
    assert decoder.fast(few) is not None
    assert decoder.fast(many) is None
    assert decoder.fast(many.replace(b"\\u00e9", b"")) is not None, "without one they are not looked at"
    assert decoder.decode(many).column(0).to_pylist() == ["é" + "\n" * 30_000]
