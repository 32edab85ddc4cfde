"""Runs a test: its rows become tables, its query runs at its time, and what comes out is compared with what is expected.

A scheduled rule reads rows of the time (now - queryPeriod, now], as a run whose window ends at `now` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Self

from lurewire.kql import KqlError, KqlType, Tables, load_table, nearest, run_over, ticks_from_text
from lurewire.kqltools import DataFiles, UsageProblem, columns_behind, open_files, published_columns
from lurewire.schemas import known_names

from .comparing import row_difference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from lurewire.kql import Column, HiddenColumn, Result, Table

    from .cases import Case, Rows

_FIRST_INLINE = 1_000  # relations of inline rows are numbered from here, those of files from 0
_MAY_BE_EMPTY = frozenset({KqlType.STRING, KqlType.DYNAMIC})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", re.ASCII)
_TIME, _TYPE = "TimeGenerated", "Type"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a test: `message` says why it failed, or what kept it from running."""

    path: Path
    name: str
    status: Literal["passed", "failed", "error"]
    message: str
    seconds: float


class _BadRows(Exception):
    """Rows that a table cannot have."""


def run_case(case: Case) -> Outcome:
    """Runs a test in a DuckDB of its own."""
    started = perf_counter()
    status: Literal["passed", "failed", "error"] = "passed"
    try:
        problems = list(_problems(case))
        if problems:
            status = "failed"
    except (UsageProblem, _BadRows, ValueError) as error:
        status, problems = "error", [str(error)]
    return Outcome(case.path, case.name, status, "\n".join(problems), perf_counter() - started)


def _problems(case: Case) -> Iterator[str]:
    expected = case.expected
    try:
        result = _result(case)
    except KqlError as error:
        codes = [one.code for one in error.errors]
        if expected.error is None:
            yield _placed(case, error)
        elif expected.error not in codes:
            yield f"the error {expected.error} is expected, not {', '.join(codes)}"
        return
    if expected.error is not None:
        yield f"the error {expected.error} is expected, but the query ran"
    if expected.count is not None and len(result) != expected.count:
        yield f"{expected.count} rows are expected, {len(result)} came out"
    if expected.alerts is not None:
        assert case.query.rule is not None
        alerts = case.query.rule.alerts(len(result))
        if alerts != expected.alerts:
            condition = case.query.rule.condition
            yield f"{expected.alerts} alerts are expected, {alerts} are raised: {len(result)} results, and it takes {condition}"
    if expected.rows is not None:
        difference = row_difference(expected.rows, result, ordered=expected.ordered)
        if difference:
            yield difference


def _placed(case: Case, error: KqlError) -> str:
    lines = []
    for one in error.errors:
        line, column = case.query.place(one.line, one.column)
        hint = f" ({one.hint})" if one.hint else ""
        lines.append(f"{case.query.path}:{line}:{column}: {one.code} {one.message}{hint}")
    return "\n".join(lines)


def _result(case: Case) -> Result:
    rule = case.query.rule
    window = None
    if rule is not None and rule.period is not None:
        if case.now is None:
            raise _BadRows("a scheduled rule looks at a window of time: 'now' says where it ends")
        window = (case.now - rule.period, case.now)
    with _Opened(case) as catalog:
        return run_over(
            case.query.text,
            catalog.data.connection,
            catalog,
            now=case.now,
            profile="transform" if case.query.transform else "query",
            window=window,
        )


def _moments(rows: Rows) -> dict[str, KqlType]:
    """The columns whose every value is a text of a date and a time: what a table without a schema has for datetimes."""
    names = dict.fromkeys(name for row in rows for name in row)
    given = {name: [row[name] for row in rows if row.get(name) not in (None, "")] for name in names}
    return {
        name: KqlType.DATETIME
        for name, values in given.items()
        if values
        and all(isinstance(value, str) and _MOMENT.match(value) and ticks_from_text(value) for value in values)
    }


