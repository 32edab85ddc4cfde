"""Queries out of the grammar and mutated real ones: compiled or refused, within a time, and run without a crash.

LUREWIRE_FUZZ sets how many; LUREWIRE_CORPUS names a folder of public rules, whose queries are mutated too.
"""

from __future__ import annotations

import dataclasses
import os
import random
import re
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.kql.evaluator.judge import NOW, Engine
from tests.kql.evaluator.model import Relation
from tests.kql.evaluator.queries import Grammar, mutated
from tests.kql.evaluator.rule_files import queries

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
from lurewire.schemas import known_names, known_schema, with_standard_columns

INPUTS = int(os.environ.get("LUREWIRE_FUZZ", "2000"))
#: Seconds of processor time that a compilation may take, and seconds after which a run is stopped.
COMPILE_LIMIT, RUN_LIMIT = 5.0, 10.0
#: One in so many of the queries that compile is run.
SAMPLE = 4

_KINDS = {
    "TimeGenerated": KqlType.DATETIME, "x": KqlType.LONG, "X": KqlType.STRING, "d": KqlType.DYNAMIC, "r": KqlType.REAL,
    "b": KqlType.BOOL,
}  # fmt: skip
_ROWS = [
    (NOW, 5, "a b", {"a": 2, "b": [1, None]}, 1.5, True),
    (None, None, "", None, None, None),
    (NOW - 1, -1, "10.0.0.1", [1, "x", {"k": 0.5}], float("nan"), False),
    (0, 2**62, "é\u0301 ']", "text", float("inf"), True),
    (3_155_378_975_999_999_999, -(2**63), '{"a":1}', {}, -0.0, None),
]
_TABLE = Relation(list(_KINDS), list(_KINDS.values()), _ROWS)


class Wide(Tables):
    """T and U, and every table whose schema is known, without rows of its own."""

    def __init__(self, own: Tables) -> None:
        super().__init__(own.table(name) for name in own.table_names())  # type: ignore[misc]

    def table(self, name: str) -> Table | None:
        columns = known_schema(name)
        if super().table(name) is not None or columns is None:
            return super().table(name)
        given: tuple[Column, ...] = with_standard_columns(columns)
        return Table(name, given, "nowhere", tuple(f"c{place}" for place in range(len(given))))


def told(error: KqlError, text: str) -> None:
    """An error says what and where."""
    assert error.errors, text
    assert all(item.line >= 1 and item.column >= 1 and item.message for item in error.errors), text


def survives(text: str, engine: Engine, outcomes: Counter[str], chance: random.Random) -> None:
    """Compiles, perhaps runs; anything but an answer or a KqlError within the time fails the test."""
    started = time.process_time()
    try:
        compiled = compile_kql(text, engine.catalog)
    except KqlError as error:
        told(error, text)
        outcomes[error.errors[0].kind] += 1
        return
    except BaseException:
        print(repr(text))  # noqa: T201 - what broke it
        raise
    finally:
        assert time.process_time() - started < COMPILE_LIMIT, text
    outcomes["compiled"] += 1
    if compiled.tables <= {"T", "U"} and chance.randrange(SAMPLE) == 0:
        bounded = dataclasses.replace(compiled, sql=f"SELECT * FROM ({compiled.sql}) LIMIT 1000")
        timer = threading.Timer(RUN_LIMIT, engine.connection.interrupt)
        timer.start()
        try:
            execute(engine.connection, bounded, {"now": NOW})
            outcomes["answered"] += 1
        except KqlError as error:
            outcomes["cancelled" if "cancelled" in error.errors[0].message else "stopped"] += 1
            told(error, text)
        except BaseException:
            print(repr(text))  # noqa: T201 - what broke it
            raise
        finally:
            timer.cancel()


@pytest.fixture
def engine() -> Engine:
    return Engine({"T": _TABLE, "U": _TABLE})


