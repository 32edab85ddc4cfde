"""The condition of an If action: a tree of operators, or one expression.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#if-action
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.expressions import ExpressionError, FunctionError
from lurewire.expressions.values import compact_json, kind
from lurewire.playbooks.functions import TABLE

if TYPE_CHECKING:
    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation

_GROUPS = ("and", "or")
_COMPARISONS = {
    "equals": 2,
    "greater": 2,
    "greaterorequals": 2,
    "less": 2,
    "lessorequals": 2,
    "contains": 2,
    "startswith": 2,
    "endswith": 2,
    "empty": 1,
}


def check_condition(check: Check, value: Any, place: str) -> None:
    """Refuse a condition that has an unknown operator or the wrong number of operands."""
    if isinstance(value, str):
        check.expressions(value, place)
        return
    operator, operands, at = _operator(check.mapping(value, place), place, check)
    if operator in _GROUPS:
        if not isinstance(operands, list) or not operands:
            check.refuse(f"'{operator}' takes an array of conditions that is not empty", at)
        for index, operand in enumerate(operands):
            check_condition(check, operand, f"{at}/{index}")
    elif operator == "not":
        check_condition(check, _negated(operands), at)
    else:
        count = _COMPARISONS[operator]
        if not isinstance(operands, list) or len(operands) != count:
            check.refuse(f"'{operator}' takes an array of {count} value{'s' if count > 1 else ''}", at)
        check.expressions(operands, at)


def _operator(value: dict[str, Any], place: str, check: Check) -> tuple[str, Any, str]:
    if len(value) != 1:
        check.refuse("a condition is an object with one operator", place)
    name, operands = next(iter(value.items()))
    operator = name.lower()
    if operator not in (*_GROUPS, "not", *_COMPARISONS):
        check.refuse(f"'{name[:40]}' is not one of and, or, not, {', '.join(_COMPARISONS)}", place)
    return operator, operands, f"{place}/{name}"


def _negated(operands: Any) -> Any:
    # Both forms are met: an object, and an array with that object.
    return operands[0] if isinstance(operands, list) and len(operands) == 1 else operands


def holds(invocation: ActionInvocation, value: Any, place: str) -> bool:
    """Whether a condition is true; only what decides is evaluated. Raises `ExpressionError`."""
    if isinstance(value, str):
        result = invocation.evaluate(value, place)
        if not isinstance(result, bool):
            message = f"A condition must give a Boolean; this one gives a value of type '{kind(result)}'."
            raise ExpressionError("InvalidTemplate", message, value, 0, f"{invocation.action.where}/{place}")
        return result
    name, operands = next(iter(value.items()))
    operator, at = name.lower(), f"{place}/{name}"
    if operator == "and":
        return all(holds(invocation, operand, f"{at}/{index}") for index, operand in enumerate(operands))
    if operator == "or":
        return any(holds(invocation, operand, f"{at}/{index}") for index, operand in enumerate(operands))
    if operator == "not":
        return not holds(invocation, _negated(operands), at)
    return _compare(invocation, operator, operands, at)


def _compare(invocation: ActionInvocation, operator: str, operands: list[Any], place: str) -> bool:
    row = TABLE.find(operator, len(operands))
    values = invocation.evaluate(operands, place)
    try:
        return bool(row.call(invocation.context(), values))
    except FunctionError as error:
        message = f"The template language function '{row.name}' {error.detail} See {row.url}"
        where = f"{invocation.action.where}/{place}"
        raise ExpressionError("InvalidTemplate", message, compact_json(operands), 0, where) from error
