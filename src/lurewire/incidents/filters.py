"""`$filter`, `$orderby`, `$top` and `$skipToken` of the incident list.

Source: https://learn.microsoft.com/rest/api/securityinsights/incidents/list. Comparisons of these properties joined by
`and` are understood; anything else is refused by name.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from lurewire.incidents import tables as t
from lurewire.incidents import times
from lurewire.incidents.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PROPERTIES: Final[dict[str, sa.Column[Any]]] = {
    "properties/status": t.incidents.c.status,
    "properties/severity": t.incidents.c.severity,
    "properties/title": t.incidents.c.title,
    "properties/classification": t.incidents.c.classification,
    "properties/incidentnumber": t.incidents.c.number,
    "properties/createdtimeutc": t.incidents.c.created,
    "properties/lastmodifiedtimeutc": t.incidents.c.modified,
    "properties/firstactivitytimeutc": t.incidents.c.first_activity,
    "properties/lastactivitytimeutc": t.incidents.c.last_activity,
    "name": t.incidents.c.name,
}
_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_CLAUSE: Final = re.compile(r"\s*([\w/]+)\s+(\w+)\s+('(?:[^']|'')*'|[^\s']+)\s*", re.ASCII)
_AND: Final = re.compile(r"and\s", re.ASCII | re.IGNORECASE)


def page(workspace: str, parameters: Mapping[str, str], largest: int) -> tuple[sa.Select[Any], int, int]:
    """The query of a page, its size and its offset. Raises `BadRequest`, which names the parameter."""
    top = _whole(parameters, "$top", largest)
    skip = _whole(parameters, "$skipToken", 0)
    if not 1 <= top <= largest:
        raise BadRequest(f"'$top': {top} is not within 1 to {largest}.")
    query = sa.select(t.incidents).where(t.incidents.c.workspace == workspace.lower())
    for condition in _conditions(parameters.get("$filter", "")):
        query = query.where(condition)
    return query.order_by(*_order(parameters.get("$orderby", ""))).limit(top).offset(skip), top, skip


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(f"'{name}': '{text}' is not a whole number.")
    return int(text)


def _conditions(text: str) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    at = 0
    while at < len(text.rstrip()):
        if found:
            joint = _AND.match(text, at)
            if joint is None:
                raise BadRequest(f"'$filter': 'and' is expected at '{text[at:][:80]}'.")
            at = joint.end()
        clause = _CLAUSE.match(text, at)
        column = _PROPERTIES.get(clause[1].lower()) if clause else None
        compare = _OPERATORS.get(clause[2].lower()) if clause else None
        if clause is None or column is None or compare is None:
            known = ", ".join(_PROPERTIES)
            raise BadRequest(
                f"'$filter': '{text[at:][:80]}' is not supported. Comparisons ({', '.join(_OPERATORS)}) of {known}, "
                "joined by 'and', are."
            )
        found.append(compare(column, _value(column, clause[3])))
        at = clause.end()
    return found


def _value(column: sa.Column[Any], text: str) -> Any:
    plain = text[1:-1].replace("''", "'") if text.startswith("'") else text
    try:
        if column is t.incidents.c.number:
            return int(plain)
        if column.name in ("created", "modified", "first_activity", "last_activity"):
            return times.iso(times.parse(plain))
    except ValueError as error:
        raise BadRequest(f"'$filter': '{plain}' does not fit {column.name}: {error}.") from error
    return plain


def _order(text: str) -> list[sa.ColumnElement[Any]]:
    order: list[sa.ColumnElement[Any]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, direction = part.partition(" ")
        column = _PROPERTIES.get(name.lower())
        if column is None or direction.strip().lower() not in ("", "asc", "desc"):
            raise BadRequest(f"'$orderby': '{part}' is not supported. These are: {', '.join(_PROPERTIES)}.")
        order.append(column.desc() if direction.strip().lower() == "desc" else column.asc())
    return [*order, t.incidents.c.number.desc()]
