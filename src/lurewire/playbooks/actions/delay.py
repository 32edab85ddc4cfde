"""Wait: a delay, or until a time. It survives a restart: what counts is when it began.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#wait-action
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.expressions.moments import TICKS_PER_SECOND, Moment, MomentError
from lurewire.playbooks.durations import UNITS
from lurewire.playbooks.models import Outcome, Status
from lurewire.playbooks.registry import ActionError, ActionType

if TYPE_CHECKING:
    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation

_MONTHS = {"month": 1}


def _check(check: Check) -> None:
    inputs = check.inputs
    check.only(inputs, frozenset({"interval", "until"}), "inputs")
    if len(inputs) != 1:
        check.refuse("a Wait has either 'interval' or 'until'", "inputs")
    name, properties = next(iter(inputs.items()))
    place = f"inputs/{name}"
    wanted = ("count", "unit") if name == "interval" else ("timestamp",)
    check.only(check.mapping(properties, place), frozenset(wanted), place)
    check.required(properties, wanted, place)
    check.expressions(inputs, "inputs")


async def _run(invocation: ActionInvocation) -> Outcome:
    inputs = invocation.evaluate(invocation.inputs, "inputs")
    invocation.show(inputs)
    clock = invocation.services.clock
    until = _end(inputs, Moment.of(invocation.started))
    while (left := until.ticks - Moment.of(clock.now()).ticks) > 0:
        await clock.sleep(max(left / TICKS_PER_SECOND, 1e-6))  # clocks have microseconds, timestamps ticks
    return Outcome(Status.SUCCEEDED, "OK", inputs)


def _end(inputs: dict[str, Any], started: Moment) -> Moment:
    try:
        if "until" in inputs:
            timestamp = inputs["until"]["timestamp"]
            return Moment.parse(timestamp if isinstance(timestamp, str) else "")
        count, unit = inputs["interval"]["count"], str(inputs["interval"]["unit"]).lower()
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ActionError("BadRequest", "The 'count' of a Wait must be an integer that is not negative.")
        if unit in _MONTHS:
            return started.plus_months(count * _MONTHS[unit])
        if unit not in UNITS:
            message = f"The 'unit' of a Wait is '{unit[:40]}'; it can be {', '.join((*UNITS, *_MONTHS))}."
            raise ActionError("BadRequest", message)
        return started.plus_ticks(count * UNITS[unit] * TICKS_PER_SECOND)
    except MomentError as error:
        message = f"The time of a Wait is not valid: {error}."
        raise ActionError("BadRequest", message) from None


DELAY: tuple[ActionType, ...] = (
    ActionType(
        "Wait",
        frozenset({"inputs"}),
        _check,
        _run,
        "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#wait-action",
        effect=lambda _action: True,
    ),
)
