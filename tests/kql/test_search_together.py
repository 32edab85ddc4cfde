"""A term is looked for in the texts of a row at once, and find writes keys beforehand: the answers are those of each alone."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest

from lurewire.kql import (
    KqlError,
    Table,
    Tables,
    closed_connection,
    compile,  # noqa: A004 - the public name
    execute,
)
from lurewire.kql.collection import collector_paused
from lurewire.kql.types import Column, KqlType

CELLS = [
    ("alpha beta", "gamma", 7, '{"k": "delta"}'),
    ("alpha", "beta", 70, None),
    ("line one\nline two", "", None, '["a","b"]'),
    ("pre-alphabet", "betalpha", -7, '"x"'),
    ("Émile", "straße", 0, "true"),
    ("x\ny", "tail", 1, None),
    ("", "", None, None),
]
TABLE = Table(
    "T",
    (
        Column("A", KqlType.STRING),
        Column("B", KqlType.STRING),
        Column("N", KqlType.LONG),
        Column("D", KqlType.DYNAMIC),
    ),
    "t",
    ("c0", "c1", "c2", "c3"),
    time_column=None,
)
TERMS = (
    "alpha", "beta", "alpha beta", "beta*gamma", "alpha*", "*alpha", "*alph*", "pha*be", "line*two", "one\nline", "x\ny",
    "7", "70", "delta", "straße", "ÉMILE", "-", "pre-", "a", "true", "*", "", "beta\ngamma", "*a b*", "gamma\n7",
)  # fmt: skip


def rows(query: str, table: Table = TABLE) -> list[Any]:
    connection = closed_connection()
    kinds = {KqlType.LONG: "bigint"}
    parts = ", ".join(
        f'"{name}" {kinds.get(c.type, "varchar")}' for name, c in zip(table.physical, table.columns, strict=True)
    )
    connection.execute(f"create temp table {table.relation}({parts})")
    connection.executemany(f"insert into {table.relation} values (?, ?, ?, ?)", CELLS)
    return execute(connection, compile(query, Tables([table])), {})


@pytest.mark.parametrize("kind", ["default", "case_sensitive"])
@pytest.mark.parametrize("term", TERMS)
def test_a_term_anywhere_is_a_term_in_one_of_the_columns(term: str, kind: str) -> None:
    written = json.dumps(term, ensure_ascii=False)
    anywhere = rows(f"search kind={kind} in (T) {written} | project A, B, N | sort by A asc, B asc, N asc")
    each = " or ".join(f"{name}: {written}" for name in ("A", "B", "N", "D"))
    assert anywhere == rows(f"search kind={kind} in (T) {each} | project A, B, N | sort by A asc, B asc, N asc")
    assert anywhere or term in ("beta*gamma", "pha*be", "beta\ngamma", "gamma\n7", "*a b*", "ÉMILE", "line*two")


def test_find_packs_as_pack_all_does() -> None:
    odd = Table(
        "T",
        (
            Column('a"b\\c', KqlType.STRING),
            Column("Größe é", KqlType.STRING),
            Column("N", KqlType.LONG),
            Column("D", KqlType.DYNAMIC),
        ),
        "t",
        ("c0", "c1", "c2", "c3"),
        time_column=None,
    )
    packed = rows("find in (T) where N > -100 or isnull(N) project pack(*) | project pack_", odd)
    assert packed == rows("T | project pack_ = pack_all()", odd)
    assert [list(json.loads(bag)) for (bag,) in packed] == [['a"b\\c', "Größe é", "N", "D"]] * len(CELLS)


def test_the_collector_runs_again_after_a_compilation() -> None:
    assert gc.isenabled()
    compile("T | take 1", Tables([TABLE]))
    assert gc.isenabled()
    with pytest.raises(KqlError):
        compile("T | where Nothing", Tables([TABLE]))
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    gc.disable()
    try:
        compile("T | take 1", Tables([TABLE]))
        assert not gc.isenabled()
    finally:
        gc.enable()
