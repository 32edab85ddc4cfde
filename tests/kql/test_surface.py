"""The other public names: run(), encodings, engine errors, the safety net and the support table."""

from __future__ import annotations

import datetime as dt
import decimal
import subprocess
import sys
import uuid
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from sqlglot import exp

from lurewire.kql import (
    KqlError,
    KqlType,
    closed_connection,
    json_value,
    row_encoder,
    run,
    support,
    translate_engine_error,
)
from lurewire.kql.dialects import sql
from lurewire.kql.functions import AGGREGATES, FUNCTIONS
from lurewire.kql.operators import ROWS
from lurewire.kql.safety import UnsafeSqlError, check

ROOT = Path(__file__).parents[2]


def test_run_over_rows_of_every_type() -> None:
    row = {
        "b": True, "i": 5, "r": 1.5, "s": "x", "t": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "p": dt.timedelta(days=1),
        "g": uuid.UUID("6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff"), "c": decimal.Decimal("1.5"), "d": {"a": [1]},
    }  # fmt: skip
    result = run("T | extend x = d.a[0]", {"T": [row, dict.fromkeys(row)]})
    assert [str(column.type) for column in result.columns] == [
        "bool", "long", "real", "string", "datetime", "timespan", "guid", "decimal", "dynamic", "dynamic",
    ]  # fmt: skip
    encode = row_encoder([column.type for column in result.columns])
    assert [encode(found) for found in result.rows] == [
        [
            True,
            5,
            1.5,
            "x",
            "2026-01-01T00:00:00Z",
            "1.00:00:00",
            "6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff",
            "1.5",
            '{"a":[1]}',
            "1",
        ],
        [None, None, None, "", None, None, None, None, None, None],
    ]


def test_run_over_arrow() -> None:
    table = pa.table(
        {"n": pa.array([1, 2], pa.int32()), "t": pa.array([0, None], pa.timestamp("us", tz="UTC")), "l": [["a"], []]}
    )
    result = run("T | where n == 1 | project n, t, l[0]", {"T": table})
    assert [str(column.type) for column in result.columns] == ["int", "datetime", "dynamic"]
    assert result.rows == [(1, 621_355_968_000_000_000, '"a"')]


def test_the_engine_is_closed() -> None:
    connection = closed_connection()
    for statement in (
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/x'",
        "SET threads = 1",
        "INSTALL httpfs",
        "ATTACH '/tmp/x.db'",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(statement)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (KqlType.REAL, float("nan"), "NaN"),
        (KqlType.REAL, float("inf"), "Infinity"),
        (KqlType.REAL, float("-inf"), "-Infinity"),
        (KqlType.DECIMAL, decimal.Decimal("1.10000000000000000"), "1.1"),
        (KqlType.DECIMAL, decimal.Decimal(100), "100"),
        (KqlType.DATETIME, 639_029_088_000_000_001, "2026-01-02T00:00:00.0000001Z"),
        (KqlType.DATETIME, 639_029_088_100_000_000, "2026-01-02T00:00:10Z"),
        (KqlType.DATETIME, -1, None),
        (KqlType.TIMESPAN, -36_000_000_001, "-01:00:00.0000001"),
        (KqlType.STRING, None, ""),
        (KqlType.DYNAMIC, None, None),
        (KqlType.DYNAMIC, '{"a":1}', '{"a":1}'),
        (KqlType.LONG, 2**62, 2**62),
    ],
)
def test_json_values(kind: KqlType, value: object, expected: object) -> None:
    assert json_value(kind, value) == expected


def test_engine_errors_are_kql_errors() -> None:
    for query in ("print tolong(x) + 9223372036854775807 | take 1", "T | summarize sum(n)"):
        with pytest.raises(KqlError):
            run(query, {"T": [{"n": 2**63 - 1}, {"n": 1}]})
    error = translate_engine_error(duckdb.InterruptException("INTERRUPT Error: Interrupted!"))
    assert error.errors[0].message == "the query was cancelled"


@pytest.mark.parametrize(
    "node",
    [
        exp.Select(expressions=[sql.call("read_csv", sql.text("/etc/passwd"))]),
        exp.Select(
            expressions=[exp.Star()], from_=exp.From(this=exp.Table(this=exp.Identifier(this="secret", quoted=True)))
        ),
        exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Table(this=sql.call("read_text", sql.text("x"))))),
        exp.Command(this="SET", expression="x"),
        exp.Select(expressions=[exp.Subquery(this=exp.Except(this=exp.Select(), expression=exp.Select()))]),
    ],
    ids=["function", "relation", "table function", "command", "node"],
)
def test_what_no_lowering_makes_is_stopped(node: exp.Expression) -> None:
    with pytest.raises(UnsafeSqlError):
        check(node, ["t"])


def test_the_room_stands_alone() -> None:
    script = (
        "import sys, lurewire.kql as k; k.run('print 1'); "
        "print([m for m in sys.modules if m.startswith('lurewire.') and not m.startswith('lurewire.kql')], 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "[]"


def test_rows_of_the_registries_are_whole() -> None:
    for row in FUNCTIONS.values():
        assert row.lower or row.bind, row.name
        assert row.documentation.startswith("https://")
    for aggregate in AGGREGATES.values():
        assert "duckdb" in aggregate.lower
    names = {(name, row.source) for row in ROWS for name in (row.name, *row.aliases)}
    assert len(names) == sum(1 + len(row.aliases) for row in ROWS)


def test_the_support_table_is_not_stale() -> None:
    assert (ROOT / "docs" / "kql" / "support.md").read_text(encoding="utf-8") == support.table()
