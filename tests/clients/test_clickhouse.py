"""The second dialect against a real ClickHouse: what it prints of our own KQL fixtures gives the fixtures' answers."""

from __future__ import annotations

import decimal
import json
import re
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.clients.conftest import CLIENTS

from lurewire.kql import KqlError, KqlType, Tables, row_encoder
from lurewire.kql import compile as compile_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.cli

FIXTURES = Path(__file__).parents[1] / "kql" / "fixtures"
WORKER = Path(__file__).parent / "scripts" / "clickhouse_worker.py"
#: The clock of the fixtures: 2026-01-02T00:00:00Z.
NOW = 639_029_088_000_000_000
#: Fixtures that the dialect printed when it was made; it may only grow.
AT_LEAST = 75


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in sorted(FIXTURES.glob("*.kql")):
        answers = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        parts = re.split(r"^// case: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name, query in zip(parts[1::2], parts[2::2], strict=True):
            if "rows" in answers[name]:
                yield f"{path.stem}: {name}", query.strip(), answers[name]


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[str, dict[str, int]], dict[str, Any]]]:
    if not CLIENTS.exists():
        pytest.fail(f"{CLIENTS} is not there: `make clients` makes it")
    with subprocess.Popen([CLIENTS, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin
        assert worker.stdout
        lines_in, lines_out = worker.stdin, worker.stdout

        def asked(sql: str, parameters: dict[str, int]) -> dict[str, Any]:
            lines_in.write(json.dumps({"sql": sql, "parameters": {k: str(v) for k, v in parameters.items()}}) + "\n")
            lines_in.flush()
            answer: dict[str, Any] = json.loads(lines_out.readline())
            return answer

        yield asked
        worker.terminate()


def test_fixtures_have_the_same_answers(ask: Callable[[str, dict[str, int]], dict[str, Any]]) -> None:
    printed, wrong = 0, []
    for name, query, expected in cases():
        try:
            compiled = compile_query(query, Tables([]), dialect="clickhouse")
        except KqlError:
            continue
        types = [column.type for column in compiled.columns]
        answer = ask(compiled.sql, dict.fromkeys(compiled.parameters, NOW))
        printed += 1
        if "by this dialect" in answer.get("error", ""):
            continue  # a text that it does not read ends the query, and says so
        if "error" in answer:
            wrong.append(f"{name}: {answer['error']}")
            continue
        encode = row_encoder(types)
        rows = [encode([_value(kind, cell) for kind, cell in zip(types, row, strict=True)]) for row in answer["rows"]]
        if _canonical(types, rows) != _canonical(types, expected["rows"]):
            wrong.append(f"{name}: {rows} instead of {expected['rows']}")
    assert not wrong
    assert printed >= AT_LEAST


def _value(kind: KqlType, cell: Any) -> Any:
    """A cell of ClickHouse's JSON as the value that the query API's encoder takes."""
    if cell is None:
        return None
    match kind:
        case KqlType.REAL:
            return float(cell)
        case KqlType.BOOL:
            return bool(cell)
        case KqlType.GUID:
            return uuid.UUID(cell)
        case KqlType.DECIMAL:
            return decimal.Decimal(str(cell))
        case _:
            return cell


def _canonical(types: Sequence[KqlType], rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Rows without their order, and the elements of arrays without theirs: sets have none."""
    shown = []
    for row in rows:
        cells = []
        for kind, cell in zip(types, row, strict=True):
            value = json.loads(cell) if kind is KqlType.DYNAMIC and isinstance(cell, str) and cell else cell
            if isinstance(value, list):
                value = sorted(value, key=json.dumps)
            cells.append(json.dumps(value, sort_keys=True))
        shown.append(cells)
    return sorted(shown)
