"""Hidden columns and ingestion_time() where no workspace is: what carries them, and what a transformation may not ask."""

from __future__ import annotations

from typing import Any

import pytest

from lurewire.kql import (
    HiddenColumn,
    KqlError,
    Table,
    Tables,
    closed_connection,
    compile,  # noqa: A004 - the public name
    execute,
    register_functions,
)
from lurewire.kql.types import Column, KqlType

COLUMNS = (Column("s", KqlType.STRING), Column("n", KqlType.LONG))
HIDDEN = (
    HiddenColumn("_When", KqlType.DATETIME, sql="w"),
    HiddenColumn("_Id", KqlType.STRING, expression="strcat(_commit, '/', s)"),
)


def catalog() -> Tables:
    table = Table("T", COLUMNS, "t", ("c0", "c1"), identity=("_commit",), time_column=None, hidden=HIDDEN, received="w")
    return Tables([table, Table("U", COLUMNS, "t", ("c0", "c1"), time_column=None)])


def rows(query: str) -> list[tuple[Any, ...]]:
    connection = closed_connection()
    values = "('a', 1::bigint, 7::bigint, 70::bigint), ('b', 2, 8, 80)"
    connection.execute(f"create temp table t as select * from (values {values}) v(c0, c1, _commit, w)")
    return execute(connection, compile(query, catalog()), {})


@pytest.mark.parametrize(
    "between",
    [
        "where n > 0",
        "extend m = n * 2 | where m > 1",
        "sort by n asc | take 5 | serialize r = row_number()",
        "mv-expand x = dynamic([1])",
        "parse s with x",
        "project-away n",
        "project-rename t = s",
        "as Named",
        "union (U | where n > 99)",
    ],
)
def test_operators_that_carry_them(between: str) -> None:
    assert rows(f"T | {between} | summarize by _Id, tolong(_When)") in (
        [("7/a", 70), ("8/b", 80)],
        [("8/b", 80), ("7/a", 70)],
    )


def test_lets_functions_and_materialized_rows_carry_them() -> None:
    query = (
        "let V = view () { T | where n == 2 }; let M = materialize(V); union M, M | project _Id, at = ingestion_time()"
    )
    assert rows(query) == [("8/b", 80), ("8/b", 80)]


@pytest.mark.parametrize("between", ["project n", "summarize n = sum(n)", "distinct n", "project-keep n"])
def test_operators_that_leave_them_behind(between: str) -> None:
    with pytest.raises(KqlError, match="_Id"):
        compile(f"T | {between} | where _Id != ''", catalog())


def test_the_time_of_receipt_outlives_a_projection_and_is_null_for_rows_of_many() -> None:
    assert rows("T | project n | where n == 1 | project ingestion_time()") == [(70,)]
    assert rows("T | summarize n = sum(n) | extend ingestion_time()") == [(3, None)]
    assert rows("U | take 1 | project ingestion_time()") == [(None,)]
    names = [column.name for column in compile("T | extend ingestion_time()", catalog()).columns]
    assert names == ["s", "n", "$IngestionTime"]


def test_a_column_of_the_table_hides_a_hidden_one() -> None:
    assert rows("T | extend _Id = 'mine' | project _Id, n") == [("mine", 1), ("mine", 2)]


def test_they_cost_nothing_where_nobody_names_them() -> None:
    assert "w" not in compile("T | where n > 1", catalog()).sql.replace("WHERE", "")


@pytest.mark.parametrize("query", ["extend x = ingestion_time()", "where s in (_GetWatchlist('x'))"])
def test_a_transformation_may_not_ask(query: str) -> None:
    source = Table("source", COLUMNS, "t", ("c0", "c1"), time_column=None, received="w")
    with pytest.raises(KqlError, match="not supported in transformations"):
        compile(f"source | {query}", Tables([source]), profile="transform")


def test_the_place_of_an_address() -> None:
    def geo(address: str) -> dict[str, Any] | None:
        return {"country": "Norway", "longitude": 10.7} if address == "192.0.2.1" else None

    connection = closed_connection()
    register_functions(connection, geo=geo)
    source = Table("source", COLUMNS, "t", ("c0", "c1"), time_column=None)
    connection.execute("create temp table t as select '192.0.2.1' as c0, 1::bigint as c1")
    found = execute(
        connection, compile("source | extend g = geo_location(s)", Tables([source]), profile="transform"), {}
    )
    assert found == [("192.0.2.1", 1, '{"Country":"Norway","Longitude":10.7}')]
    query = 'print geo_info_from_ip_address("192.0.2.1").country, geo_info_from_ip_address("192.0.2.2")'
    assert execute(connection, compile(query, Tables([])), {}) == [('"Norway"', None)]
