"""The `$filter` of a list of runs.

Source: https://learn.microsoft.com/rest/api/logic/workflow-runs/list
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lurewire.expressions.moments import TICKS_PER_SECOND, Moment, MomentError
from lurewire.playbooks.errors import InvalidFilter
from lurewire.playbooks.models import Status
from lurewire.playbooks.tables import runs

if TYPE_CHECKING:
    import sqlalchemy as sa

_TERM = re.compile(r"(?P<name>status|startTime)\s+(?P<operator>eq|ge|gt|le|lt)\s+(?P<value>'[^']*'|\S+)", re.IGNORECASE)
_EPOCH = Moment.parse("1970-01-01T00:00:00Z").ticks


def parse_filter(text: str | None) -> list[sa.ColumnElement[bool]]:
    """Conditions joined by `and`: `status eq 'Failed'`, `startTime ge 2026-11-22T00:00:00Z`; raises `InvalidFilter`."""
    if not text or not text.strip():
        return []
    found: list[sa.ColumnElement[bool]] = []
    for term in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE):
        match = _TERM.fullmatch(term)
        if match is None:
            message = (
                f"The filter '{term[:100]}' is not understood; it can be status eq 'X' or startTime ge|gt|le|lt X."
            )
            raise InvalidFilter(message)
        operator, value = match["operator"].lower(), match["value"].strip("'")
        found.append(_status(operator, value) if match["name"].lower() == "status" else _time(operator, value))
    return found


def _status(operator: str, value: str) -> sa.ColumnElement[bool]:
    known = {status.value.lower(): status.value for status in Status}
    if operator != "eq" or value.lower() not in known:
        message = (
            f"The filter status {operator} '{value[:40]}' is not understood; it can be eq one of {', '.join(Status)}."
        )
        raise InvalidFilter(message)
    return runs.c.status == known[value.lower()]


def _time(operator: str, value: str) -> sa.ColumnElement[bool]:
    try:
        seconds = (Moment.parse(value).ticks - _EPOCH) / TICKS_PER_SECOND
    except MomentError as error:
        message = f"The filter startTime {operator} is not understood: {error}."
        raise InvalidFilter(message) from None
    column = runs.c.started
    return {
        "eq": column == seconds,
        "ge": column >= seconds,
        "gt": column > seconds,
        "le": column <= seconds,
        "lt": column < seconds,
    }[operator]
