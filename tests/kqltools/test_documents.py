"""Places of texts in YAML and JSON: every character is found where it stands, however it is written."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kqltools import MalformedDocument, Text, read_documents

WORDS = st.text(st.sampled_from(list("ab|='\"\\{}:#,-& \n\té😀/*")), max_size=40)


def read(document: str, suffix: str) -> Any:
    (found,) = read_documents(document, suffix)
    return found


def check_places(text: Text, document: str) -> None:
    for index, character in enumerate(text):
        at = text.offset(index)
        if character.isspace():
            continue
        assert document[at] in (character, "\\"), (index, document)
        if document[at] == "\\" and character != "\\":
            assert text.quote == '"'


@settings(deadline=None)
@given(WORDS, st.booleans())
def test_json(text: str, escaped: bool) -> None:
    document = json.dumps({"a": [1, None, {"b": text}], "c": True}, ensure_ascii=escaped, indent=1)
    found = read("/* x */ " + document + " // end", ".json")
    assert found == {"a": [1, None, {"b": text}], "c": True}
    check_places(found["a"][2]["b"], "/* x */ " + document)


@settings(deadline=None)
@given(WORDS, st.sampled_from(["|", ">", "'", '"', None]), st.integers(20, 80))
def test_yaml(text: str, style: Any, width: int) -> None:
    document = yaml.safe_dump({"a": {"query": text}}, default_style=style, width=width, allow_unicode=True)
    found = read(document, ".yaml")["a"]["query"]
    assert found == text
    check_places(found, document)


@given(st.text(max_size=60), st.sampled_from([".json", ".yaml"]))
def test_any_text_is_read_or_refused(text: str, suffix: str) -> None:
    with contextlib.suppress(MalformedDocument):
        read_documents(text, suffix)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,",
        '{"a" 1}',
        '{"a": 01}',
        "nul",
        '{"a": "x}',
        "{a: 1}",
        "[1 2]",
        '"\\x"',
        "1 2",
        "[1,,2]",
        "9" * 5000,
    ],
)
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(MalformedDocument, match="no JSON"):
        read_documents(text, ".json")


def test_trailing_commas_and_marks_are_passed_over() -> None:
    assert read('\ufeff{"a": [1, 2,],}', ".json") == {"a": [1, 2]}
    assert read("\ufeffa: 2026-01-01\nb: 1.5\nc: yes\nd: ~", ".yaml") == {
        "a": "2026-01-01",
        "b": 1.5,
        "c": True,
        "d": None,
    }
    assert read("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2", ".yaml")["c"] == {"b": 1, "d": 2}
