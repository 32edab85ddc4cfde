"""Test files: what is tested, over which rows, at what time, and what is expected (docs/kql/test.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.kql import TYPE_NAMES, Column, SavedFunction, datetime_text, ticks_from_text
from lurewire.kqltools import (
    MalformedDocument,
    Query,
    Text,
    Unreadable,
    UsageProblem,
    queries_in,
    read_documents,
    read_functions,
    read_schemas,
    read_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Rows = list[dict[str, Any]]

_FILE_KEYS = frozenset({"rule", "query", "transform", "schemas", "functions", "now", "tables", "watchlists", "tests"})
_TEST_KEYS = frozenset({"name", "now", "tables", "rows", "watchlists", "expect"})
_EXPECT_KEYS = frozenset({"rows", "ordered", "count", "alerts", "error"})


class BadTest(Exception):
    """A test file, or a file that it names, which cannot be used."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True)
class Expected:
    """What a test demands; None where it demands nothing of the kind. `error` is a diagnostic's code."""

    rows: Rows | None = None
    ordered: bool = False
    count: int | None = None
    alerts: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One test: `tables` and `watchlists` are rows, or the file that has them; `now` is in ticks."""

    path: Path
    name: str
    query: Query
    expected: Expected
    now: int | None
    tables: Mapping[str, Rows | Path]
    watchlists: Mapping[str, Rows | Path] = field(default_factory=dict)
    schemas: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    functions: Sequence[SavedFunction] = ()

    @property
    def now_text(self) -> str:
        """`now` as a datetime's text."""
        assert self.now is not None
        return datetime_text(self.now)


def read_cases(path: Path, schemas: Sequence[str] = (), functions: Sequence[str] = ()) -> list[Case]:
    """The tests of a file; what `schemas` and `functions` name is known beside what the file names. Raises BadTest."""
    try:
        return list(_File(path, schemas, functions).cases())
    except Unreadable as error:
        raise BadTest(path, f"{error.path}: {error.message}") from None
    except UsageProblem as error:
        raise BadTest(path, str(error)) from None
    except MalformedDocument as error:
        raise BadTest(path, f"line {error.line}, column {error.column}: {error}") from None


