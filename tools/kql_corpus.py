# ruff: noqa: INP001, T201 - a script, which prints its report
"""Compiles and runs every query of a corpus on empty tables, and reports by construct what fails.

    tools/kql_corpus.py FILE-OR-FOLDER ... [--min PERCENT] [--schemas FILE] [--failures FILE]

A corpus are files of any container that `lurewire kql check` reads: .kql, .txt, Markdown fences, YAML, ARM and portal JSON,
and JSON lines of {id, query}. The tables have the published schemas of Azure, or those of `--schemas`. Queries that are
equal but for white space count once; transformations and template expressions are no queries. Saved functions, such as
ASIM's parsers, are known to every query of the corpus, and each is called by each of its names, with an empty value for a
parameter that has no default; of two with a name the later file's counts. Columns that depend on data (bag_unpack, pivot)
are taken to be those that the query names; externaldata reads nothing. `--failures` writes {id, code, message, line,
column} of every query that fails, as JSON lines. Exit code 1 below `--min` percent, 2 for a corpus that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lurewire.kql import CompiledQuery, KqlError, closed_connection, execute
from lurewire.kql import compile as compile_kql
from lurewire.kqltools import (
    CONTAINERS,
    KnownCatalog,
    Unreadable,
    UsageProblem,
    call_of,
    queries_in,
    read_schemas,
    read_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lurewire.kql import Column, Diagnostic, SavedFunction, Table

#: What now() means: 2026-01-15T00:00:00Z. Nothing depends on it.
NOW = {"now": 639_040_320_000_000_000}
QUERY_SECONDS = 60.0
MOST_ROUNDS = 8
UNRESOLVED = "SEM0100"
CRASH = "crash"
#: What a wildcard stands for: the tables that most workspaces of Sentinel have.
WORKSPACE = (
    "AADManagedIdentitySignInLogs", "AADServicePrincipalSignInLogs", "AWSCloudTrail", "AlertEvidence", "AlertInfo", "AuditLogs",
    "AzureActivity", "BehaviorAnalytics", "CloudAppEvents", "CommonSecurityLog", "DeviceEvents", "DeviceFileEvents",
    "DeviceImageLoadEvents", "DeviceInfo", "DeviceLogonEvents", "DeviceNetworkEvents", "DeviceNetworkInfo",
    "DeviceProcessEvents", "DeviceRegistryEvents", "EmailEvents", "EmailUrlInfo", "Heartbeat", "IdentityInfo",
    "IdentityLogonEvents", "LAQueryLogs", "OfficeActivity", "SecurityAlert", "SecurityEvent", "SecurityIncident",
    "SigninLogs", "Syslog", "ThreatIntelIndicators", "UrlClickEvents", "Usage",
)  # fmt: skip
_STORAGE = {
    "bool": "BOOLEAN", "int": "INTEGER", "long": "BIGINT", "real": "DOUBLE", "decimal": "DECIMAL(34,17)", "string": "VARCHAR",
    "datetime": "BIGINT", "timespan": "BIGINT", "guid": "UUID", "dynamic": "VARCHAR",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that does not run, by the first of its errors; `construct` is what it is counted under.

    `absent` says that all of its errors are names of sources that are not in the schemas.
    """

    id: str
    code: str
    construct: str
    message: str
    line: int
    column: int
    absent: bool = False


@dataclass(slots=True)
class Report:
    """What became of a corpus; `unreadable` and `skipped` are files and queries that were not tried."""

    ran: int = 0
    functions_ran: int = 0
    functions: int = 0
    failures: list[Failure] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    skipped: int = 0

    @property
    def queries(self) -> int:
        """How many queries were tried."""
        return self.ran + len(self.failures)

    @property
    def percent(self) -> float:
        """How many of them ran, of a hundred."""
        return 100.0 * self.ran / self.queries if self.queries else 100.0


