"""Rows for a rule: some that match, some that nearly do, some by chance."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from lurewire.kql.operators import OPERATORS, SOURCES
from lurewire.kql.parser import Parser
from lurewire.kql.types import Column
from lurewire.kql.types import KqlType as K

from .goals import Reader, Solver, schemas_of
from .model import Relation
from .samples import default, fitted, near_miss
from .values import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .goals import Goal

#: How many kinds of matching rows a table gets, copies of each, rows that nearly match, and rows by chance.
_MATCHING, _COPIES, _MANY, _NEAR, _CHANCE = 4, 4, 14, 12, 6


def database(text: str, known: Mapping[str, tuple[Column, ...]], now: int, seed: int) -> dict[str, Relation]:
    """The tables that a query reads, with rows; raises Refused where it does not parse."""
    query = Parser(text, OPERATORS, SOURCES).query()
    if query.problems:
        raise Refused("a query that does not parse")
    schemas = schemas_of(query, known)
    reader = Reader(query, frozenset(schemas), now)
    pools = _pools(reader.pairs)
    chance = random.Random(seed)
    found = {}
    for name, columns in schemas.items():
        given = columns
        if chance.random() < 0.5:
            given = _with_collision(columns)
        legs = [leg for leg in reader.legs if leg.table == name]
        goals = [[goal for goal in reader.goals if leg in goal.legs] for leg in legs] or [[]]
        rows = _rows(given, goals, reader, pools, now, chance)
        found[name] = Relation([column.name for column in given], [column.type for column in given], rows)
    return found


def _pools(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """One pool for columns that a join compares, so that they share values."""
    pools: dict[str, str] = {}
    for one, other in pairs:
        shared = pools.get(one, pools.get(other, one))
        pools[one] = pools[other] = shared
    return pools


def _with_collision(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """A further column whose name differs from another's by its case alone."""
    names = {column.name for column in columns}
    for column in columns:
        if column.type is K.STRING and column.name.swapcase() not in names:
            return (*columns, Column(column.name.swapcase(), K.STRING))
    return columns


def _rows(  # noqa: C901 - one branch for each form that there is
    columns: tuple[Column, ...],
    readings: list[list[Goal]],
    reader: Reader,
    pools: Mapping[str, str],
    now: int,
    chance: random.Random,
) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []

    def row(wishes: Mapping[str, Any]) -> tuple[Any, ...]:
        cells = []
        for column in columns:
            if column.name in wishes:
                cells.append(wishes[column.name])
            elif column.name == "TimeGenerated":
                cells.append(now - chance.randrange(600 * 10_000_000))
            else:
                cells.append(default(column.type, pools.get(column.name, column.name), now, chance))
        return tuple(cells)

    kinds = {column.name: column.type for column in columns}
    rounds = max(_MATCHING, 2 * len(readings)) if len(readings) < 6 else len(readings)
    for number in range(rounds):
        solver = Solver(reader, chance)
        for goal in readings[number % len(readings)]:
            if number < len(readings) or chance.random() < 0.9:
                solver.satisfy(goal.predicate, goal.columns)
        wishes: dict[str, Any] = {}
        for name, value in solver.finish().items():
            if name in kinds:
                try:
                    wishes[name] = fitted(value, kinds[name])
                except Refused:
                    continue
        rows.extend(row(wishes) for _ in range(_COPIES))
        if number < len(readings) < 4:
            first = row(wishes)
            times = [place for place, column in enumerate(columns) if column.name == "TimeGenerated"]
            for copy in range(_MANY):
                cells = list(first)
                for place in times:
                    if isinstance(cells[place], int):
                        cells[place] -= copy * 10_000_001
                rows.append(tuple(cells))
        for _ in range(_NEAR // _MATCHING):
            missed = dict(wishes)
            for name in chance.sample(sorted(missed), min(len(missed), chance.choice([1, 1, 2]))):
                missed[name] = near_miss(missed[name], kinds[name], now, chance)
            rows.append(row(missed))
    rows.extend(row({}) for _ in range(_CHANCE))
    chance.shuffle(rows)
    return rows
