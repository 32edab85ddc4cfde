"""The printer of DuckDB's dialect writes what sqlglot's generator writes, and the speed of forms does not change answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlglot.dialects.duckdb import DuckDB

from lurewire.kql import Column, KqlError, KqlType, Table, Tables, compile, run  # noqa: A004 - the public name
from lurewire.kql.dialects import duckdb_print, duckdb_text, registry

if TYPE_CHECKING:
    from sqlglot import exp

FIXTURES = Path(__file__).parent / "fixtures"
TABLE = Table("T", (Column("TimeGenerated", KqlType.DATETIME), Column("a", KqlType.STRING), Column("d", KqlType.DYNAMIC)),
              "t", ("c0", "c1", "c2"))  # fmt: skip


def _queries() -> list[str]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(FIXTURES.glob("*.kql"))]
    return [query for text in texts for query in re.split(r"^// case: .+$", text, flags=re.MULTILINE)]


def test_both_printers_write_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the queries of all fixtures."""
    written: list[tuple[str, str]] = []

    def both(node: exp.Expression) -> str:
        ours = duckdb_print.text_of(node)
        written.append((ours, DuckDB.Generator(dialect="duckdb").generate(node, copy=False)))
        return ours

    row = registry.DIALECTS["duckdb"]
    changed = registry.Dialect(row.name, row.relations, row.functions, both)
    monkeypatch.setitem(registry.DIALECTS, "duckdb", changed)
    for query in _queries():
        try:
            compile(query, Tables([TABLE]))
        except KqlError:
            continue
    assert len(written) > 100
    assert [pair for pair in written if pair[0] != pair[1]] == []


@pytest.mark.parametrize("kind", ["has", "hasprefix", "hassuffix"])
@pytest.mark.parametrize("needle", ["abc", "ab", "-abc", "abc-", "é", "straße", "a.b", "ŸÜ"])
@pytest.mark.parametrize("case", ["", "_cs"])
def test_a_needle_in_a_column_is_found_as_in_a_value(kind: str, needle: str, case: str) -> None:
    """A column is looked through in two steps, a value that is computed in one."""
    texts = ["abc", "xabc", "abcx", "x abc y", "x-abc-", "_ABC_", "éabc", "abcé", "日abc", "abc日", "ab", "a.b", "a.bc", "É", "é",
             "STRASSE", "straße x", "ÿü", "ŸÜ1", "ABC\nx", "", "a-abc", "aabc abc"]  # fmt: skip
    text = f'T | extend x = a {kind}{case} "{needle}", y = strcat("", a) {kind}{case} "{needle}" | where x != y'
    assert run(text, {"T": [{"a": value} for value in texts]}).rows == []
    kept = run(f'T | where a {kind}{case} "{needle}"', {"T": [{"a": value} for value in texts]}).rows
    wanted = run(
        f'T | extend y = strcat("", a) {kind}{case} "{needle}" | where y | project a', {"T": [{"a": v} for v in texts]}
    )
    assert kept == wanted.rows


def test_alternatives_are_joined_into_one_search() -> None:
    """`or` of terms and `and` of terms that must not be there."""
    rows = {"T": [{"a": value} for value in ("one", "two", "three", "one-two", "ones", "")]}
    assert [row[0] for row in run('T | where a has "one" or a has "two" or a has "x"', rows).rows] == [
        "one",
        "two",
        "one-two",
    ]
    assert [row[0] for row in run('T | where a !has "one" and a !has "two"', rows).rows] == ["three", "ones", ""]
    assert [row[0] for row in run('T | where a has "one" and a has "two"', rows).rows] == ["one-two"]
    assert [row[0] for row in run('T | where a !has "one" or a !has "two"', rows).rows] == [
        "one",
        "two",
        "three",
        "ones",
        "",
    ]


def test_each_boundary_is_written_once() -> None:
    """Many boundaries in one pattern make RE2 slow."""
    pattern = duckdb_text.term_pattern("has", *(f"word{number}" for number in range(50)))
    assert pattern.count("(?:^|") == pattern.count("(?:$|") == 1


def test_the_row_of_the_greatest_value() -> None:
    """A group whose values are all null still has a row; nulls lose against values."""
    text = """datatable(k: string, v: long, w: string)["a", 1, "x", "a", 3, "y", "a", long(null), "z", "b", long(null), "n"]
| summarize arg_max(v, *) by k | sort by k asc"""
    assert run(text).rows == [("a", 3, "y"), ("b", None, "n")]
    assert run(text.replace("arg_max", "arg_min")).rows == [("a", 1, "x"), ("b", None, "n")]
    assert run(text.replace("arg_max(v, *)", "arg_max(v, w), n = count()")).rows == [
        ("a", 3, "y", 3),
        ("b", None, "n", 1),
    ]


@pytest.mark.parametrize("needle", ["abc", "kit", "disk", "İstanbul", "i", "sis", "straße", "a.c"])
def test_text_contained_in_a_column_is_found_as_in_a_value(needle: str) -> None:
    """Letters that lower to ASCII ones or fold with them: the Kelvin sign, the dotted I, the long s."""
    texts = [
        "ABC",
        "xabcx",
        "\u212aIT",
        "K\u0130T",
        "di\u017fk",
        "D\u0130SK",
        "d\u0130\u017f\u212a",
        "İSTANBUL",
        "STRASSE",
        "xSTRAßEx",
        "a.C",
        "",
    ]
    rows = {"T": [{"a": value} for value in texts]}
    wanted = run(f'T | extend y = strcat("", a) contains "{needle}" | where y | project a', rows).rows
    assert run(f'T | where a contains "{needle}"', rows).rows == wanted
    assert run(f'T | where a !contains "{needle}"', rows).rows == [(text,) for text in texts if (text,) not in wanted]