class _File:
    def __init__(self, path: Path, schemas: Sequence[str], functions: Sequence[str]) -> None:
        self._path = path
        documents = read_documents(read_text(path), path.suffix)
        if len(documents) != 1 or not isinstance(documents[0], Mapping):
            raise BadTest(path, "a test file is one mapping")
        self._top: Mapping[str, Any] = documents[0]
        self._known(self._top, _FILE_KEYS, "")
        self._query = self._tested()
        own, _ = read_schemas([*schemas, *self._paths("schemas")])
        self._schemas = own
        self._functions = read_functions([*functions, *self._paths("functions")])

    def cases(self) -> Iterator[Case]:
        tests = self._top.get("tests")
        if not isinstance(tests, list) or not tests:
            raise BadTest(self._path, "'tests' is a list of tests")
        for number, test in enumerate(tests, 1):
            where = f"tests[{number - 1}]"
            if not isinstance(test, Mapping):
                raise BadTest(self._path, f"{where}: a test is a mapping")
            self._known(test, _TEST_KEYS, where)
            tables = {**self._rows(self._top, "tables"), **self._rows(test, "tables")}
            if "rows" in test:
                if not self._query.transform:
                    raise BadTest(
                        self._path, f"{where}: 'rows' are those of a transformation; those of a query are in 'tables'"
                    )
                tables["source"] = self._of_table(test["rows"], f"{where}.rows")
            yield Case(
                self._path,
                str(test.get("name") or f"test {number}"),
                self._query,
                self._expected(test.get("expect"), f"{where}.expect"),
                self._now(test.get("now", self._top.get("now"))),
                tables,
                {**self._rows(self._top, "watchlists"), **self._rows(test, "watchlists")},
                self._schemas,
                self._functions,
            )

    def _known(self, node: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
        for key in node:
            if key not in keys:
                raise BadTest(
                    self._path, f"{f'{where}: ' if where else ''}'{key}' is none of {', '.join(sorted(keys))}"
                )

    def _paths(self, key: str) -> list[str]:
        given = self._top.get(key) or []
        return [str(self._path.parent / str(one)) for one in (given if isinstance(given, list) else [given])]

    # What is tested

    def _tested(self) -> Query:
        found = [key for key in ("rule", "query", "transform") if key in self._top]
        if len(found) != 1:
            raise BadTest(self._path, "a test file has one of 'rule', 'query' and 'transform'")
        given = self._top[found[0]]
        if found[0] == "query":
            if not isinstance(given, Text):
                raise BadTest(self._path, "'query' is text; 'rule' names a file")
            return Query(given, str(self._path), given.source)
        return self._of_file(given) if found[0] == "rule" else self._transformation(given)

    def _of_file(self, given: Any) -> Query:
        """The query of a file, by the rule's name where it holds several."""
        file, name = (given.get("file"), given.get("name")) if isinstance(given, Mapping) else (given, None)
        queries = [one for one in self._queries(file) if not one.transform and name in (None, one.name)]
        if len(queries) != 1:
            names = ", ".join(f"'{one.name}'" for one in queries)
            message = (
                f"it holds {len(queries)} queries ({names}): write file and name"
                if queries
                else "it holds no such query"
            )
            raise BadTest(self._path, f"rule: {file}: {message}")
        return self._usable(queries[0])

    def _transformation(self, given: Any) -> Query:
        """A transformation that is written here, or a data collection rule's for a stream."""
        if isinstance(given, Mapping) and isinstance(given.get("query"), Text):
            columns = given.get("columns")
            if not isinstance(columns, Mapping):
                raise BadTest(self._path, "transform: 'columns' are those of the stream, {column: type}")
            typed = tuple(Column(str(name), self._type(kind)) for name, kind in columns.items())
            text = given["query"]
            return Query(text, str(self._path), text.source, transform=True, stream="source", columns=typed)
        file, stream = (given.get("file"), given.get("stream")) if isinstance(given, Mapping) else (given, None)
        queries = [one for one in self._queries(file) if one.transform and stream in (None, one.stream)]
        if len(queries) != 1 or queries[0].columns is None:
            streams = ", ".join(one.stream for one in queries)
            raise BadTest(
                self._path, f"transform: {file}: one stream with known columns is expected, not {streams or 'none'}"
            )
        return self._usable(queries[0])

    def _queries(self, file: Any) -> list[Query]:
        if not isinstance(file, str):
            raise BadTest(self._path, "a rule or a transformation is the path of a file")
        path = self._path.parent / file
        return queries_in(read_text(path), str(path))

    def _usable(self, query: Query) -> Query:
        if query.problem:
            raise BadTest(self._path, f"{query.path}: {query.problem}")
        return query

    def _type(self, kind: Any) -> Any:
        found = TYPE_NAMES.get(str(kind).lower())
        if found is None:
            raise BadTest(self._path, f"'{kind}' is no type of KQL")
        return found

    # What it is tested with

    def _rows(self, node: Mapping[str, Any], key: str) -> dict[str, Rows | Path]:
        given = node.get(key) or {}
        if not isinstance(given, Mapping):
            raise BadTest(self._path, f"'{key}' is a mapping of names to rows or files")
        return {str(name): self._of_table(value, f"{key}.{name}") for name, value in given.items()}

    def _of_table(self, value: Any, where: str) -> Rows | Path:
        if isinstance(value, str):
            return self._path.parent / value
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
            return [dict(row) for row in value]
        raise BadTest(self._path, f"{where}: rows are a list of mappings, or the path of a file")

    def _now(self, value: Any) -> int | None:
        if value is None:
            return None
        ticks = ticks_from_text(str(value))
        if ticks is None:
            raise BadTest(self._path, f"now: '{value}' is no datetime")
        return ticks

    def _expected(self, given: Any, where: str) -> Expected:
        if not isinstance(given, Mapping) or not given:
            raise BadTest(self._path, f"{where}: says which rows, count, alerts or error are expected")
        self._known(given, _EXPECT_KEYS, where)
        rows, error = given.get("rows"), given.get("error")
        if rows is not None and not (isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows)):
            raise BadTest(self._path, f"{where}.rows: a list of mappings")
        for key in ("count", "alerts"):
            value = given.get(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise BadTest(self._path, f"{where}.{key}: a whole number")
        if given.get("alerts") is not None and self._query.rule is None:
            raise BadTest(self._path, f"{where}.alerts: what is tested is no scheduled and no NRT rule")
        return Expected(
            None if rows is None else [dict(row) for row in rows],
            given.get("ordered") is True,
            given.get("count"),
            given.get("alerts"),
            None if error is None else str(error),
        )
