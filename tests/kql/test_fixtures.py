"""Our own queries with their expected answers: `fixtures/NAME.kql` and, by case name, `fixtures/NAME.json`.

An answer is columns and rows as the query API encodes them, or the errors. LUREWIRE_WRITE_FIXTURES=1 writes the answers
anew; every change of them is to be read by a person.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from lurewire.kql import KqlError, closed_connection, register_functions, row_encoder, run

FIXTURES = Path(__file__).parent / "fixtures"
#: 2026-01-02T00:00:00Z.
NOW = 639_029_088_000_000_000


def cases() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for path in sorted(FIXTURES.glob("*.kql")):
        parts = re.split(r"^// case: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        found.extend((path.stem, name, query) for name, query in zip(parts[1::2], parts[2::2], strict=True))
    return found


def answer(query: str) -> dict[str, Any]:
    try:
        result = run(query.strip(), now=NOW)
    except KqlError as error:
        return {
            "errors": [
                {
                    key: value
                    for key in ("kind", "code", "message", "line", "column", "token", "hint")
                    if (value := getattr(item, key)) is not None
                }
                for item in error.errors
            ]
        }
    encode = row_encoder([column.type for column in result.columns])
    return {
        "columns": [[column.name, str(column.type)] for column in result.columns],
        "rows": [encode(row) for row in result.rows],
    }


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, Any]]:
    if os.environ.get("LUREWIRE_WRITE_FIXTURES"):
        written: dict[str, dict[str, Any]] = {}
        for file, name, query in cases():
            written.setdefault(file, {})[name] = answer(query)
        for file, answers in written.items():
            lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in answers.items()]
            (FIXTURES / f"{file}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FIXTURES.glob("*.json")}


@pytest.mark.parametrize(("file", "name", "query"), cases(), ids=[f"{file}-{name}" for file, name, _ in cases()])
def test_fixture(file: str, name: str, query: str, expected: dict[str, dict[str, Any]]) -> None:
    assert answer(query) == expected[file][name]


def test_every_answer_has_a_query(expected: dict[str, dict[str, Any]]) -> None:
    names = {(file, name) for file, name, _ in cases()}
    assert names == {(file, name) for file, answers in expected.items() for name in answers}


STORAGE = {
    "bool": "BOOLEAN", "int": "INTEGER", "long": "BIGINT", "real": "DOUBLE", "decimal": "DECIMAL(34,17)", "string": "VARCHAR",
    "datetime": "BIGINT", "timespan": "BIGINT", "guid": "UUID", "dynamic": "VARCHAR",
}  # fmt: skip


@pytest.mark.parametrize("file", sorted({file for file, _, _ in cases()}))
def test_sql_types_are_those_of_storage(file: str) -> None:
    connection = closed_connection()
    register_functions(connection)
    for _, name, query in (case for case in cases() if case[0] == file):
        try:
            result = run(query.strip(), now=NOW)
        except KqlError:
            continue
        described = connection.execute(result.compiled.sql, dict.fromkeys(result.compiled.parameters, NOW)).description
        found = [str(column[1]) for column in described]
        assert found == [STORAGE[column.type] for column in result.columns], name
