"""Secrets leave a body and come back to the same place."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lurewire.arm.hidden import put_back, take_out

NAMES = st.sampled_from(["a", "b", "type", "value", "x/y", "~", "0"])
VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(["securestring", "SecureString", "plain"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(NAMES, children, max_size=4),
    max_leaves=20,
)
SEGMENTS = st.sampled_from(["a", "b", "value", "x~1y", "~0", "0", "*", "*[type=securestring,secureobject]"])
PATTERNS = st.lists(st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)), max_size=3)


@given(body=st.dictionaries(NAMES, VALUES, max_size=4), patterns=PATTERNS)
def test_what_is_taken_out_can_be_put_back(body: dict[str, Any], patterns: list[str]) -> None:
    before = copy.deepcopy(body)
    rest, taken = take_out(body, patterns)
    assert body == before
    assert put_back(rest, taken) == before


def test_a_pattern_finds_by_type() -> None:
    parameters = {
        "key": {"type": "SecureString", "defaultValue": "hush"},
        "name": {"type": "String", "defaultValue": "shown"},
        "odd": "no object",
    }
    body = {"properties": {"definition": {"parameters": parameters}}}
    pattern = "/properties/definition/parameters/*[type=securestring,secureobject]/defaultValue"
    rest, taken = take_out(body, [pattern])
    assert taken == [(["properties", "definition", "parameters", "key", "defaultValue"], "hush")]
    assert rest["properties"]["definition"]["parameters"]["key"] == {"type": "SecureString"}
    assert rest["properties"]["definition"]["parameters"]["name"] == parameters["name"]
