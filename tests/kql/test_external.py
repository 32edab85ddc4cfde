"""externaldata: what the compiler leaves to the caller, and how each format is read."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import zipfile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from lurewire.kql import (
    External,
    KqlError,
    Tables,
    closed_connection,
    compile,  # noqa: A004 - the public name
    execute,
    read_external,
)
from lurewire.kql.external import FORMATS, mapped
from lurewire.kql.limits import EXTERNAL_BYTES
from lurewire.kql.types import Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERYTHING = Tables([], allowed=lambda _: True)


def rows(query: str, files: Mapping[str, bytes]) -> list[tuple[Any, ...]]:
    return execute(closed_connection(), compile(query, EVERYTHING), {}, fetch=files.__getitem__)


def refusal(query: str, files: Mapping[str, bytes] | None = None) -> str:
    def fetch(location: str) -> bytes:
        if files is None or location not in files:
            raise OSError("there is none")
        return files[location]

    with pytest.raises(KqlError) as caught:
        execute(closed_connection(), compile(query, EVERYTHING), {}, fetch=fetch)
    return caught.value.errors[0].message


def test_the_sql_reads_a_relation_and_nothing_else() -> None:
    compiled = compile('externaldata(a: string, n: long)["https://x/secret-name.csv"] | where n > 1', EVERYTHING)
    assert "secret-name" not in compiled.sql
    assert "read_" not in compiled.sql
    assert compiled.tables == frozenset()
    assert (compiled.row_wise, compiled.deterministic) == (False, False)
    columns = (Column("a", KqlType.STRING), Column("n", KqlType.LONG))
    assert compiled.external == (External("external_0", columns, ("https://x/secret-name.csv",), "csv"),)


def test_without_a_catalogue_that_allows_it_a_place_is_refused_without_its_secret() -> None:
    with pytest.raises(KqlError) as caught:
        compile('externaldata(a: string)[h"https://x/a.csv?sig=SECRET;key"]', Tables([]))
    (error,) = caught.value.errors
    assert (
        error.message == "externaldata from 'https://x/a.csv', which is not among the allowed places, is not supported"
    )
    assert (error.kind, error.column) == ("unsupported", 25)


def test_a_caller_that_fetches_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="external data"):
        execute(closed_connection(), compile('externaldata(a: string)["x"]', EVERYTHING), {})


def test_values_become_the_types_of_the_schema() -> None:
    body = b'"a, ""b""",1,2.5,true,2026-01-02,00:01:00,"{""k"":[1]}",0e28f730-18c1-429a-821e-5282cf641dd4\n,x,,,,,,\nshort\n\n'
    query = """
    externaldata(s: string, n: long, r: real, b: bool, d: datetime, t: timespan, j: dynamic, g: guid)["x.csv"]
    | project s, n, r, b, tostring(d), tostring(t), j.k[0], tostring(g)
    """
    first, second, third = rows(query, {"x.csv": body})
    guid = "0e28f730-18c1-429a-821e-5282cf641dd4"
    assert first == ('a, "b"', 1, 2.5, True, "2026-01-02T00:00:00.0000000Z", "00:01:00", "1", guid)
    assert second == ("", None, None, None, "", "", None, "")
    assert third[:3] == ("short", None, None)


@pytest.mark.parametrize(
    ("location", "body", "properties"),
    [
        ("a.csv", b"h,h\nx,1\n", "ignoreFirstRecord=true"),
        ("a.tsv", b"x\t1\n", "format='tsv'"),
        ("a.TSV?sig=1", b"x\t1\n", ""),
        ("a", b"x|1", "format=psv"),
        ("a.txt", b"x;1", "format='scsv'"),
        ("a.csv.gz", gzip.compress(b"x,1\n"), ""),
        ("a.json", b'{"a": "x", "n": 1}\n\n', ""),
        ("a.json", b'\xef\xbb\xbf{"a": "x",\n "n": 1}', "format='MultiJSON'"),
        ("a.multijson", b'[{"a": "x", "n": 1, "other": {}}]', ""),
    ],
)
def test_formats_by_name_and_by_the_location(location: str, body: bytes, properties: str) -> None:
    query = f'externaldata(a: string, n: long)["{location}"] with ({properties})'
    assert rows(query, {location: body}) == [("x", 1)]