def own_queries() -> list[str]:
    here = Path(__file__).parent
    texts = [
        path.read_text(encoding="utf-8")
        for path in (*sorted((here / "fixtures").glob("*.kql")), here / "rules" / "rules.kql")
    ]
    return [
        part for text in texts for part in re.split(r"^// (?:case|rule): .+$", text, flags=re.MULTILINE) if part.strip()
    ]


@pytest.mark.timeout(7200)
def test_queries_of_the_grammar(engine: Engine) -> None:
    chance = random.Random(INPUTS)
    grammar = Grammar(chance)
    outcomes: Counter[str] = Counter()
    for _ in range(INPUTS // 2):
        survives(grammar.query(), engine, outcomes, chance)
    # The grammar is of use only where a good part of its queries is right.
    assert outcomes["compiled"] > INPUTS // 20, outcomes
    assert outcomes["answered"] > 0, outcomes
    assert outcomes["cancelled"] <= INPUTS // 1000, outcomes


@pytest.mark.timeout(7200)
def test_mutations(engine: Engine) -> None:
    chance = random.Random(INPUTS)
    texts = own_queries()
    if "LUREWIRE_CORPUS" in os.environ:
        texts += [text for _, text in queries(Path(os.environ["LUREWIRE_CORPUS"]))]
        engine.catalog = Wide(engine.catalog)
        assert set(known_names())
    outcomes: Counter[str] = Counter()
    for _ in range(INPUTS // 2):
        survives(mutated(chance.choice(texts), texts, chance), engine, outcomes, chance)
    assert outcomes["compiled"] > INPUTS // 50, outcomes
    assert outcomes["syntax"] > INPUTS // 40, outcomes


# Bombs: what grows without bound ends in an error or is stopped, and never takes the process with it


@pytest.mark.parametrize(
    "text",
    [
        "range x from 1 to 9000000000000000000 step 1 | summarize count()",
        "range x from 0.0 to 1e300 step 1e-300 | count",
        "range t from datetime(0001-01-01) to datetime(9999-12-31) step 1tick | count",
        "range a from 1 to 100000 step 1 | extend k = 1 | join kind=inner (range b from 1 to 100000 step 1 | extend k = 1) on k | summarize count(), dcount(a + b)",
        "let A = range x from 1 to 1000000 step 1 | extend k = 1; A | join kind=inner A on k | join kind=inner A on k | summarize sum(x)",
        "print x = range(1, 9000000000000000000, 1) | mv-expand x | count",
        "range x from 1 to 1000000 step 1 | extend d = range(1, 1000, 1) | mv-expand d | mv-expand e = range(1, 1000, 1) | summarize count(), dcount(d)",
        "print x = strrep('a', 1000000000) | extend y = strrep(x, 1000000000) | project strlen(y)",
        "print s = 'ab'" + " | extend s = strcat(s, s, s, s, s, s, s, s, s, s)" * 7 + " | project strlen(s)",
        "print t = datetime(2026-01-01) | make-series count() on t from datetime(0001-01-01) to datetime(9999-12-31) step 1tick",
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_bombs_are_stopped(text: str) -> None:
    connection = closed_connection()
    timer = threading.Timer(5, connection.interrupt)
    timer.start()
    try:
        compiled = compile_kql(text, Tables([]))
        assert len(execute(connection, compiled, {"now": NOW} if compiled.uses_now else {})) < 10
    except KqlError as error:
        told(error, text)
    finally:
        timer.cancel()
        connection.close()


def test_a_megabyte_of_anything() -> None:
    for text in (
        "T | where " + "x == 1 and " * 100_000 + "true",
        "(" * 1_000_000,
        "'" * 1_000_001,
        "T" + "|take 1" * 150_000,
        "/" * 1_000_000,
        "a." * 500_000,
    ):
        started = time.process_time()
        try:
            compile_kql(text, Tables([]))
        except KqlError as error:
            told(error, text[:40])
        assert time.process_time() - started < 30
    with pytest.raises(KqlError):
        run("print " + "(" * 10_000 + "1" + ")" * 10_000)
