"""Queries of several results: several statements, fork and facet."""

from __future__ import annotations

from typing import Any

import pytest

from lurewire.kql import (
    Column,
    KqlError,
    KqlType,
    Table,
    Tables,
    closed_connection,
    compile,  # noqa: A004 - the public name
    run,
    run_over,
)


def _shown(text: str) -> list[tuple[str | None, list[str], list[tuple[Any, ...]]]]:
    first = run(text)
    return [(one.compiled.name, [column.name for column in one.columns], one.rows) for one in (first, *first.further)]


def test_every_tabular_statement_has_a_result_under_its_name() -> None:
    text = (
        "let m = materialize(range x from 1 to 3 step 1); m | where x > 2 | as ['Above 2']; let n = 1; m | where x == n"
    )
    assert _shown(text) == [("Above 2", ["x"], [(3,)]), (None, ["x"], [(1,)])]


def test_what_as_names_can_be_used_later() -> None:
    assert _shown("range x from 1 to 3 step 1 | as X | count; X | where x > 2")[1] == (None, ["x"], [(3,)])


def test_fork_gives_a_result_for_each_subquery() -> None:
    text = "range x from 1 to 3 step 1 | fork Big=(where x > 2) (count | as N) (take 0)"
    assert _shown(text) == [("Big", ["x"], [(3,)]), ("N", ["Count"], [(3,)]), (None, ["x"], [])]


def test_facet_gives_what_with_says_and_the_counts_of_each_column() -> None:
    text = "datatable(a:string, b:long)['x', 1, 'x', 2] | facet by a, b with (where b > 1 | project b)"
    with_, a, b = _shown(text)
    assert with_ == (None, ["b"], [(2,)])
    assert a == (None, ["a", "count_a"], [("x", 2)])
    assert b[1] == ["b", "count_b"]
    assert sorted(b[2]) == [(1, 1), (2, 1)]


def test_what_fork_reads_is_drawn_once() -> None:
    text = "range x from 1 to 100000 step 1 | sample 5 | fork (project x) (sort by x asc) (where x > 0 | count)"
    (_, _, drawn), (_, _, ordered), (_, _, count) = _shown(text)
    assert (sorted(drawn), count) == (ordered, [(5,)])


def test_what_a_let_draws_for_fork_is_drawn_once() -> None:
    text = "let r = rand(); range x from 1 to 1 step 1 | extend r = r | fork (project r) (project z = r)"
    (_, _, one), (_, _, other) = _shown(text)
    assert one == other


def test_what_facet_reads_is_drawn_once() -> None:
    text = "range x from 1 to 100000 step 1 | extend y = rand() | take 3 | facet by x, y with (project x, y)"
    (_, _, drawn), (_, _, xs), (_, _, ys) = _shown(text)
    assert sorted(x for x, _ in drawn) == sorted(x for x, _ in xs)
    assert sorted(y for _, y in drawn) == sorted(y for y, _ in ys)


def test_what_is_drawn_once_keeps_its_order_and_its_names() -> None:
    text = """
        range x from 1 to 5 step 1 | extend r = rand() | sort by x desc | as X
        | fork (extend n = row_number() | project x, n) (union X | count); X | sample 2 | fork (count) (project z = 1)
    """
    assert [rows for _, _, rows in _shown(text)] == [
        [(5, 1), (4, 2), (3, 3), (2, 4), (1, 5)],
        [(10,)],
        [(2,)],
        [(1,), (1,)],
    ]


def test_what_is_drawn_once_leaves_nothing_in_the_connection() -> None:
    connection = closed_connection()
    run_over("range x from 1 to 9 step 1 | sample 2 | fork (count) (take 1)", connection, Tables(()))
    assert connection.execute("select * from duckdb_tables()").fetchall() == []


def test_a_dialect_without_temporary_tables_refuses_fork_over_what_is_drawn_by_name() -> None:
    catalog = Tables([Table("T", (Column("a", KqlType.LONG),), "t", ("c0",))])
    with pytest.raises(KqlError, match=r"\[1,18\]: the dialect 'clickhouse' does not print fork over"):
        compile("T     | take 1 | fork (count) (take 1)", catalog, dialect="clickhouse")


def test_each_result_has_its_own_chart_and_says_for_itself_whether_it_is_row_wise() -> None:
    first = run("T | where a > 0 | render table; T | summarize sum(a) | render piechart", {"T": [{"a": 1}]})
    (second,) = first.further
    assert first.render is not None
    assert second.render is not None
    assert [first.render.visualization, second.render.visualization] == ["table", "piechart"]
    assert [first.compiled.row_wise, second.compiled.row_wise] == [True, False]


def test_problems_of_all_statements_come_at_once() -> None:
    with pytest.raises(KqlError) as caught:
        run("print nothing1; print nothing2; restrict access to (database('x').*)")
    assert [error.token for error in caught.value.errors] == ["nothing1", "nothing2", "database"]


def test_a_transformation_has_one_result() -> None:
    with pytest.raises(KqlError, match="more than one result"):
        compile("print a = 1; print a = 2", Tables(()), profile="transform")
