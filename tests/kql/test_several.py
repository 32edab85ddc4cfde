"""Queries of several results: several statements, fork and facet."""

from __future__ import annotations

import pytest

from lurewire.kql import KqlError, Tables, compile, run  # noqa: A004 - the public name


def _shown(text: str) -> list[tuple[str | None, list[str], list[tuple[object, ...]]]]:
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
