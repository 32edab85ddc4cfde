"""A query in the engine and in the evaluator, and whether both say the same.

Rows are compared as a bag, or in their order where the query sorts; arrays whose order nothing says (make_set, make_list,
set_union), and other choices that Kusto leaves open (ties of arg_max, take without sort), are found by asking the evaluator
again with rows and elements in other orders: what it then answers differently is open.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa

from lurewire.kql import (
    Column,
    KqlError,
    KqlType,
    Table,
    Tables,
    closed_connection,
    execute,
)
from lurewire.kql import (
    compile as compile_kql,
)

from .model import CHOICE, Relation
from .pipeline import evaluate
from .values import Refused, Stopped, json_text, plain

#: 2026-01-02T00:00:00Z.
NOW = 639_029_088_000_000_000

#: How often the evaluator is asked before a difference counts as one.
CHOICES = 25

Outcome = Literal["agreed", "open", "refused", "uncompiled", "disagreed"]
Database = Mapping[str, Relation]

_STORAGE = {
    "bool": ("BOOLEAN", pa.bool_()), "int": ("INTEGER", pa.int32()), "long": ("BIGINT", pa.int64()),
    "real": ("DOUBLE", pa.float64()), "decimal": ("DECIMAL(34,17)", pa.decimal128(34, 17)), "string": ("VARCHAR", pa.string()),
    "datetime": ("BIGINT", pa.int64()), "timespan": ("BIGINT", pa.int64()), "guid": ("UUID", pa.string()),
    "dynamic": ("VARCHAR", pa.string()),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one query; `rows` is how many the engine gave."""

    outcome: Outcome
    why: str = ""
    rows: int = 0


def _stored(value: Any, kind: KqlType) -> Any:
    if value is None:
        return None
    if kind is KqlType.DYNAMIC:
        return json_text(value)
    return str(value) if kind is KqlType.GUID else value


class Engine:
    """A DuckDB that holds the database's tables as the workspace stores them."""

    def __init__(self, database: Database) -> None:
        self.connection = closed_connection()
        tables = []
        for number, (name, relation) in enumerate(database.items()):
            columns = tuple(Column(*pair) for pair in zip(relation.names, relation.kinds, strict=True))
            physical = tuple(f"c{place}" for place in range(len(columns)))
            arrays = [
                pa.array([_stored(row[place], column.type) for row in relation.rows], _STORAGE[column.type][1])
                for place, column in enumerate(columns)
            ]
            self.connection.register("given", pa.table(arrays, names=list(physical)))
            casts = ", ".join(
                f"CAST({c} AS {_STORAGE[k.type][0]}) AS {c}" for c, k in zip(physical, columns, strict=True)
            )
            self.connection.execute(f"CREATE TABLE t{number} AS SELECT {casts} FROM given")
            self.connection.unregister("given")
            tables.append(Table(name, columns, f"t{number}", physical))
        self.catalog = Tables(tables)

    def run(self, text: str) -> tuple[list[str], list[KqlType], list[tuple[Any, ...]]]:
        """Columns and rows, values as the evaluator has them; raises KqlError."""
        compiled = compile_kql(text, self.catalog)
        rows = execute(self.connection, compiled, {"now": NOW})
        kinds = [column.type for column in compiled.columns]
        made = [tuple(_read(value, kind) for value, kind in zip(row, kinds, strict=True)) for row in rows]
        return [column.name for column in compiled.columns], kinds, made

    def close(self) -> None:
        self.connection.close()


def _read(value: Any, kind: KqlType) -> Any:
    if kind is KqlType.DYNAMIC and value is not None:
        return json.loads(value)
    if kind is KqlType.STRING and value is None:
        return ""
    if kind is KqlType.GUID and isinstance(value, str):
        return uuid.UUID(value)
    if kind is KqlType.DATETIME and value is not None and not 0 <= value <= 3_155_378_975_999_999_999:
        return None
    return value


def _shape(value: Any, *, loose: bool) -> Any:
    """Something to compare by: reals to nine digits; with `loose`, arrays without their order."""
    value = plain(value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, Decimal):
        return ("number", str(value.normalize()))
    if isinstance(value, int | float):
        if isinstance(value, float) and math.isfinite(value):
            return ("number", f"{value:.9e}")
        return ("number", f"{float(value):.9e}" if abs(value) < 2**53 else str(value))
    if isinstance(value, list):
        parts = [_shape(item, loose=loose) for item in value]
        return ("list", tuple(sorted(parts, key=repr) if loose else parts))
    if isinstance(value, dict):
        return ("bag", tuple(sorted((key, _shape(item, loose=loose)) for key, item in value.items())))
    return (type(value).__name__, str(value))


def _shapes(rows: list[tuple[Any, ...]], *, loose: bool) -> list[str]:
    return [repr(tuple(_shape(value, loose=loose) for value in row)) for row in rows]


def same(mine: Relation, theirs: list[tuple[Any, ...]], *, loose: bool = True) -> str:
    """Empty where the rows are the same, else the first difference."""
    one, other = _shapes(mine.rows, loose=loose), _shapes(theirs, loose=loose)
    ranks = mine.ranks if mine.ranks is not None and len(one) == len(other) else [0] * len(one)
    if len(one) != len(other):
        ranks = [0] * max(len(one), len(other))
    left = sorted(zip(ranks, one, strict=False))
    right = sorted(zip(ranks, other, strict=False))
    if left == right:
        return ""
    for a, b in zip(left, right, strict=False):
        if a != b:
            return f"evaluator {a[1][:700]}\n  engine    {b[1][:700]}"
    return f"evaluator {len(one)} rows, engine {len(other)}: {(left + right)[-1][1][:700]}"


def judge(text: str, database: Database, engine: Engine) -> Judgement:
    """Both answers, compared."""
    try:
        names, kinds, rows = engine.run(text)
    except KqlError as error:
        first = error.errors[0]
        if first.kind != "execution":
            return Judgement("uncompiled", first.message)
        try:
            evaluate(text, database, NOW)
        except (Stopped, Refused) as stopped:
            return Judgement("agreed" if isinstance(stopped, Stopped) else "refused", str(stopped))
        return Judgement("disagreed", f"the engine stopped: {first.message}")
    try:
        mine = evaluate(text, database, NOW)
    except Refused as refused:
        return Judgement("refused", str(refused), len(rows))
    except Stopped as stopped:
        # The engine need not compute what no result needs.
        return Judgement("open", str(stopped), len(rows))
    if (mine.names, mine.kinds) != (names, kinds):
        columns = list(zip(mine.names, map(str, mine.kinds), strict=True))
        return Judgement(
            "disagreed", f"columns: evaluator {columns}\n  engine    {list(zip(names, map(str, kinds), strict=True))}"
        )
    difference = same(mine, rows)
    if not difference:
        return Judgement("agreed", rows=len(rows))
    answers = {tuple(sorted(_shapes(mine.rows, loose=True)))}
    for choice in range(1, CHOICES):
        other = _otherwise(text, database, choice)
        if not same(other, rows):
            return Judgement("agreed", rows=len(rows))
        answers.add(tuple(sorted(_shapes(other.rows, loose=True))))
    return Judgement("open" if len(answers) > 1 else "disagreed", difference, len(rows))


def _otherwise(text: str, database: Database, choice: int) -> Relation:
    """The evaluator's answer where what has no order comes in another one, and another of several rows stands for all."""
    chosen = CHOICE.set(choice)
    try:
        return evaluate(text, database, NOW)
    finally:
        CHOICE.reset(chosen)