class _Opened(Tables):
    """The tables of a test: those with rows, and without any all whose schema is known."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._number = _FIRST_INLINE
        files = [f"{name}={rows}" for name, rows in case.tables.items() if isinstance(rows, Path)]
        self.data: DataFiles = open_files(files, case.schemas, builtin=True)
        super().__init__([], case.functions)
        for name, rows in case.tables.items():
            if isinstance(rows, Path):
                found = self.data.catalog.table(name)
                assert found is not None
                self._tables[name] = found
            else:
                self._tables[name] = self._load(name, rows, self._schema(name))
        self._watchlists = {alias: self._watchlist(alias, rows) for alias, rows in case.watchlists.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.data.connection.close()

    def table(self, name: str) -> Table | None:
        """A table with its rows; without any if only its schema is known."""
        found = super().table(name)
        if found is None:
            schema = self._schema(name)
            if schema is not None and not self._case.query.transform:
                found = self._tables[name] = self._load(name, [], schema)
        return found

    def table_names(self) -> Iterable[str]:
        """All names that a query may use."""
        return [*self._tables, *self._case.schemas, *known_names()]

    def wildcard_names(self) -> Iterable[str]:
        """The tables that have rows."""
        return list(self._case.tables)

    def watchlist(self, alias: str) -> Table | None:
        """The rows of a watchlist; one that ASIM's parsers look for in every workspace is there without any."""
        if alias not in self._watchlists:
            # The catalogue of the files has those.
            return self.data.catalog.watchlist(alias)
        return self._watchlists[alias]

    def watchlist_aliases(self) -> Iterable[str]:
        """The aliases of the test's watchlists."""
        return self._watchlists

    def _schema(self, name: str) -> tuple[Column, ...] | None:
        if self._case.query.transform and name == "source":
            return self._case.query.columns
        declared = self._case.schemas.get(name)
        if declared is None:
            return published_columns(name)
        return declared

    def _watchlist(self, alias: str, rows: Rows | Path) -> Table:
        if isinstance(rows, Path):
            raise _BadRows(f"watchlist '{alias}': its rows are written in the test")
        keyed = [
            {"_DTItemId": str(number), "LastUpdatedTimeUTC": None, "SearchKey": next(iter(row.values()), None), **row}
            for number, row in enumerate(rows)
        ]
        return self._load(f"watchlist {alias}", keyed, None)

    def _load(self, name: str, rows: Rows, schema: tuple[Column, ...] | None) -> Table:
        self._number += 1
        types = _moments(rows) if schema is None else {column.name: column.type for column in schema}
        behind = () if schema is None or self._case.query.transform else columns_behind(name, schema)
        if schema is not None:
            rows = [self._row(name, row, types, {column.name for column in behind}) for row in rows]
        table = load_table(self.data.connection, name, rows, self._number, types, behind)
        if schema is not None:
            self._verify(table, rows)
        return table

    def _row(
        self, name: str, row: Mapping[str, Any], types: Mapping[str, KqlType], behind: Collection[str]
    ) -> dict[str, Any]:
        """A row with what the service fills in; a column that the table lacks is a mistake."""
        for column in row:
            if column not in types and column not in behind:
                hint = nearest(column, types)
                raise _BadRows(f"table '{name}' has no column '{column}'{f' ({hint})' if hint else ''}")
        filled = dict(row)
        if _TYPE in types and not self._case.query.transform:
            filled.setdefault(_TYPE, name)
        if _TIME in types and filled.get(_TIME) is None and self._case.now is not None:
            filled[_TIME] = self._case.now_text
        return filled

    def _verify(self, table: Table, rows: Rows) -> None:
        """Refuses a value that its column's type has no place for, which would be null."""
        columns: list[tuple[Column | HiddenColumn, str]] = [*zip(table.columns, table.physical, strict=True)]
        columns += [(column, column.sql) for column in table.hidden if column.sql]
        checked = [(column, physical) for column, physical in columns if column.type not in _MAY_BE_EMPTY]
        given = [sum(row.get(c.name) not in (None, "") for row in rows) for c, _ in checked]
        if not any(given):
            return
        counts = ", ".join(f"count({physical})" for _, physical in checked)
        (stored,) = self.data.connection.execute(f"SELECT {counts} FROM {table.relation}").fetchall()  # noqa: S608 - generated names
        for (column, _), wanted, found in zip(checked, given, stored, strict=True):
            if found != wanted:
                raise _BadRows(f"table '{table.name}', column '{column.name}': a value is no {column.type}")