def test_lines_of_a_text_are_one_column() -> None:
    files = {"l.txt": b"one, two\r\n\nthree\n"}
    assert rows('externaldata(line: string)["l.txt"] with (ignoreFirstRecord=false)', files) == [
        ("one, two",),
        ("",),
        ("three",),
    ]
    assert rows('externaldata(all: string)["l.txt"] with (format="raw") | project strlen(all)', files) == [(17,)]


def test_parquet() -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 600, dt.UTC)
    table = pa.table(
        {"when": [moment, None], "span": [dt.timedelta(minutes=1), None], "items": [[1, 2], None], "s": ["x", None]}
    )
    body = io.BytesIO()
    parquet.write_table(table, body)
    query = """
    externaldata(s: string, when: datetime, span: timespan, items: dynamic, none: long)["t.parquet"]
    | project s, tostring(when), span / 1s, items[1], none
    """
    assert rows(query, {"t.parquet": body.getvalue()}) == [
        ("x", "2026-01-02T03:04:05.0006000Z", 60.0, "2", None),
        ("", "", None, None, None),
    ]


def test_several_locations_and_an_archive_are_one_table() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("one.csv", "h\na\n")
        made.writestr("two.csv", "h\nb\n")
    files = {"x.csv.zip": archive.getvalue(), "y.csv": b"h\nc\n"}
    query = 'let y = "y.csv"; externaldata(s: string)["x.csv.zip", y] with (ignoreFirstRecord=true) | where s != "b"'
    assert rows(query, files) == [("a",), ("c",)]


def test_mappings() -> None:
    mapping = """[{"Column":"n","Properties":{"Path":"$.data['a b'][1]"}},{"column":"s","path":"$.s"},
        {"Column":"k","Properties":{"ConstValue":"same"}}]""".replace('"', '\\"').replace("\n", "")
    query = f'externaldata(s: string, n: long, k: string, none: string)["x"] with (format="json", ingestionMapping="{mapping}")'
    assert rows(query, {"x": b'{"s": "v", "data": {"a b": [1, 2]}, "none": "n"}'}) == [("v", 2, "same", "")]
    columns = (Column("a", KqlType.STRING), Column("b", KqlType.STRING))
    by_place = mapped('[{"Column":"b","Properties":{"Ordinal":"0"}}]', columns)
    found = read_external(External("r", columns, ("x",), "csv", mapping=by_place), lambda _: b"1,2\n")
    assert found.to_pylist() == [{"c0": "", "c1": "1"}]


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ('externaldata(a: string)["x"] with (format="avro")', "the format 'avro'"),
        ('externaldata(a: string)["x"] with (namePattern="n")', "the property 'namePattern'"),
        ('externaldata(a: string)["x"] with (ignoreFirstRecord="yes")', "a literal of type bool"),
        ('externaldata(a: string)[strcat("x", tostring(now()))]', "anything but a literal location"),
        ('externaldata()["x"]', "columns and locations"),
        ('externaldata(a: string)["x"] with (ingestionMapping="{}")', "the ingestionMapping"),
        ('externaldata(a: string)["x"] with (ingestionMapping="[{")', "the ingestionMapping"),
        ('externaldata(a: string, a: long)["x"]', "declared twice"),
    ],
)
def test_what_is_not_understood_is_refused(query: str, part: str) -> None:
    assert part in refusal(query)


@pytest.mark.parametrize(
    ("location", "body"),
    [
        ("a.json", b"{"),
        ("a.json", b"[" * 100_000),
        ("a.parquet", b"PAR1 no"),
        ("a.csv.gz", b"no"),
        ("a.csv.zip", b"no"),
    ],
)
def test_what_cannot_be_read_names_its_place(location: str, body: bytes) -> None:
    message = refusal(f'externaldata(a: string)["{location}?sig=SECRET"]', {f"{location}?sig=SECRET": body})
    assert message.startswith(f"externaldata: '{location}' cannot be read:")
    assert "SECRET" not in message


def test_a_compressed_file_grows_no_further_than_the_limit() -> None:
    bomb = gzip.compress(bytes(EXTERNAL_BYTES.value + 10))
    assert "more than" in refusal('externaldata(a: string)["b.csv.gz"]', {"b.csv.gz": bomb})


@given(body=st.binary(max_size=200), kind=st.sampled_from(FORMATS))
def test_any_bytes_give_rows_or_an_error_of_ours(body: bytes, kind: str) -> None:
    columns = (Column("a", KqlType.STRING), Column("b", KqlType.DYNAMIC))
    try:
        found = read_external(External("r", columns, ("x",), kind), lambda _: body)
    except KqlError:
        return
    assert found.num_columns == 2
