"""Control actions: If, Switch, Scope, For each, Until, Terminate.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#control-workflow-actions
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lurewire.expressions.values import kind
from lurewire.playbooks.conditions import check_condition, holds
from lurewire.playbooks.durations import seconds
from lurewire.playbooks.engine import scope_problem
from lurewire.playbooks.frames import Frame
from lurewire.playbooks.models import ABSENT, Outcome, Problem, Status
from lurewire.playbooks.registry import ActionError, ActionType, Branch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation

_URL = "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers"
_DEFAULT_CONCURRENCY = 20
_DEFAULT_UNTIL_COUNT, _DEFAULT_UNTIL_TIMEOUT = 60, "PT1H"


def _ended(status: Status, **known: Any) -> Outcome:
    if status is Status.SUCCEEDED:
        return Outcome(status, **known)
    problem = scope_problem(status)
    return Outcome(status, problem.code, problem=problem, **known)


def _branch(action: dict[str, Any], name: str, where: str) -> list[Branch]:
    holder = action.get(name)
    if not isinstance(holder, dict):
        return []
    return [Branch(name, holder.get("actions"), f"{where}/{name}/actions")]


def _actions(action: dict[str, Any], where: str) -> list[Branch]:
    return [Branch("actions", action.get("actions"), f"{where}/actions")]


# If


def _check_if(check: Check) -> None:
    check.required(check.definition, ("expression",), "")
    check_condition(check, check.definition["expression"], "expression")
    if "else" in check.definition:
        check.only(check.mapping(check.definition["else"], "else"), frozenset({"actions"}), "else")


async def _run_if(invocation: ActionInvocation) -> Outcome:
    if invocation.decided is None:
        invocation.decide(holds(invocation, invocation.action.definition["expression"], "expression"))
    taken: bool = invocation.record.state
    status = await _take(invocation, "actions" if taken else "else")
    return _ended(status, inputs={"expressionResult": taken})


async def _take(invocation: ActionInvocation, label: str | None) -> Status:
    action = invocation.action
    for other, graph in action.graphs.items():
        if other != label:
            message = f"The branch that holds the action was not taken by '{action.name}'."
            invocation.skip(graph, invocation.frame, Problem("ActionBranchingConditionNotSatisfied", message))
    if label not in action.graphs:
        return Status.SUCCEEDED
    return await invocation.execute(action.graphs[label], invocation.frame)


# Switch


def _check_switch(check: Check) -> None:
    check.required(check.definition, ("expression", "cases"), "")
    check.expressions(check.definition["expression"], "expression")
    cases = check.mapping(check.definition["cases"], "cases")
    if len(cases) > check.known.limits["playbooks.switch_cases"]:
        check.refuse(f"a Switch has at most {check.known.limits['playbooks.switch_cases']} cases", "cases")
    seen: list[Any] = []
    for name, case in cases.items():
        place = f"cases/{name}"
        check.only(check.mapping(case, place), frozenset({"case", "actions"}), place)
        check.required(case, ("case",), place)
        value = case["case"]
        if not isinstance(value, str | int) or isinstance(value, bool):
            check.refuse("a case is a string or an integer", f"{place}/case")
        check.constant(value, f"{place}/case")
        if value in seen:
            check.refuse("the case is there twice", f"{place}/case")
        seen.append(value)
    if "default" in check.definition:
        check.only(check.mapping(check.definition["default"], "default"), frozenset({"actions"}), "default")


def _switch_branches(action: dict[str, Any], where: str) -> list[Branch]:
    cases = action.get("cases")
    found = [
        Branch(f"case {name}", case.get("actions"), f"{where}/cases/{name}/actions")
        for name, case in (cases.items() if isinstance(cases, dict) else ())
        if isinstance(case, dict)
    ]
    return found + _branch(action, "default", where)


async def _run_switch(invocation: ActionInvocation) -> Outcome:
    definition = invocation.action.definition
    if invocation.decided is None:
        value = invocation.evaluate(definition["expression"], "expression")
        if not isinstance(value, str | int) or isinstance(value, bool):
            message = f"A Switch compares a string or an integer; its expression gives a value of type '{kind(value)}'."
            raise ActionError("InvalidTemplate", message)
        name = next((name for name, case in definition["cases"].items() if case["case"] == value), None)
        invocation.decide({"value": value, "label": "default" if name is None else f"case {name}"})
    decision = invocation.record.state
    status = await _take(invocation, decision["label"])
    return _ended(status, inputs={"expressionResult": decision["value"]})


# Scope


def _check_scope(_check: Check) -> None:
    """A scope has nothing of its own."""


async def _run_scope(invocation: ActionInvocation) -> Outcome:
    return _ended(await _take(invocation, "actions"))


# For each


def _check_foreach(check: Check) -> int:
    check.required(check.definition, ("foreach",), "")
    check.expressions(check.definition["foreach"], "foreach")
    configuration = check.mapping(check.definition.get("runtimeConfiguration", {}), "runtimeConfiguration")
    place = "runtimeConfiguration/concurrency"
    concurrency = check.mapping(configuration.get("concurrency", {}), place)
    check.only(concurrency, frozenset({"repetitions"}), place)
    most = check.known.limits["playbooks.foreach_concurrency"]
    repetitions = check.whole_number(concurrency.get("repetitions", _DEFAULT_CONCURRENCY), place, 1, most)
    options = check.definition.get("operationOptions")
    if options is not None:
        check.literal(options, "operationOptions", ("Sequential",))
        return 1
    return repetitions


async def _run_foreach(invocation: ActionInvocation) -> Outcome:
    if invocation.decided is None:
        items = invocation.evaluate(invocation.action.definition["foreach"], "foreach")
        if not isinstance(items, list):
            message = (
                f"The execution of template action '{invocation.action.name}' failed: the result of the evaluation of "
                f"'foreach' expression is of type '{kind(items)}'. The result must be a valid array."
            )
            raise ActionError("ExpressionEvaluationFailed", message)
        most = invocation.services.limits["playbooks.foreach_items"]
        if len(items) > most:
            message = f"The array of a For each has {len(items)} items; the limit is {most}."
            raise ActionError("ForeachItemsLimitExceeded", message)
        invocation.decide({"items": items})
    items = invocation.record.state["items"]
    graph = invocation.action.graphs["actions"]
    if not items:
        empty = Problem("ActionSkipped", f"The array of '{invocation.action.name}' is empty.")
        invocation.skip(graph, invocation.frame, empty)
        return Outcome(Status.SUCCEEDED, repetitions=0)
    statuses: set[Status] = set()
    left = iter(enumerate(items))

    async def work() -> None:
        for index, item in left:
            frame = Frame(invocation.frame, invocation.action, index, item)
            statuses.add(await invocation.execute(graph, frame))

    concurrency: int = invocation.action.plan
    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(items))):
            workers.create_task(work())
    return _ended(_worst(statuses), repetitions=len(items))


def _worst(statuses: Iterable[Status]) -> Status:
    found = set(statuses)
    return next((status for status in (Status.FAILED, Status.TIMED_OUT) if status in found), Status.SUCCEEDED)


# Until


def _check_until(check: Check) -> None:
    check.required(check.definition, ("expression",), "")
    expression = check.definition["expression"]
    if isinstance(expression, dict):
        check_condition(check, expression, "expression")
    else:
        check.expressions(expression, "expression")
    limit = check.mapping(check.definition.get("limit", {}), "limit")
    check.only(limit, frozenset({"count", "timeout"}), "limit")
    most = check.known.limits["playbooks.until_iterations"]
    if not isinstance(limit.get("count"), str):
        check.whole_number(limit.get("count", _DEFAULT_UNTIL_COUNT), "limit/count", 1, most)
    check.expressions(limit, "limit")


async def _run_until(invocation: ActionInvocation) -> Outcome:
    definition, graph = invocation.action.definition, invocation.action.graphs["actions"]
    count, timeout = _until_limits(invocation)
    clock = invocation.services.clock
    done: int = invocation.decided or 0
    for index in range(done):
        # Iterations of before a restart: all their actions ended, so this only takes them over.
        await invocation.execute(graph, Frame(invocation.frame, invocation.action, index))
    while True:
        frame = Frame(invocation.frame, invocation.action, done)
        status = await invocation.execute(graph, frame)
        done += 1
        if invocation.within(frame, lambda: holds(invocation, definition["expression"], "expression")):
            ended_by = None
            break
        invocation.decide(done)
        if done >= count:
            ended_by = "count"
            break
        if (clock.now() - invocation.started).total_seconds() >= timeout:
            ended_by = "timeout"
            break
    outputs: Any = ABSENT if ended_by is None else {"limit": ended_by}
    return _ended(status, outputs=outputs, repetitions=done)


def _until_limits(invocation: ActionInvocation) -> tuple[int, float]:
    limit = invocation.evaluate(invocation.action.definition.get("limit", {}), "limit")
    count, timeout = limit.get("count", _DEFAULT_UNTIL_COUNT), limit.get("timeout", _DEFAULT_UNTIL_TIMEOUT)
    most = invocation.services.limits["playbooks.until_iterations"]
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
        message = f"The limit 'count' of an Until must be an integer from 1 to {most}."
        raise ActionError("InvalidTemplate", message)
    try:
        return count, seconds(timeout if isinstance(timeout, str) else "")
    except ValueError as error:
        message = f"The limit 'timeout' of an Until is not valid: {error}."
        raise ActionError("InvalidTemplate", message) from None


# Terminate

_TERMINATED = {
    "Succeeded": Status.SUCCEEDED,
    "Failed": Status.FAILED,
    "Cancelled": Status.CANCELLED,
}


def _check_terminate(check: Check) -> Status:
    if check.loops:
        check.refuse(f"a Terminate action cannot be inside the loop '{check.loops[-1]}'")
    inputs = check.inputs
    check.only(inputs, frozenset({"runStatus", "runError"}), "inputs")
    check.required(inputs, ("runStatus",), "inputs")
    check.expressions(inputs.get("runError"), "inputs/runError")
    return _TERMINATED[check.literal(inputs["runStatus"], "inputs/runStatus", tuple(_TERMINATED))]


async def _run_terminate(invocation: ActionInvocation) -> Outcome:
    status: Status = invocation.action.plan
    inputs = invocation.evaluate(invocation.inputs, "inputs")
    invocation.show(inputs)
    error = inputs.get("runError")
    problem = None
    if isinstance(error, dict):
        problem = Problem(str(error.get("code") or "TerminateError"), str(error.get("message") or ""))
    elif status is not Status.SUCCEEDED:
        problem = Problem("TerminateError", f"The run was ended with status '{status}' by '{invocation.action.name}'.")
    raise invocation.terminate(status, problem)


CONTROL: tuple[ActionType, ...] = (
    ActionType(
        "If",
        frozenset({"expression", "actions", "else"}),
        _check_if,
        _run_if,
        f"{_URL}#if-action",
        branches=lambda action, where: _actions(action, where) + _branch(action, "else", where),
    ),
    ActionType(
        "Switch",
        frozenset({"expression", "cases", "default"}),
        _check_switch,
        _run_switch,
        f"{_URL}#switch-action",
        branches=_switch_branches,
    ),
    ActionType("Scope", frozenset({"actions"}), _check_scope, _run_scope, f"{_URL}#scope-action", branches=_actions),
    ActionType(
        "Foreach",
        frozenset({"foreach", "actions"}),
        _check_foreach,
        _run_foreach,
        f"{_URL}#foreach-action",
        branches=_actions,
        loop=True,
        collects=True,
    ),
    ActionType(
        "Until",
        frozenset({"expression", "limit", "actions"}),
        _check_until,
        _run_until,
        f"{_URL}#until-action",
        branches=_actions,
        loop=True,
    ),
    ActionType("Terminate", frozenset({"inputs"}), _check_terminate, _run_terminate, f"{_URL}#terminate-action"),
)
