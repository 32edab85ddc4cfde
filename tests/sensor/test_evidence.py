from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.sensor.evidence import TRUNCATION_MARKER, as_text, canonical, details_json


@given(st.binary(max_size=200))
def test_what_is_not_cut_can_be_had_back_exactly(raw: bytes) -> None:
    text, neighbours = as_text(raw, 200)
    exact = neighbours.get("_base64")
    assert (base64.b64decode(str(exact)) if exact is not None else text.encode()) == raw
    assert json.loads(json.dumps(text)) == text
    assert "\0" not in text


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), max_size=100))
def test_utf_8_stays_as_it_is(text: str) -> None:
    assert as_text(text.encode(), 400) == (text, {})


@given(st.binary(min_size=1, max_size=300), st.integers(1, 299))
def test_a_cut_is_marked_and_keeps_a_prefix(raw: bytes, limit: int) -> None:
    text, neighbours = as_text(raw, limit)
    if len(raw) <= limit:
        return
    assert text.endswith(TRUNCATION_MARKER)
    assert neighbours["_length"] == len(raw)
    exact = neighbours.get("_base64")
    kept = base64.b64decode(str(exact)) if exact is not None else text.removesuffix(TRUNCATION_MARKER).encode()
    assert raw.startswith(kept)
    assert limit - 3 <= len(kept) <= limit


def test_a_cut_does_not_split_a_character() -> None:
    assert as_text("aé".encode() * 10, 2) == ("a" + TRUNCATION_MARKER, {"_length": 30})


def test_bytes_that_are_not_utf_8_are_escaped_and_kept_beside() -> None:
    assert as_text(b"a\xff\x00\xe9", 10) == (
        "a\\xff\\x00\\xe9",
        {"_base64": base64.b64encode(b"a\xff\x00\xe9").decode(), "_length": 4},
    )


def test_a_literal_backslash_escape_is_told_from_an_escaped_byte() -> None:
    assert as_text(b"\\xff", 10) == ("\\xff", {})
    assert "_base64" in as_text(b"\xff", 10)[1]


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=3000), max_size=12))
def test_details_never_grow_over_their_limit(details: dict[str, bytes]) -> None:
    assert len(canonical(details_json(details, value_bytes=2048, total_bytes=6000))) <= 6000


def test_nested_values_are_cut_too() -> None:
    shown = details_json(
        {"headers": [{"name": b"X", "value": b"\x1b" * 9000}] * 5}, value_bytes=8192, total_bytes=60000
    )
    assert len(canonical(shown)) <= 60000
    headers = shown["headers"]
    assert isinstance(headers, list)
    first = headers[0]
    assert isinstance(first, dict)
    assert first["value_length"] == 9000


def test_a_decoys_own_words_are_bounded_too() -> None:
    with pytest.raises(ValueError, match="additional_data is over 100 bytes"):
        details_json({"text": "x" * 200}, value_bytes=64, total_bytes=100)


def test_the_same_value_gives_the_same_bytes() -> None:
    assert canonical({"b": 1, "a": {"d": "\x1b", "c": None}}) == b'{"a":{"c":null,"d":"\\u001b"},"b":1}'
