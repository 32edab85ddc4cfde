"""Variables of a run.

A variable without a value is empty where its type has an empty value (`""`, `[]`), else null.
Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-create-variables-store-values
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.expressions import Call, Literal, parse, references
from lurewire.expressions.evaluator import strings
from lurewire.expressions.functions.arguments import INT64_MAX, INT64_MIN
from lurewire.expressions.values import is_number, kind, text
from lurewire.playbooks.models import Outcome, Record, Status
from lurewire.playbooks.registry import ActionError, ActionType
from lurewire.playbooks.run import Run, Variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation

_URL = "https://learn.microsoft.com/azure/logic-apps/logic-apps-create-variables-store-values"

_TYPES: dict[str, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": is_number,
    "string": lambda value: isinstance(value, str),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def _initial(type_name: str) -> Any:
    return {"string": "", "array": []}.get(type_name)


def _mismatch(action: str, name: str, wanted: str, value: Any) -> ActionError:
    return ActionError(
        "BadRequest",
        f"The variable '{name}' of type '{wanted.capitalize()}' cannot be set by action '{action}' to a value of type "
        f"'{kind(value)}'.",
    )


# What an action does to the variables, given its evaluated inputs: the same when a run is taken up again.


def _initialize(run: Run, action: str, inputs: dict[str, Any]) -> None:
    for variable in inputs["variables"]:
        name, wanted = variable["name"], variable["type"].lower()
        value = variable.get("value")
        if value is None:
            value = _initial(wanted)
        elif not _TYPES[wanted](value):
            raise _mismatch(action, name, wanted, value)
        run.variables[name.lower()] = Variable(wanted, _own(value))


def _own(value: Any) -> Any:
    # Appending changes the array in place, so it must not be the one that a record shows; reading copies it too.
    return list(value) if isinstance(value, list) else value


def _variable(run: Run, action: str, inputs: dict[str, Any]) -> Variable:
    name = inputs["name"]
    found = run.variables.get(name.lower())
    if found is None:
        message = f"The variable '{name}' is used by action '{action}' before it is initialized."
        raise ActionError("BadRequest", message)
    return found


def _set(run: Run, action: str, inputs: dict[str, Any]) -> None:
    variable, value = _variable(run, action, inputs), inputs.get("value")
    if value is not None and not _TYPES[variable.type](value):
        raise _mismatch(action, inputs["name"], variable.type, value)
    variable.value = _own(value)


def _append_to_array(run: Run, action: str, inputs: dict[str, Any]) -> None:
    variable = _variable(run, action, inputs)
    if variable.value is None:
        variable.value = []
    variable.value.append(inputs.get("value"))


def _append_to_string(run: Run, action: str, inputs: dict[str, Any]) -> None:
    variable = _variable(run, action, inputs)
    variable.value = (variable.value or "") + text(inputs.get("value"))


def _step(sign: int) -> Callable[[Run, str, dict[str, Any]], None]:
    def change(run: Run, action: str, inputs: dict[str, Any]) -> None:
        variable, by = _variable(run, action, inputs), inputs.get("value", 1)
        if not _TYPES[variable.type](by):
            raise _mismatch(action, inputs["name"], variable.type, by)
        changed = (variable.value or 0) + sign * by
        if isinstance(changed, int) and not INT64_MIN <= changed <= INT64_MAX:
            message = f"The variable '{inputs['name']}' would not fit in a 64-bit integer."
            raise ActionError("BadRequest", message)
        variable.value = changed

    return change


_EFFECTS: dict[str, Callable[[Run, str, dict[str, Any]], None]] = {
    "InitializeVariable": _initialize,
    "SetVariable": _set,
    "AppendToArrayVariable": _append_to_array,
    "AppendToStringVariable": _append_to_string,
    "IncrementVariable": _step(1),
    "DecrementVariable": _step(-1),
}


def replay(run: Run, records: list[Record]) -> None:
    """Set the variables as completed actions (in the order in which they ended) left them."""
    for record in records:
        effect = _EFFECTS.get(record.type)
        if effect is not None and record.status is Status.SUCCEEDED:
            effect(run, record.name, record.inputs)


async def _run(invocation: ActionInvocation) -> Outcome:
    inputs = invocation.evaluate(invocation.inputs, "inputs")
    invocation.show(inputs)
    _EFFECTS[invocation.action.type.name](invocation.run, invocation.action.name, inputs)
    if "variables" in inputs:
        return Outcome(Status.SUCCEEDED, "OK", inputs)
    variable = invocation.run.variables[inputs["name"].lower()]
    _check_size(invocation, inputs["name"], variable)
    return Outcome(
        Status.SUCCEEDED, "OK", inputs, {"body": {"name": inputs["name"], "type": variable.type.capitalize()}}
    )


def _check_size(invocation: ActionInvocation, name: str, variable: Variable) -> None:
    limits = invocation.services.limits
    limit = {"array": "playbooks.variable_items", "string": "playbooks.variable_characters"}.get(variable.type)
    if limit is not None and variable.value is not None and len(variable.value) > limits[limit]:
        message = f"The variable '{name}' is longer than {limits[limit]} {limits.declared(limit).unit.split()[0]}."
        raise ActionError("VariableLimitExceeded", message)


# Checks


def _check_initialize(check: Check) -> None:
    if not check.top_level:
        check.refuse("a variable is initialized at the top level of the workflow, not inside another action")
    inputs = check.inputs
    check.only(inputs, frozenset({"variables"}), "inputs")
    variables = inputs.get("variables")
    if not isinstance(variables, list) or not variables:
        check.refuse("it must be an array of variables that is not empty", "inputs/variables")
    for index, variable in enumerate(variables):
        place = f"inputs/variables/{index}"
        check.only(check.mapping(variable, place), frozenset({"name", "type", "value"}), place)
        check.required(variable, ("name", "type"), place)
        check.constant([variable["name"], variable["type"]], place)
        if not isinstance(variable["name"], str):
            check.refuse("a variable's name is a string", f"{place}/name")
        check.literal(variable["type"], f"{place}/type", tuple(_TYPES))
        check.expressions(variable.get("value"), f"{place}/value")


def _check_change(*types: str, value: bool = True) -> Callable[[Check], None]:
    def check_change(check: Check) -> None:
        inputs = check.inputs
        check.only(inputs, frozenset({"name", "value"}), "inputs")
        check.required(inputs, ("name", "value") if value else ("name",), "inputs")
        name = inputs["name"]
        known = check.known.variables.get(name.lower()) if isinstance(name, str) else None
        if known is None:
            check.refuse(f"the variable '{name}' is not initialized by any action", "inputs/name")
        if known not in types:
            check.refuse(f"the variable '{name}' is not of type {' or '.join(types)}", "inputs/name")
        check.expressions(inputs.get("value"), "inputs/value")
        if value and any(_reads(call, name) for call in _calls(inputs["value"])):
            message = f"self reference is not supported when updating the value of variable '{name}'"
            check.refuse(message, "inputs/value")

    return check_change


def _calls(value: Any) -> list[Call]:
    found = (tree for source, _ in strings(value, "") if "@" in source for tree in parse(source).trees)
    return [call for tree in found for call in references(tree)]


def _reads(call: Call, name: str) -> bool:
    argument = call.arguments[0] if call.arguments else None
    value = argument.value if isinstance(argument, Literal) else None
    return call.name.lower() == "variables" and isinstance(value, str) and value.lower() == name.lower()


def _type(name: str, check: Callable[[Check], None], anchor: str) -> ActionType:
    return ActionType(name, frozenset({"inputs"}), check, _run, f"{_URL}#{anchor}")


VARIABLES: tuple[ActionType, ...] = (
    _type("InitializeVariable", _check_initialize, "initialize-variable"),
    _type("SetVariable", _check_change(*_TYPES), "set-variable"),
    _type("AppendToArrayVariable", _check_change("array"), "append-to-array-variable"),
    _type("AppendToStringVariable", _check_change("string"), "append-to-string-variable"),
    _type("IncrementVariable", _check_change("integer", "float", value=False), "increment-variable"),
    _type("DecrementVariable", _check_change("integer", "float", value=False), "decrement-variable"),
)
