"""Wildcards over many tables: what they stand for, that the answer is exact, and that compiling stays quick."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from lurewire.kql import (
    KqlError,
    Table,
    Tables,
    closed_connection,
    compile,  # noqa: A004 - the public name
    execute,
)
from lurewire.kql.types import Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Iterable

LONG, STRING = KqlType.LONG, KqlType.STRING


def many(count: int, own: int) -> list[Table]:
    """Tables of a key and a text, and of columns that no other table has, strings and numbers in turn."""
    made = []
    for number in range(count):
        further = [Column(f"c{number}_{i}", STRING if i % 2 else LONG) for i in range(own)]
        columns = (Column("Key", LONG), Column("Text", STRING), *further)
        made.append(Table(f"T{number}", columns, f"t{number}", tuple(f"c{i}" for i in range(len(columns)))))
    return made


def test_columns_that_other_tables_have_are_null_and_strings_empty() -> None:
    tables = many(30, 6)
    connection = closed_connection()
    kinds = {LONG: "bigint", STRING: "varchar"}
    for number, table in enumerate(tables):
        parts = ", ".join(f"c{i} {kinds[column.type]}" for i, column in enumerate(table.columns))
        values = ", ".join(str(number) if column.type is LONG else f"'x{number}'" for column in table.columns)
        connection.execute(f"create temp table {table.relation}({parts})")
        connection.execute(f"insert into {table.relation} values ({values})")
    compiled = compile("union withsource=Source * | sort by Key asc", Tables(tables))
    assert "BY NAME" in compiled.sql
    names = [column.name for column in compiled.columns]
    assert len(names) == 3 + 30 * 6
    found = execute(connection, compiled, {})
    for number, row in enumerate(found):
        cells = dict(zip(names, row, strict=True))
        assert (cells["Source"], cells["Key"], cells["Text"]) == (f"T{number}", number, f"x{number}")
        for column in compiled.columns[3:]:
            empty = "" if column.type is STRING else None
            own = f"x{number}" if column.type is STRING else number
            assert cells[column.name] == (own if column.name.startswith(f"c{number}_") else empty)
    assert len(found) == 30
    searched = execute(connection, compile('search "x7" | project $table, Key', Tables(tables)), {})
    assert searched == [("T7", 7)]


@pytest.mark.parametrize(
    "query", ["union * | where Key > 3 | summarize count() by Text", 'search "x" | take 5', 'find "x"']
)
def test_two_thousand_tables_compile(query: str) -> None:
    """A bound far above what it takes on an idle machine: what grows with tables times columns would pass it."""
    catalog = Tables(many(1_944, 5))
    started = perf_counter()
    compile(query, catalog)
    assert perf_counter() - started < 15


class Some(Tables):
    """Of all tables, those whose numbers are below 2 are in use."""

    def wildcard_names(self) -> Iterable[str]:
        return ("T0", "T1")


def test_wildcards_stand_for_the_tables_in_use() -> None:
    catalog = Some(many(40, 0))
    assert compile("union T*", catalog).tables == {"T0", "T1"}
    assert compile('search in (T*) "x"', catalog).tables == {"T0", "T1"}
    assert compile("union T1, T7", catalog).tables == {"T1", "T7"}
    assert compile("union T1*", catalog).tables == {"T1"}


def test_where_only_unused_tables_fit_some_of_them_give_the_columns() -> None:
    catalog = Some(many(40, 1))
    found = compile("union T2*", catalog)
    assert found.tables == {"T2", *(f"T{number}" for number in range(20, 30))}
    assert [column.name for column in found.columns][:3] == ["Key", "Text", "c2_0"]
    with pytest.raises(KqlError, match="X"):
        compile("union X*", catalog)


def test_legs_that_share_names_do_not_share_rows() -> None:
    """The SQL calls the tables of every leg alike: joins, subqueries and series in a leg still read their own."""
    tables = many(3, 1)
    connection = closed_connection()
    for number, table in enumerate(tables):
        connection.execute(f"create temp table {table.relation}(c0 bigint, c1 varchar, c2 bigint)")
        connection.execute(f"insert into {table.relation} values ({number}, 'x{number}', 5), (7, 'y{number}', 6)")
    query = """
    let both = materialize(T0 | union T1);
    union
        (T0 | join kind=inner T1 on Key | project Text = strcat(Text, Text1)),
        (T1 | join kind=inner (union T2, (T0 | where Text has "y0")) on Key | project Text = strcat(Text, Text1)),
        (T2 | where Key == toscalar(both | summarize max(Key)) | project Text),
        (both | make-series n = count() on Key from 0 to 8 step 1 | project Text = tostring(n)),
        (T0 | make-series n = count() on Key from 7 to 8 step 1 | project Text = tostring(n)),
        (union T0, T1 | where tostring(Key) has "7" | union (T2 | where tostring(Key) has "2") | project Text)
    | sort by Text asc
    """
    found = [row[0] for row in execute(connection, compile(query, Tables(tables)), {})]
    assert found == sorted(["y0y1", "y1y2", "y1y0", "y2", "[1,1,0,0,0,0,0,2]", "[1]", "y0", "y1", "x2"])


def test_what_tables_have_alike_is_lowered_once() -> None:
    """search over tables of the same shape costs each of them a list of conditions, not their parts."""
    wide = [Column(f"k{i}", (LONG, KqlType.REAL, KqlType.DATETIME, STRING)[i % 4]) for i in range(40)]
    tables = [Table(f"W{n}", tuple(wide), f"w{n}", tuple(f"c{i}" for i in range(40))) for n in range(200)]
    compiled = compile('search "needle" | take 5', Tables(tables))
    legs = compiled.sql.split(" UNION ALL ")
    assert len(legs) > 100
    assert len({leg.split(" WHERE ")[1].split("needle")[0] for leg in legs}) == 1
