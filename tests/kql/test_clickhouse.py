"""The second dialect prints or refuses by name; `tests/clients/test_clickhouse.py` asks a real ClickHouse for the answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlglot import parse_one

from lurewire.kql import Column, Diagnostic, KqlError, KqlType, Table, Tables
from lurewire.kql import compile as compile_query

FIXTURES = Path(__file__).parent / "fixtures"
SOLUTIONS = Path(__file__).parents[2] / "src" / "lurewire" / "solutions"
EVENTS = Table(
    "Events",
    (
        Column("TimeGenerated", KqlType.DATETIME),
        Column("source_ip", KqlType.STRING),
        Column("hits", KqlType.LONG),
        Column("@meta", KqlType.DYNAMIC),
    ),
    "Events",
    ("c0", "c1", "c2", "c3"),
    ("_commit", "_ordinal"),
)


def printed(query: str) -> str:
    return compile_query(query, Tables([EVENTS]), dialect="clickhouse").sql


def queries() -> list[str]:
    found: list[str] = []
    for path in sorted(FIXTURES.glob("*.kql")):
        parts = re.split(r"^// case: .+$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        found.extend(part.strip() for part in parts[1:])
    return found


def test_whatever_duckdb_compiles_is_printed_or_refused_by_name() -> None:
    for query in queries():
        try:
            compile_query(query, Tables([]))
        except KqlError:
            continue
        refusals: tuple[Diagnostic, ...] = ()
        sql = ""
        try:
            sql = compile_query(query, Tables([]), dialect="clickhouse").sql
        except KqlError as error:
            refusals = error.errors
        if sql:
            parse_one(sql, dialect="clickhouse")
        else:
            assert [item.kind for item in refusals] == ["unsupported"], query
            assert refusals[0].token, query


@pytest.mark.parametrize(
    ("query", "construct", "column"),
    [
        ("Events | join Events on source_ip", "join", 10),
        ("Events | where hits > 1 | mv-expand ['@meta']", "mv-expand", 27),
        ("Events | extend x = array_length(['@meta'])", "array_length()", 21),
        ("Events | summarize make_list(hits)", "make_list()", 20),
        ("Events | where source_ip in (Events | project source_ip)", "in over a table", 26),
    ],
)
def test_a_refusal_names_the_construct_and_its_place(query: str, construct: str, column: int) -> None:
    with pytest.raises(KqlError) as refused:
        printed(query)
    [error] = refused.value.errors
    assert (error.token, error.line, error.column) == (construct, 1, column)
    assert error.message == f"the dialect 'clickhouse' does not print {construct}"


def test_window_and_identity_are_typed_parameters() -> None:
    compiled = compile_query(
        "Events | where hits > 1", Tables([EVENTS]), window=True, keep_identity=True, dialect="clickhouse"
    )
    assert compiled.identity == ("_commit", "_ordinal")
    assert compiled.parameters == {"t_from", "t_to", "commit_after", "commit_through"}
    for name in compiled.parameters:
        assert f"{{{name}: Int64}}" in compiled.sql


def test_texts_are_escaped() -> None:
    assert printed(r"print '\\', 'it\'s', 'a\nb'") == r"SELECT '\\' AS c0, 'it''s' AS c1, 'a\nb' AS c2"


def test_the_rules_of_the_seeds_print() -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOLUTIONS.rglob("rule*.json")))
    rules = [json.loads(f'"{text}"') for text in re.findall(r'"query": "((?:[^"\\]|\\.)*)"', texts)]
    assert len(rules) >= 3
    tables = {name: _table(name) for name in ("TrapEye_Threats_CL", "TrapEye_Interactions_CL", "IPInsights_CL")}
    for rule in rules:
        assert compile_query(rule, Tables(tables.values()), dialect="clickhouse").sql.startswith("SELECT")


def _table(name: str) -> Table:
    """A table of the solutions, from the template that makes it."""
    for path in SOLUTIONS.rglob("tables.json"):
        for resource in json.loads(path.read_text(encoding="utf-8"))["resources"]:
            schema = resource.get("properties", {}).get("schema", {})
            if schema.get("name") == name:
                columns = tuple(
                    Column(one["name"], KqlType(_TYPES.get(one["type"].lower(), one["type"].lower())))
                    for one in schema["columns"]
                )
                return Table(name, columns, name, tuple(f"c{number}" for number in range(len(columns))))
    raise LookupError(name)


_TYPES = {"boolean": "bool", "double": "real"}
