"""Function: a call of an Azure Function, which is somebody's code that does not run here.

The workflow is taken all the same, as one with a connector that does not run; the action fails by name.
Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#function-action
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.playbooks.registry import ActionError, ActionType

if TYPE_CHECKING:
    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation
    from lurewire.playbooks.models import Outcome

_INPUTS = frozenset({"function", "method", "headers", "queries", "body", "authentication", "retryPolicy"})


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    """The function that an action calls, by the tail of its id."""

    name: str

    @property
    def not_run(self) -> str:
        """Why it is not called."""
        return f"Lurewire does not run Azure Functions: the function '{self.name[:80]}' is not called."


def _check(check: Check) -> FunctionPlan:
    inputs = check.inputs
    check.only(inputs, _INPUTS, "inputs")
    check.expressions(inputs, "inputs")
    function = check.mapping(inputs.get("function"), "inputs/function")
    if not isinstance(function.get("id"), str):
        check.refuse("it must name the function", "inputs/function/id")
    return FunctionPlan(function["id"].rstrip("/").rpartition("/")[2])


async def _run(invocation: ActionInvocation) -> Outcome:
    invocation.show({"function": invocation.inputs["function"]})
    raise ActionError("NotSupported", invocation.action.plan.not_run)


FUNCTION: tuple[ActionType, ...] = (
    ActionType(
        "Function",
        frozenset({"inputs"}),
        _check,
        _run,
        "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#function-action",
    ),
)
