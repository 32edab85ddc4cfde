"""`lurewire kql schema-from-sample`: types, names, times, forms and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kql import Column, KqlType, Table, Tables
from lurewire.kql import compile as compile_kql
from lurewire.schemas.infer import RESERVED, Sample, SampleError, infer, read_sample
from lurewire.schemas.parse_json import parse_json_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


def kinds(*records: dict[str, Any]) -> dict[str, str]:
    return {column["name"]: column["type"] for column in infer(records).stream_columns}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1], "long"),
        ([2**31], "long"),
        ([-(2**63)], "long"),
        ([2**63], "real"),
        ([1.5], "real"),
        ([1.0], "real"),
        ([1, 1.5], "real"),
        ([True], "boolean"),
        (["x"], "string"),
        ([""], "string"),
        (["2026-01-23T19:23:22.149338689Z"], "datetime"),
        (["2026-01-23 19:23:22"], "datetime"),
        (["2026-01-23T19:23:22+02:00"], "datetime"),
        (["2026-01-23"], "datetime"),
        (["2026-13-23"], "string"),
        (["19:23"], "string"),
        (["198.51.100.7"], "string"),
        (["8b1e1d3c-1111-4111-8111-11111111aaaa"], "string"),
        ([{}], "dynamic"),
        ([[1]], "dynamic"),
        ([None], "string"),
        ([None, 1], "long"),
        ([1, True], "string"),
        ([1, "x"], "string"),
        (["2026-01-23", "x"], "string"),
        ([1, [1]], "dynamic"),
    ],
)
def test_types_of_values(values: list[Any], kind: str) -> None:
    assert kinds(*({"a": value} for value in values)) == {"a": kind}


@pytest.mark.parametrize(
    ("record", "transform"),
    [
        ({"TimeGenerated": "2026-01-01T00:00:00Z", "a": 1}, "source"),
        ({"a": 1}, "source | extend TimeGenerated = now()"),
        ({"when": "2026-01-01", "a": 1}, "source | extend TimeGenerated = when"),
        ({"x": "2026-01-01", "y": "2026-01-01"}, "source | extend TimeGenerated = now()"),
        ({"x": "2026-01-01", "EventTime": "2026-01-01"}, "source | extend TimeGenerated = EventTime"),
        (
            {"@timestamp": "2026-01-01"},
            "source | project-rename timestamp = ['@timestamp'] | extend TimeGenerated = timestamp",
        ),
        ({"TimeGenerated": 1768000000}, "source | extend TimeGenerated = datetime(1970-01-01) + TimeGenerated * 1s"),
        (
            {"TimeGenerated": 1768000000123},
            "source | extend TimeGenerated = datetime(1970-01-01) + TimeGenerated * 1ms",
        ),
        ({"TimeGenerated": "soon"}, "source | extend TimeGenerated = now()"),
    ],
)
def test_time_generated(record: dict[str, Any], transform: str) -> None:
    found = infer([record])
    assert found.transform == transform
    assert found.table_columns[0] == {"name": "TimeGenerated", "type": "dateTime"}


def test_the_time_may_be_named() -> None:
    found = infer([{"a": "2026-01-01", "timestamp": "2026-01-01", "s": 1768000000}], time="s")
    assert found.transform == "source | extend TimeGenerated = datetime(1970-01-01) + s * 1s"
    with pytest.raises(SampleError, match="no record"):
        infer([{"a": 1}], time="b")
    with pytest.raises(SampleError, match="no time"):
        infer([{"a": "x"}], time="a")


def test_names_that_a_table_cannot_have() -> None:
    record = {"a b": 1, "a_b": 1, "a-b": 1, "1st": 1, "_x": 1, "é": 1, "Type": 1, "x" * 50: 1, "Title_": 1, "Title": 1}
    found = infer([record])
    assert found.renamed == {
        "a b": "a_b_2",
        "a-b": "a_b_3",
        "1st": "st",
        "_x": "x",
        "é": "column",
        "Type": "Type_",
        "x" * 50: "x" * 45,
        "Title": "Title__2",
    }
    assert len(found.notes) == len(found.renamed) + 1


def test_names_that_a_stream_cannot_have_are_left_out() -> None:
    found = infer([{'a"': 1, "a\\": 1, "\n": 1, "": 1, "x" * 129: 1, "good": 1}])
    assert [column.name for column in found.stream] == ["good"]
    assert sum("is left out" in note for note in found.notes) == 5
    with pytest.raises(SampleError, match="no property"):
        infer([{'"': 1}])


def test_a_table_has_500_columns() -> None:
    found = infer([{f"c{i}": i for i in range(600)}])
    assert len(found.table_columns) == 500
    assert "600 properties" in " ".join(found.notes)


def test_forms_of_a_sample() -> None:
    one = b'{"a":1}'
    for text in (one, b"[" + one + b"]", one + b"\n\n" + one + b"\r\n", b"\xef\xbb\xbf " + one):
        assert read_sample(text).records[0] == {"a": 1}
    for text, words in (
        (b"", "empty"),
        (b"x", "no JSON"),
        (b"[1]", "record 1"),
        (b"[]", "no property"),
        (b"{}\n{}", "no property"),
        (b'{"a":1}\n{"a":', "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "more than 100 deep"),
    ):
        with pytest.raises(SampleError, match=words):
            infer(read_sample(text).records)


EVENT = {
    "timestamp": "2026-01-01T00:00:00Z",
    "@meta": {"a": None},
    "port": 22,
    "list": [{"a": 1}, {"a": 1.5, "b": "x"}],
}


def test_the_command(lurewire: Callable[..., Result]) -> None:
    Path("sample.json").write_text(json.dumps(EVENT), encoding="utf-8")
    done = lurewire("kql", "schema-from-sample", "sample.json", "--table", "My_CL")
    assert done.exit_code == 0
    assert "Stream Custom-My_CL\n  timestamp  datetime\n" in done.stdout
    assert "Table My_CL\n  TimeGenerated  dateTime\n" in done.stdout
    assert "'@meta' is no name of a table's column" in done.stderr
    parts = json.loads(lurewire("kql", "schema-from-sample", "-", "--format", "json", stdin=json.dumps(EVENT)).stdout)
    assert parts["transformKql"].startswith("source | project-rename meta = ['@meta']")
    schema = json.loads(lurewire("kql", "schema-from-sample", "sample.json", "--format", "parse-json").stdout)
    assert schema == {
        "type": "object",
        "properties": {
            "timestamp": {"type": "string"},
            "@meta": {"type": "object", "properties": {"a": {}}},
            "port": {"type": "integer"},
            "list": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"a": {"type": "number"}, "b": {"type": "string"}},
                    "required": ["a"],
                },
            },
        },
    }
    template = json.loads(lurewire("kql", "schema-from-sample", "sample.json", "--format", "arm").stdout)
    assert [one["type"].rpartition("/")[2] for one in template["resources"]] == ["tables", "dataCollectionRules"]


def test_what_the_command_refuses(lurewire: Callable[..., Result]) -> None:
    for arguments, stdin in (
        (("none.json",), ""),
        (("-",), "{"),
        (("-", "--table", "x"), "{}"),
        (("-", "--table", "x'_CL"), '{"a":1}'),
        (("-", "--time", "b"), '{"a":1}'),
    ):
        done = lurewire("kql", "schema-from-sample", *arguments, stdin=stdin)
        assert (done.exit_code, done.stdout) == (2, ""), done.output


NAMES = st.text(max_size=6) | st.sampled_from(sorted(RESERVED)) | st.just("TimeGenerated")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6), min_size=1, max_size=4))
def test_every_transform_compiles_to_the_table(records: list[dict[str, Any]]) -> None:
    try:
        found = infer(records)
    except SampleError:
        return
    source = Table("source", found.stream, "b", tuple(f"c{i}" for i in range(len(found.stream))), time_column=None)
    compiled = compile_kql(found.transform, Tables([source]), profile="transform")
    assert set(found.table) <= set(compiled.columns)
    assert Column("TimeGenerated", KqlType.DATETIME) in compiled.columns


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_a_sample_fits_its_own_schema(values: list[Any]) -> None:
    for value in values:
        jsonschema.validate(value, parse_json_schema(Sample(value, lines=False)))
    schema = parse_json_schema(Sample(values, lines=True))
    for value in values:
        jsonschema.validate(value, schema)
