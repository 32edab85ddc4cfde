"""Table: an array as HTML or CSV.

Without `columns` there is one for each property that an item has, in the order in which they are met. HTML is escaped; a
CSV value is quoted where it holds a comma, a quote or a line break.
Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#table-action
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from lurewire.expressions.values import kind, text
from lurewire.playbooks.actions.data import as_body, each, source_array
from lurewire.playbooks.registry import ActionError, ActionType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation
    from lurewire.playbooks.models import Outcome

_URL = "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#table-action"


def _check(check: Check) -> str:
    inputs = check.inputs
    check.only(inputs, frozenset({"from", "format", "columns"}), "inputs")
    check.required(inputs, ("from", "format"), "inputs")
    check.expressions(inputs["from"], "inputs/from")
    columns = inputs.get("columns", [])
    if not isinstance(columns, list):
        check.refuse("it must be an array", "inputs/columns")
    for index, column in enumerate(columns):
        place = f"inputs/columns/{index}"
        check.only(check.mapping(column, place), frozenset({"header", "value"}), place)
        check.required(column, ("header", "value"), place)
    check.expressions(columns, "inputs/columns")
    return check.literal(inputs["format"], "inputs/format", tuple(_FORMATS))


async def _run(invocation: ActionInvocation) -> Outcome:
    items = source_array(invocation)
    columns = invocation.inputs.get("columns")
    inputs = {"from": items, "format": invocation.action.plan}
    invocation.show(inputs if columns is None else inputs | {"columns": columns})
    if columns is None:
        headers, rows = _all_properties(items)
    else:
        written = [column["header"] for column in columns]
        headers = [text(one) for one in invocation.evaluate(written, "inputs/columns")]
        cells = [column["value"] for column in columns]
        rows = [[text(one) for one in row] for row in each(invocation, items, cells, "inputs/columns")]
    return as_body(invocation.record.inputs, _FORMATS[invocation.action.plan](headers, rows))


def _all_properties(items: list[Any]) -> tuple[list[str], list[list[str]]]:
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            message = (
                f"A Table without 'columns' takes an array of objects; its item number {index + 1} is of type "
                f"'{kind(item)}'."
            )
            raise ActionError("BadRequest", message)
    headers = list(dict.fromkeys(name for item in items for name in item))
    return headers, [[text(item.get(name)) for name in headers] for item in items]


def as_html(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as one line of HTML."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{_escaped(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', headers)}</thead><tbody>{body}</tbody></table>"


def _escaped(cell: str) -> str:
    return html.escape(cell).replace("&#x27;", "&#39;")  # as .NET writes it


def as_csv(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table by RFC 4180, its first line the headers."""
    return "".join(",".join(_quoted(cell) for cell in row) + "\r\n" for row in (headers, *rows))


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(one in cell for one in ',"\r\n') else cell


_FORMATS: dict[str, Callable[[Sequence[str], Sequence[Sequence[str]]], str]] = {"HTML": as_html, "CSV": as_csv}

TABLE: tuple[ActionType, ...] = (ActionType("Table", frozenset({"inputs"}), _check, _run, _URL),)
