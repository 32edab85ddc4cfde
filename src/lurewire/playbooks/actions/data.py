"""Data operations: Compose, Parse JSON, Filter array (Query), Select, Join.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-perform-data-operations
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.values import content_bytes, is_content, kind, text
from lurewire.playbooks.models import Outcome, Problem, Status
from lurewire.playbooks.registry import ActionError, ActionType
from lurewire.playbooks.schemas import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation

_URL = "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers"


def as_body(inputs: Any, body: Any) -> Outcome:
    """An outcome whose outputs are a body."""
    return Outcome(Status.SUCCEEDED, "OK", inputs, {"body": body})


# Compose


def _check_compose(check: Check) -> None:
    check.required(check.definition, ("inputs",), "")
    check.expressions(check.definition["inputs"], "inputs")


async def _run_compose(invocation: ActionInvocation) -> Outcome:
    value = invocation.evaluate(invocation.inputs, "inputs")
    return Outcome(Status.SUCCEEDED, "OK", value, value)


# Parse JSON


def _check_parse_json(check: Check) -> Schema:
    inputs = check.inputs
    check.only(inputs, frozenset({"content", "schema"}), "inputs")
    check.required(inputs, ("content", "schema"), "inputs")
    check.expressions(inputs["content"], "inputs/content")
    return Schema(inputs["schema"], check, "inputs/schema")


async def _run_parse_json(invocation: ActionInvocation) -> Outcome:
    schema: Schema = invocation.action.plan
    content = invocation.evaluate(invocation.inputs["content"], "inputs/content")
    inputs = {"content": content, "schema": invocation.inputs["schema"]}
    invocation.show(inputs)
    value = _parsed(content)
    errors = schema.errors(value)
    if errors:
        first = errors[0]
        at = f" at '{first['path']}'" if first.get("path") else ""
        problem = Problem("SchemaValidationFailed", f"The schema validation failed{at}: {first['message']}")
        return Outcome(Status.FAILED, problem.code, inputs, {"body": None, "errors": errors}, problem)
    return as_body(inputs, value)


def _parsed(content: Any) -> Any:
    if content is None:
        raise ActionError("InvalidTemplate", "The property 'content' of Parse JSON must not be null.")
    try:
        if is_content(content):
            return msgspec.json.decode(content_bytes(content))
        if isinstance(content, str):
            return msgspec.json.decode(content)
    except (msgspec.DecodeError, FunctionError, UnicodeError, RecursionError) as error:
        message = f"The property 'content' of Parse JSON is not valid JSON: {error}."
        raise ActionError("InvalidJSON", message) from None
    return content


# Filter array, Select, Join


def source_array(invocation: ActionInvocation) -> list[Any]:
    """What `from` gives; raises `ActionError` where it is no array."""
    value = invocation.evaluate(invocation.inputs["from"], "inputs/from")
    if not isinstance(value, list):
        message = (
            f"The 'from' property value in the '{invocation.action.type.name.lower()}' action inputs is of type "
            f"'{kind(value)}'. The value must be an array."
        )
        raise ActionError("BadRequest", message)
    return value


def each(invocation: ActionInvocation, items: list[Any], value: Any, place: str) -> Iterator[Any]:
    """What `value`, at `place` in the action, gives for each item."""
    stack = invocation.context().items
    for item in items:
        stack.append(item)
        try:
            yield invocation.evaluate(value, place)
        finally:
            stack.pop()


def _check_query(check: Check) -> None:
    inputs = check.inputs
    check.only(inputs, frozenset({"from", "where"}), "inputs")
    check.required(inputs, ("from", "where"), "inputs")
    if not isinstance(inputs["where"], str):
        check.refuse("the property 'where' must be an expression", "inputs/where")
    check.expressions(inputs, "inputs")


async def _run_query(invocation: ActionInvocation) -> Outcome:
    items = source_array(invocation)
    invocation.show({"from": items, "where": invocation.inputs["where"]})
    kept = []
    for item, wanted in zip(items, each(invocation, items, invocation.inputs["where"], "inputs/where"), strict=True):
        if not isinstance(wanted, bool):
            message = f"The 'where' of a Filter array must give a Boolean; it gives a value of type '{kind(wanted)}'."
            raise ActionError("InvalidTemplate", message)
        if wanted:
            kept.append(item)
    return as_body(invocation.record.inputs, kept)


def _check_select(check: Check) -> None:
    inputs = check.inputs
    check.only(inputs, frozenset({"from", "select"}), "inputs")
    check.required(inputs, ("from", "select"), "inputs")
    check.expressions(inputs, "inputs")


async def _run_select(invocation: ActionInvocation) -> Outcome:
    items = source_array(invocation)
    invocation.show({"from": items, "select": invocation.inputs["select"]})
    return as_body(
        invocation.record.inputs, list(each(invocation, items, invocation.inputs["select"], "inputs/select"))
    )


def _check_join(check: Check) -> None:
    inputs = check.inputs
    check.only(inputs, frozenset({"from", "joinWith"}), "inputs")
    check.required(inputs, ("from", "joinWith"), "inputs")
    check.expressions(inputs, "inputs")


async def _run_join(invocation: ActionInvocation) -> Outcome:
    items = source_array(invocation)
    delimiter = invocation.evaluate(invocation.inputs["joinWith"], "inputs/joinWith")
    inputs = {"from": items, "joinWith": delimiter}
    invocation.show(inputs)
    if not isinstance(delimiter, str):
        message = f"The 'joinWith' of a Join must be a string; it is of type '{kind(delimiter)}'."
        raise ActionError("BadRequest", message)
    return as_body(inputs, delimiter.join(text(item) for item in items))


DATA: tuple[ActionType, ...] = (
    ActionType(
        "Compose", frozenset({"inputs"}), _check_compose, _run_compose, f"{_URL}#compose-action", hides_outputs=True
    ),
    ActionType(
        "ParseJson",
        frozenset({"inputs"}),
        _check_parse_json,
        _run_parse_json,
        f"{_URL}#parse-json-action",
        hides_outputs=True,
    ),
    ActionType("Query", frozenset({"inputs"}), _check_query, _run_query, f"{_URL}#query-action"),
    ActionType("Select", frozenset({"inputs"}), _check_select, _run_select, f"{_URL}#select-action"),
    ActionType("Join", frozenset({"inputs"}), _check_join, _run_join, f"{_URL}#join-action"),
)
