"""The linter: what is wrong with a query, and with the rule or transformation that it stands in, placed in its file."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lurewire.kql import KqlError, KqlType, Table, Tables
from lurewire.kql import compile as compile_kql

from .containers import TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lurewire.kql import Column, CompiledQuery, Diagnostic

    from .catalog import KnownCatalog
    from .containers import Query

Severity = Literal["error", "warning"]

UNREADABLE = "LW1001"
EXPRESSION = "LW1002"
UNUSED_BY_RESULT = "LW1003"
OUTPUT = "LW1004"
OPEN_COLUMNS = "LW1005"
REFUSED_RULE = "LW1006"
UNKNOWN_STREAM = "LW1007"

#: What each code of the linter's own means, for reports that describe their rules.
OWN_CODES: dict[str, tuple[Severity, str]] = {
    UNREADABLE: ("error", "A file cannot be read as what its name says"),
    EXPRESSION: ("warning", "A query is a template expression and was not checked"),
    UNUSED_BY_RESULT: ("warning", "A rule uses a column that its query does not return"),
    OUTPUT: ("error", "Azure refuses the columns that a transformation gives"),
    OPEN_COLUMNS: ("warning", "Columns depend on data, so that names after them were not checked"),
    REFUSED_RULE: ("error", "Sentinel refuses the query in an analytics rule"),
    UNKNOWN_STREAM: ("error", "The columns of a transformation's stream are not known"),
}

_UNRESOLVED = "SEM0100"
_UNKNOWN_FUNCTION = "SEM0260"
_SET_BY_AZURE = ("TenantId", "Type")
_QUERY_CHARACTERS = 10_000
#: Sources: https://learn.microsoft.com/azure/sentinel/scheduled-rules-overview (both).
_WHOLE_WORKSPACE = re.compile(r"^[^/\n]*\b(union|search)\s+\*", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `line` and `column` are of the file and count from 1, in characters."""

    path: str
    line: int
    column: int
    code: str
    severity: Severity
    message: str
    hint: str = ""
    query: str = ""


class Checker:
    """Checks queries against a catalogue; what `ignore` names is not reported."""

    def __init__(
        self,
        catalog: KnownCatalog,
        *,
        streams: Mapping[str, tuple[Column, ...]] | None = None,
        allow_unknown: bool = False,
        ignore: Iterable[str] = (),
        transform: bool = False,
    ) -> None:
        self._catalog = catalog
        self._streams = dict(streams or {})
        self._allow_unknown = allow_unknown
        self._ignored = frozenset(code.upper() for code in ignore)
        self._transform = transform

    def check(self, query: Query) -> list[Finding]:
        """All that is wrong with a query, in the order of its places."""
        if self._transform and not query.transform:
            query = replace(query, transform=True, columns=self._streams.get("source"))
        found = [one for one in self._findings(query) if one.code not in self._ignored]
        return sorted(found, key=lambda one: (one.line, one.column))

    def _findings(self, query: Query) -> Iterator[Finding]:
        if query.problem:
            yield _at(query, EXPRESSION, query.problem)
        elif query.transform:
            yield from self._transformation(query)
        else:
            yield from self._query(query)

    def _query(self, query: Query) -> Iterator[Finding]:
        rule = query.rule
        if rule is not None:
            yield from _refused(query)
        compiled, problems, is_open = self._compiled(query)
        yield from problems
        if is_open:
            message = "a plug-in's columns depend on the data: names after it were not checked"
            hint = "its output schema, as in bag_unpack(d) : (*, name: string), makes them known"
            yield replace(_at(query, OPEN_COLUMNS, message), hint=hint)
        elif compiled is not None and rule is not None:
            names = {column.name for column in compiled.columns}
            for use in rule.uses:
                if use.column not in names:
                    message = f"{use.where}: the query returns no column '{use.column}'"
                    line, column = query.place_of(use.text, use.index)
                    yield replace(_at(query, UNUSED_BY_RESULT, message), line=line, column=column)

    def _compiled(self, query: Query) -> tuple[CompiledQuery | None, list[Finding], bool]:
        """The compiled query or its problems, and whether some of its columns depend on data."""
        explored: list[CompiledQuery] = []

        def explore(first: CompiledQuery) -> list[tuple[object, ...]]:
            explored.append(first)
            return []

        catalog = self._catalog
        try:
            compiled = compile_kql(query.prefix + query.text, catalog, explore=explore)
        except KqlError as error:
            kept = [one for one in error.errors if not self._excused(one, bool(explored))]
            return None, [_finding(query, one) for one in kept], bool(explored)
        return compiled, [], bool(explored)

    def _excused(self, problem: Diagnostic, explored: bool) -> bool:
        """Whether a name is one that cannot be known here."""
        if problem.code == _UNKNOWN_FUNCTION:
            return self._allow_unknown and not problem.hint
        if problem.code != _UNRESOLVED:
            return False
        of_source = problem.token in self._catalog.missing and "operator:" not in problem.message
        return self._allow_unknown if of_source else explored

    def _transformation(self, query: Query) -> Iterator[Finding]:
        columns = query.columns or self._streams.get(query.stream)
        if columns is None:
            if not self._allow_unknown:
                hint = "--schema takes a data collection rule or a file with the stream's columns"
                message = f"the columns of the stream '{query.stream or 'source'}' are not known"
                yield replace(_at(query, UNKNOWN_STREAM, message), hint=hint)
            return
        source = Table("source", columns, "known", tuple(f"c{i}" for i in range(len(columns))), time_column=None)
        try:
            compiled = compile_kql(query.text, Tables([source]), profile="transform")
        except KqlError as error:
            yield from (_finding(query, one) for one in error.errors)
            return
        if query.output:
            yield from (_at(query, OUTPUT, message) for message in _output_problems(compiled.columns))


def _output_problems(columns: Sequence[Column]) -> Iterator[str]:
    """What Azure says of the columns of a transformation."""
    types = {column.name: column.type for column in columns}
    if types.get(TIME) is not KqlType.DATETIME:
        yield f"the transformation must give the column '{TIME}' of type datetime"
    for name in _SET_BY_AZURE:
        if name in types:
            yield f"the column '{name}' is set by the service and cannot be given by a transformation"


def _refused(query: Query) -> Iterator[Finding]:
    if len(query.text) > _QUERY_CHARACTERS:
        message = f"the query has {len(query.text)} characters; a rule's has at most {_QUERY_CHARACTERS}"
        yield _at(query, REFUSED_RULE, message)
    whole = _WHOLE_WORKSPACE.search(query.text)
    if whole is not None:
        at = whole.start(1)
        line, column = query.place(query.text.count("\n", 0, at) + 1, at - query.text.rfind("\n", 0, at))
        message = f"'{whole[1]} *' reads the whole workspace, which a rule must not"
        yield replace(_at(query, REFUSED_RULE, message), line=line, column=column)


def _at(query: Query, code: str, message: str) -> Finding:
    """A finding at the query's first character."""
    text = query.text
    start = len(text) - len(text.lstrip())
    line, column = query.place(text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
    return Finding(query.path, line, column, code, OWN_CODES[code][0], message, query=query.name)


def _finding(query: Query, problem: Diagnostic) -> Finding:
    shift = len(query.prefix) if problem.line == 1 else 0
    line, column = query.place(problem.line, max(problem.column - shift, 1))
    message = re.sub(r" on line \[\d+,\d+\]", "", problem.message)
    return Finding(query.path, line, column, problem.code, "error", message, problem.hint or "", query.name)
