from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kql import (
    Column,
    KqlError,
    KqlType,
    Table,
    Tables,
    closed_connection,
    execute,
    run,
)
from lurewire.kql import (
    compile as compile_kql,
)

HOSTILE = [
    'quote"quote', "it's", "back\\slash", "semi;--colon", "a.b", "c0", "C0", "t0", "v1", "*", "%", "new\nline", "nul\x00", "esc\x1b[31m",
    "x" * 10_000, "Ünï", "\u017f", "\u212a", "k", "", "$now", "{{x}}", "/* c */", "😀", "select", "_commit",
]  # fmt: skip


def quoted(name: str) -> str:
    return "['" + name.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "']"


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:12]))
def test_hostile_column_and_table_names(name: str) -> None:
    tables = {name: [{name: 1, "other": name}]}
    query = (
        f"{quoted(name)} | where {quoted(name)} == 1 | extend y = {quoted(name)} + 1 | project {quoted(name)}, y, other"
    )
    result = run(query, tables)
    assert [column.name for column in result.columns] == [name, "y", "other"]
    assert result.rows == [(1, 2, name)]
    summary = run(
        f"{quoted(name)} | summarize {quoted(name)} = max({quoted(name)}) by other | sort by {quoted(name)}", tables
    )
    assert [column.name for column in summary.columns] == ["other", name]
    assert summary.rows == [(name, 1)]


@pytest.mark.parametrize("key", HOSTILE, ids=lambda key: repr(key[:12]))
def test_hostile_keys_and_values(key: str) -> None:
    value = {key: {"in": key}, "noise": 1}
    result = run(f"T | where k == {quoted(key)[1:-1]} | project v = tostring(d[{quoted(key)[1:-1]}]['in']), w = tostring(d[k]['in'])",
                 {"T": [{"d": value, "k": key}]})  # fmt: skip
    assert result.rows == [(key, key)]


@settings(max_examples=100, deadline=None)
@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
def test_literals_arrive_as_they_are(value: str, other: str) -> None:
    literal = (
        json.dumps(value) if value.isascii() else "'" + "".join(f"\\U{ord(character):08x}" for character in value) + "'"
    )
    result = run(f"T | project same = s == {literal}, text = {literal}, other = s", {"T": [{"s": other}]})
    assert result.rows == [(value == other, value, other)]


def test_names_that_differ_in_case_stay_apart() -> None:
    rows = [{"A": 1, "a": 2, "Aa": 3, "aA": 4}]
    assert run("T | project aA, Aa, a, A", {"T": rows}).rows == [(4, 3, 2, 1)]
    assert run("T | where a == 2 | extend A = A + a, b = Aa | project-away a", {"T": rows}).rows == [(3, 3, 4, 3)]
    with pytest.raises(KqlError, match="aa"):
        run("T | project aa", {"T": rows})
    with pytest.raises(KqlError, match="SEM0100"):
        run("t", {"T": rows})


def test_column_named_like_generated_ones() -> None:
    table = Table("T", (Column("c1", KqlType.LONG), Column("c0", KqlType.LONG)), "t", ("c0", "c1"))
    connection = closed_connection()
    connection.execute("CREATE TABLE t (c0 BIGINT, c1 BIGINT)")
    connection.execute("INSERT INTO t VALUES (1, 10), (2, 5)")
    compiled = compile_kql("T | project c0, c1 | sort by c0 asc", Tables([table]))
    assert execute(connection, compiled, {}) == [(5, 2), (10, 1)]


def test_relation_and_physical_names_are_quoted() -> None:
    table = Table("T", (Column("x", KqlType.LONG),), 'weird "table', ('a"b c',))
    connection = closed_connection()
    connection.execute('CREATE TABLE "weird ""table" ("a""b c" BIGINT)')
    connection.execute('INSERT INTO "weird ""table" VALUES (7)')
    assert execute(connection, compile_kql("T", Tables([table])), {}) == [(7,)]