class EmptyTables(KnownCatalog):
    """A catalogue whose tables are made, without rows, when a query names them."""

    def __init__(
        self, given: dict[str, tuple[Column, ...]] | None = None, functions: Iterable[SavedFunction] = ()
    ) -> None:
        super().__init__(given or {}, functions, builtin=given is None)
        self.connection = closed_connection()
        self._made_here: set[str] = set()

    def table(self, name: str) -> Table | None:
        """The table, which from now on is in the database too."""
        return self._made_real(super().table(name))

    def watchlist(self, alias: str) -> Table | None:
        """The watchlist, likewise."""
        return self._made_real(super().watchlist(alias))

    def _made_real(self, table: Table | None) -> Table | None:
        if table is not None and table.relation not in self._made_here:
            self._made_here.add(table.relation)
            self.connection.execute(_definition(table))
        return table

    def wildcard_names(self) -> Iterable[str]:
        """The tables of one workspace: nobody has all that Azure publishes, whose columns do not agree in type."""
        return [name for name in WORKSPACE if super(EmptyTables, self).table(name) is not None]

    def allows_external(self, _location: str) -> bool:
        """Any place: nothing is read from it."""
        return True


def _definition(table: Table) -> str:
    columns = [f'"{name}" {_STORAGE[column.type]}' for name, column in zip(table.physical, table.columns, strict=True)]
    columns.extend(f'"{column.sql}" {_STORAGE[column.type]}' for column in table.hidden if column.sql)
    if table.received is not None:
        columns.append(f'"{table.received}" BIGINT')
    return f'CREATE TABLE "{table.relation}" ({", ".join(columns)})'


# Queries


@dataclass(slots=True)
class Corpus:
    """The queries of a corpus once each, by file and name there, and its functions by name, with their files."""

    queries: dict[str, str] = field(default_factory=dict)
    functions: dict[str, tuple[str, SavedFunction]] = field(default_factory=dict)


def read_corpus(paths: Sequence[Path], report: Report) -> Corpus:
    """All that is in the files; raises UsageProblem for a path that is not there."""
    seen: set[str] = set()
    corpus = Corpus()
    for path in _files(paths):
        try:
            queries = queries_in(read_text(path), str(path))
        except Unreadable as error:
            report.unreadable.append(f"{error.path}:{error.line}: {error.message}")
            continue
        for number, query in enumerate(queries):
            if query.transform or query.problem:
                report.skipped += 1
                continue
            corpus.functions.update({function.name: (str(path), function) for function in query.functions})
            key = re.sub(r"\s+", " ", query.text).strip()
            if not query.functions and key not in seen:
                seen.add(key)
                name = f"{path}#{query.name}"
                corpus.queries[name if name not in corpus.queries else f"{name}#{number}"] = query.text
    return corpus


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                found for found in path.rglob("*") if found.suffix.lower() in CONTAINERS and found.is_file()
            )
        elif path.is_file():
            yield path
        else:
            raise UsageProblem(f"{path}: there is no such file or folder")


# Runs


class Runner:
    """Runs queries, one after the other, on the same empty tables."""

    def __init__(self, catalog: EmptyTables) -> None:
        self._catalog = catalog

    def run(self, text: str) -> CompiledQuery:
        """The query, compiled and run; raises KqlError."""
        names: dict[str, None] = {}
        while True:
            explored: list[CompiledQuery] = []
            try:
                compiled = compile_kql(text, self._catalog, explore=self._explorer(names, explored))
                for result in (compiled, *compiled.further):
                    self._timed(partial(self._executed, result))
            except KqlError as error:
                named = {one.token: None for one in error.errors if one.code == UNRESOLVED and one.token is not None}
                new = {name: None for name in named if name not in names and name not in self._catalog.missing}
                if not explored or not new or len(names) > MOST_ROUNDS:
                    raise
                names.update(new)
            else:
                return compiled

    def _executed(self, compiled: CompiledQuery) -> None:
        empty = tuple(replace(outside, locations=()) for outside in compiled.external)
        execute(self._catalog.connection, replace(compiled, external=empty), NOW, fetch=_nothing)

    def _explorer(
        self, names: Iterable[str], explored: list[CompiledQuery]
    ) -> Callable[[CompiledQuery], list[tuple[Any, ...]]]:
        def explore(first: CompiledQuery) -> list[tuple[Any, ...]]:
            explored.append(first)
            # A bag has slots with a name and a type, here one that converts to any other; a pivot has values.
            return [(name, "array")[: len(first.columns)] for name in names]

        return explore

    def _timed(self, work: Callable[[], None]) -> None:
        timer = threading.Timer(QUERY_SECONDS, self._catalog.connection.interrupt)
        timer.start()
        try:
            work()
        finally:
            timer.cancel()


def _nothing(_location: str) -> bytes:
    return b""


