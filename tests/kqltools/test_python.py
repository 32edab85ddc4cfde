"""`import lurewire.kql`: the same answer over rows, Arrow, pandas, Polars and DuckDB, and results as each of them."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kql import KqlError, datetime_text, run, ticks_from_text

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
ROWS: list[dict[str, Any]] = [
    {"b": True, "n": 2**53 + 1, "r": 1.5, "s": "é", "t": MOMENT, "p": dt.timedelta(days=-1, microseconds=7), "d": {"k": [1, None]}},
    {"b": None, "n": None, "r": None, "s": None, "t": None, "p": None, "d": None},
]  # fmt: skip
TYPES = {"b": "bool", "n": "long", "r": "real", "s": "string", "t": "datetime", "p": "timespan", "d": "dynamic"}


def arrow() -> Any:
    kinds = [pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.timestamp("us", "UTC"), pa.duration("us")]
    columns = {name: pa.array([row[name] for row in ROWS], kind) for name, kind in zip(TYPES, kinds, strict=False)}
    return pa.table({**columns, "d": pa.array([row["d"] for row in ROWS])})


SOURCES: dict[str, Callable[[], Any]] = {
    "rows": lambda: ROWS,
    "arrow": arrow,
    "batch": lambda: arrow().to_batches()[0],
    "polars": lambda: pl.from_arrow(arrow()),
    "lazy": lambda: pl.from_arrow(arrow()).lazy(),
    "pandas": lambda: arrow().to_pandas(types_mapper=pd.ArrowDtype),
    "objects": lambda: pd.DataFrame(ROWS, dtype=object),
    "duckdb": lambda: duckdb.from_arrow(arrow()),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_table(kind: str) -> None:
    names = list(TYPES)
    result = run("T | extend k = tolong(d.k[0])", {"T": SOURCES[kind]()})
    assert {c.name: str(c.type) for c in result.columns} == {name: TYPES[name] for name in names} | {"k": "long"}
    first, second = result.to_dicts()
    assert first == {name: ROWS[0][name] for name in names} | {"k": 1}
    assert second == dict.fromkeys((*names, "k")) | {"s": ""}


def test_results_as_other_libraries_have_them() -> None:
    guid = uuid.UUID("6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff")
    row = {**ROWS[0], "g": guid, "c": decimal.Decimal("1.5")}
    result = run("T", {"T": [row, {}]})
    table = result.to_arrow()
    assert [str(kind) for kind in table.schema.types] == [
        "bool", "int64", "double", "string", "timestamp[us, tz=UTC]", "duration[us]", "string", "string", "decimal128(34, 17)",
    ]  # fmt: skip
    assert table.to_pylist()[0]["t"] == MOMENT
    assert result.to_arrow("ns").schema.field("t").type == pa.timestamp("ns", "UTC")
    frame = result.to_pandas()
    assert (frame["n"].dtype, frame["n"][0], frame["n"].isna()[1]) == (pd.Int64Dtype(), 2**53 + 1, True)
    polars = result.to_polars()
    assert polars["t"].to_list() == [MOMENT, None]
    # Every form is a table again.
    for source in (table, frame, polars, duckdb.from_arrow(table.drop_columns(["p"]))):
        assert (
            run("T | project b, n, r, s, t", {"T": source}).rows
            == run("T | project b, n, r, s, t", {"T": [row, {}]}).rows
        )


def test_ticks_survive_nanoseconds() -> None:
    table = pa.table({"t": pa.array([1, 99, 100, -1, -100, -101], pa.timestamp("ns"))})
    texts = [datetime_text(value) for (value,) in run("T", {"T": table}).rows]
    assert [text[18:] for text in texts] == [
        "0.0000000Z", "0.0000000Z", "0.0000001Z", "9.9999999Z", "9.9999999Z", "9.9999998Z",
    ]  # fmt: skip


def test_declared_schemas() -> None:
    schemas = {"T": {"t": "datetime", "g": "guid", "d": "dynamic", "absent": "string"}, "Empty": {"a": "long"}}
    rows = [{"t": "2026-01-01T00:00:00.1234567Z", "d": '{"k": 1}', "more": 5, "g": "x"}]
    result = run("T | extend k = d.k", {"T": rows}, schemas=schemas)
    assert [c.name for c in result.columns] == ["t", "g", "d", "absent", "more", "k"]
    assert result.rows == [(ticks_from_text("2026-01-01T00:00:00.1234567Z"), None, '{"k":1}', "", 5, "1")]
    assert run("Empty | count", schemas=schemas).rows == [(0,)]
    assert run("T | count", {"T": [{}, {}]}).rows == [(2,)]
    with pytest.raises(ValueError, match="table 'T', column 'a': 'text' is no type of KQL"):
        run("T", schemas={"T": {"a": "text"}})


def test_tables_that_cannot_be_one() -> None:
    refused: tuple[tuple[Any, str], ...] = (
        (5, "not of int"),
        ([1], "not of list"),
        (pa.table([[1], [2]], names=["a", "a"]), "two columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns"),
        (pd.DataFrame({5: [1]}), "is text"),
        (pa.table({"a": [b"x"]}), "binary has no KQL type"),
        (pa.table({"a": pa.array([2**63], pa.uint64())}), "column 'a'"),
        ([{"a": 2**63}], "column 'a'"),
        ([{"a": object()}], "no place in a dynamic value"),
        (pa.table({"t": pa.array([2**62], pa.timestamp("ms"))}), "column 't'"),
    )
    for source, message in refused:
        with pytest.raises(ValueError, match=message):
            run("T", {"T": source})


def test_errors_and_parameters() -> None:
    with pytest.raises(KqlError, match="SEM0100"):
        run("T | where b == 1", {"T": [{"a": 1}]})
    with pytest.raises(ValueError, match="now"):
        run("print now()")
    query = "declare query_parameters(n: long = 5); print n"
    assert run(query).rows == [(5,)]
    assert run(query, values={"n": "7"}).rows == [(7,)]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.none() | st.datetimes(timezones=st.just(dt.UTC)), max_size=5))
def test_datetimes_come_back(moments: list[dt.datetime | None]) -> None:
    table = pa.table({"t": pa.array(moments, pa.timestamp("us", "UTC"))})
    assert run("T", {"T": table}).to_arrow()["t"].to_pylist() == moments
