"""Findings as text, JSON or SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html)."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lurewire import __version__

from .checking import OWN_CODES
from .terminal import inert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .checking import Finding

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_CODES = {
    "SYN0001": "The query ends too early",
    "SYN0002": "The query could not be parsed at a token",
    "SEM0022": "A column name is declared twice",
    "SEM0064": "Types that cannot be compared",
    "SEM0100": "A name that is no column, table, function or let",
    "SEM0219": "An argument, operand or option does not fit",
    "SEM0260": "A function that does not exist",
    "LW0001": "A construct of KQL that Lurewire does not have",
    "LW0002": "A construct that a transformation may not use",
    "LW0003": "A limit of Lurewire",
    "LW0004": "The engine stopped while it ran the query",
} | {code: text for code, (_, text) in OWN_CODES.items()}


def report(findings: Sequence[Finding], queries: int, kind: str) -> str:
    """The findings of that many checked queries, in one of the forms of `REPORTS`."""
    return REPORTS[kind](findings, queries)


def _text(findings: Sequence[Finding], queries: int) -> str:
    lines = [_line(one) for one in findings]
    errors = sum(one.severity == "error" for one in findings)
    warnings = len(findings) - errors
    lines.append(
        f"{_counted(queries, 'query', 'queries')}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
    )
    return "\n".join(lines)


def _line(one: Finding) -> str:
    hint = f" ({one.hint})" if one.hint else ""
    level = "" if one.severity == "error" else "warning: "
    return inert(f"{one.path}:{one.line}:{one.column}: {one.code} {level}{one.message}{hint}")


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _json(findings: Sequence[Finding], queries: int) -> str:
    return json.dumps({"queries": queries, "findings": [_plain(one) for one in findings]}, indent=2)


def _plain(one: Finding) -> dict[str, Any]:
    return {
        "path": one.path,
        "line": one.line,
        "column": one.column,
        "code": one.code,
        "severity": one.severity,
        "message": one.message,
        "hint": one.hint or None,
        "query": one.query,
    }


def _sarif(findings: Sequence[Finding], _queries: int) -> str:
    codes = sorted({one.code for one in findings})
    rules = [{"id": code, "shortDescription": {"text": _CODES.get(code, code)}} for code in codes]
    driver = {"name": "lurewire", "version": __version__, "rules": rules}
    results = [_result(one, codes.index(one.code)) for one in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(one: Finding, index: int) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": quote(PurePath(one.path).as_posix())},
        "region": {"startLine": one.line, "startColumn": one.column},
    }
    text = f"{one.message} ({one.hint})" if one.hint else one.message
    return {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": one.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


#: The forms of a report.
REPORTS: dict[str, Callable[[Sequence[Finding], int], str]] = {"text": _text, "json": _json, "sarif": _sarif}