def run_corpus(paths: Sequence[Path], given: dict[str, tuple[Column, ...]] | None = None) -> Report:
    """Tries every query and function of the corpus; raises UsageProblem for a path that is not there."""
    report = Report()
    corpus = read_corpus(paths, report)
    catalog = EmptyTables(given, [function for _, function in corpus.functions.values()])
    runner = Runner(catalog)
    for name, text in corpus.queries.items():
        report.ran += _tried(name, text, runner, catalog, report)
    report.functions = len(corpus.functions)
    for path, function in corpus.functions.values():
        report.functions_ran += _tried(
            f"{path}#{function.name}", call_alone(function, catalog), runner, catalog, report
        )
    report.ran += report.functions_ran
    return report


def call_alone(function: SavedFunction, catalog: EmptyTables) -> str:
    """A query that calls a function: one that makes a value is printed."""
    call = call_of(function)
    try:
        compile_kql(f"print {call}", catalog)
    except KqlError:
        return call
    return f"print {call}"


def _tried(name: str, text: str, runner: Runner, catalog: EmptyTables, report: Report) -> bool:
    """Whether a query runs; if not, the report says why."""
    catalog.missing.clear()
    try:
        runner.run(text)
    except KqlError as error:
        absent = all(_is_unknown(one, catalog) for one in error.errors)
        report.failures.append(replace(_failure(name, error.errors[0], catalog), absent=absent))
        report.unknown.update(sorted({one.token or "" for one in error.errors if _is_unknown(one, catalog)}))
    except Exception as error:  # noqa: BLE001 - that anything else is raised is a finding of its own
        message = f"{type(error).__name__}: {str(error)[:300]}"
        report.failures.append(Failure(name, CRASH, f"{CRASH}: {type(error).__name__}", message, 1, 1))
    else:
        return True
    return False


def _is_unknown(problem: Diagnostic, catalog: EmptyTables) -> bool:
    return problem.token in catalog.missing and "operator:" not in problem.message


def _failure(name: str, problem: Diagnostic, catalog: EmptyTables) -> Failure:
    if _is_unknown(problem, catalog):
        construct = "a table, function or watchlist that is not in the schemas"
    elif problem.kind == "unsupported":
        construct = problem.message
    else:
        plain = re.sub(r" at '.*' on line \[\d+,\d+\]", "", problem.message)
        construct = re.sub(r"'[^']*'", "'...'", re.sub(r"in the function '[^']*' \([^)]*\): ", "", plain))
    construct = f"{problem.code} {construct[:120]}"
    return Failure(name, problem.code, construct, problem.message, problem.line, problem.column)


def show(report: Report) -> Iterator[str]:
    """The report's lines."""
    for line in report.unreadable:
        yield f"not read: {line}"
    if report.skipped:
        yield f"{report.skipped} transformations and template expressions were not tried"
    if report.unknown:
        named = ", ".join(f"{name} ({count})" for name, count in report.unknown.most_common(40))
        yield f"not in the schemas: {named}"
    if report.functions:
        yield f"functions: ran {report.functions_ran} of {report.functions}, by all their names"
    absent = sum(failure.absent for failure in report.failures)
    if absent:
        yield f"{absent} of those that did not run lack nothing but tables, functions or watchlists"
    counts = Counter(failure.construct for failure in report.failures)
    examples = {failure.construct: failure for failure in reversed(report.failures)}
    for construct, count in counts.most_common():
        example = examples[construct]
        yield f"{count:6} {construct}    e.g. {example.id} [{example.line},{example.column}]"
    yield f"ran {report.ran} of {report.queries} ({report.percent:.1f}%)"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Runs a corpus of KQL on empty tables.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE-OR-FOLDER")
    parser.add_argument("--min", type=float, default=0.0, metavar="PERCENT")
    parser.add_argument("--schemas", type=Path, metavar="FILE")
    parser.add_argument("--failures", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        given = None if options.schemas is None else read_schemas([options.schemas])[0]
        report = run_corpus(options.paths, given)
    except UsageProblem as problem:
        print(problem, file=sys.stderr)
        return 2
    if options.failures is not None:
        fields = ("id", "code", "message", "line", "column")
        lines = [json.dumps({name: getattr(failure, name) for name in fields}) for failure in report.failures]
        options.failures.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for line in show(report):
        print(line)
    return 1 if report.percent < options.min else 0


if __name__ == "__main__":
    sys.exit(main())
