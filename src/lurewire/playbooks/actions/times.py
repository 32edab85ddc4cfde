"""Expression: the designer's date and time actions; each kind is a function of the expression language.

Source: https://learn.microsoft.com/azure/connectors/connectors-native-date-time (the kinds, as the designer writes them)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.expressions import FunctionError
from lurewire.playbooks.actions.data import as_body
from lurewire.playbooks.functions import TABLE
from lurewire.playbooks.registry import ActionError, ActionType

if TYPE_CHECKING:
    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation
    from lurewire.playbooks.models import Outcome

_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    # the function, and the inputs that are its parameters
    "CurrentTime": ("utcNow", ()),
    "AddToTime": ("addToTime", ("baseTime", "interval", "timeUnit")),
    "SubtractFromTime": ("subtractFromTime", ("baseTime", "interval", "timeUnit")),
    "GetFutureTime": ("getFutureTime", ("interval", "timeUnit")),
    "GetPastTime": ("getPastTime", ("interval", "timeUnit")),
}


def _check(check: Check) -> str:
    kind = check.definition.get("kind")
    if isinstance(kind, str) and kind.lower() == "converttimezone":
        check.unsupported(f"the kind '{kind}' of an Expression action", "kind")
    kind = check.literal(kind, "kind", tuple(_KINDS))
    names = _KINDS[kind][1]
    inputs = check.mapping(check.definition.get("inputs", {}), "inputs")
    check.only(inputs, frozenset(names), "inputs")
    check.required(inputs, names, "inputs")
    check.expressions(inputs, "inputs")
    return kind


async def _run(invocation: ActionInvocation) -> Outcome:
    inputs = invocation.evaluate(invocation.inputs or {}, "inputs")
    invocation.show(inputs)
    name, parameters = _KINDS[invocation.action.plan]
    row = TABLE.find(name, len(parameters))
    try:
        value = row.call(invocation.context(), [inputs[one] for one in parameters])
    except FunctionError as error:
        message = f"The action's function '{row.name}' {error.detail} See {row.url}"
        raise ActionError("InvalidTemplate", message) from None
    return as_body(inputs, value)


TIMES: tuple[ActionType, ...] = (
    ActionType(
        "Expression",
        frozenset({"inputs", "kind"}),
        _check,
        _run,
        "https://learn.microsoft.com/azure/connectors/connectors-native-date-time",
    ),
)
