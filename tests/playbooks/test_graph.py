"""Who runs after whom, what is skipped, and what a scope and a run come to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.playbooks.rig import OK, Rig, Web, compose, failing, http, workflow

from lurewire.playbooks import Status

FAILED = ["Failed"]
ANY = ["Succeeded", "FAILED", "skipped", "TimedOut"]


def scope(actions: dict[str, Any], after: dict[str, list[str]] | None = None) -> dict[str, Any]:
    return {"type": "Scope", "actions": actions, "runAfter": after or {}}


def foreach(
    over: Any, actions: dict[str, Any], after: dict[str, list[str]] | None = None, **more: Any
) -> dict[str, Any]:
    return {"type": "Foreach", "foreach": over, "actions": actions, "runAfter": after or {}, **more}


def condition(expression: Any, then: dict[str, Any], otherwise: dict[str, Any] | None = None) -> dict[str, Any]:
    branch = {} if otherwise is None else {"else": {"actions": otherwise}}
    return {"type": "If", "expression": expression, "actions": then, **branch}


@pytest.mark.parametrize(
    ("actions", "statuses", "run"),
    [
        # A failure skips what waits for success, and what waits for the skipped; the run fails by the leaf's origin.
        (
            {"A": failing(), "B": compose(1, {"A": OK}), "C": compose(1, {"B": OK})},
            {"A": "Failed", "B": "Skipped", "C": "Skipped"},
            "Failed",
        ),
        # A handler that succeeds makes the run succeed.
        ({"A": failing(), "B": compose(1, {"A": FAILED})}, {"A": "Failed", "B": "Succeeded"}, "Succeeded"),
        # A handler that is not needed is skipped, and takes the status of what it waited for.
        ({"A": compose(1), "B": compose(1, {"A": FAILED})}, {"A": "Succeeded", "B": "Skipped"}, "Succeeded"),
        # Skipped runs on only where Skipped is listed.
        (
            {"A": compose(1), "B": compose(1, {"A": FAILED}), "C": compose(1, {"B": ["Skipped"]})},
            {"A": "Succeeded", "B": "Skipped", "C": "Succeeded"},
            "Succeeded",
        ),
        # Every predecessor must fit.
        (
            {"A": compose(1), "B": failing(), "C": compose(1, {"A": OK, "B": OK}), "D": compose(1, {"C": ANY})},
            {"A": "Succeeded", "B": "Failed", "C": "Skipped", "D": "Succeeded"},
            "Succeeded",
        ),
        # One failed branch of two fails the run.
        ({"A": compose(1), "B": failing()}, {"A": "Succeeded", "B": "Failed"}, "Failed"),
        # A scope is what its leaves are.
        (
            {"S": scope({"A": failing(), "B": compose(1, {"A": FAILED})}), "C": compose(1, {"S": OK})},
            {"S": "Succeeded", "A": "Failed", "B": "Succeeded", "C": "Succeeded"},
            "Succeeded",
        ),
        (
            {"S": scope({"A": failing()}), "C": compose(1, {"S": FAILED})},
            {"S": "Failed", "A": "Failed", "C": "Succeeded"},
            "Succeeded",
        ),
        ({}, {}, "Succeeded"),
        ({"S": scope({})}, {"S": "Succeeded"}, "Succeeded"),
    ],
)
async def test_statuses(rig: Rig, actions: dict[str, Any], statuses: dict[str, str], run: str) -> None:
    done = await rig.run(actions)
    assert done.statuses() == statuses
    assert done.row.status == run
    if run == "Failed":
        assert done.row.problem is not None
        assert done.row.problem.code == "ActionFailed"


async def test_a_skipped_action_says_which_condition_was_not_met(rig: Rig) -> None:
    done = await rig.run({"A": failing(), "B": compose(1, {"A": OK})})
    problem = done["B"].problem
    assert problem is not None
    assert (done["B"].code, problem.code) == ("ActionSkipped", "ActionConditionFailed")
    assert "'A' is not satisfied. Expected status values 'Succeeded' and actual value 'Failed'" in problem.message


async def test_actions_that_wait_for_nobody_run_at_once(rig: Rig, web: Web) -> None:
    both = asyncio.Event()

    async def respond(_: dict[str, Any]) -> Any:
        from aiohttp.web import Response

        if len(web.seen) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 10)
        return Response(text="x")

    web.respond = respond
    done = await rig.run({"A": http(web.url), "B": http(web.url)})
    assert done.row.status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ({"and": [{"greater": ["@triggerBody()?['score']", 70]}]}, True),
        ({"greater": ["@triggerBody()?['score']", 71]}, False),
        (
            {
                "AND": [
                    {"Not": {"equals": ["@triggerBody()?['name']", "x"]}},
                    {"or": [{"less": [2, 1]}, {"less": [1, 2]}]},
                ]
            },
            True,
        ),
        ({"not": [{"contains": ["@triggerBody()?['name']", "LO"]}]}, True),
        (
            {
                "and": [
                    {"startsWith": ["@triggerBody()?['name']", "HE"]},
                    {"endsWith": ["@triggerBody()?['name']", "o"]},
                ]
            },
            True,
        ),
        ({"empty": ["@triggerBody()?['none']"]}, True),
        ({"or": [{"equals": [1, 1]}, {"greater": ["@int('x')", 1]}]}, True),
        ("@and(equals(triggerBody()?['score'], 71), true)", True),
    ],
)
async def test_conditions(rig: Rig, expression: Any, taken: bool) -> None:
    body = {"score": 71, "name": "hello"}
    done = await rig.run({"If": condition(expression, {"T": compose(1)}, {"F": compose(1)})}, body)
    assert done.row.status is Status.SUCCEEDED
    assert done["If"].inputs == {"expressionResult": taken}
    assert done.statuses() == {
        "If": "Succeeded",
        "T": "Succeeded" if taken else "Skipped",
        "F": "Skipped" if taken else "Succeeded",
    }


@pytest.mark.parametrize(
    ("left", "types"),
    [("@triggerBody()?['missing']", "'Null' and 'Integer'"), ("@{triggerBody()['score']}", "'String' and 'Integer'")],
)
async def test_a_condition_that_cannot_be_compared_fails(rig: Rig, left: str, types: str) -> None:
    actions = {"If": condition({"and": [{"greater": [left, 70]}]}, {"T": compose(1)})}
    done = await rig.run(actions, {"score": 71})
    assert done.row.status is Status.FAILED
    assert done["If"].code == "InvalidTemplate"
    problem = done["If"].problem
    assert problem is not None
    assert types in problem.message
    assert "/actions/If/expression/and/0/greater" in problem.message


async def test_nested_actions_of_a_branch_that_is_not_taken_are_skipped(rig: Rig) -> None:
    inner = {"Inner": condition("@true", {"T": compose(1)}), "L": foreach("@createArray(1)", {"E": compose(1)})}
    done = await rig.run({"If": condition("@false", inner)})
    assert done.statuses() == dict.fromkeys(("Inner", "T", "L", "E"), "Skipped") | {"If": "Succeeded"}


@pytest.mark.parametrize(("value", "case"), [("one", "A"), (2, "B"), ("ONE", "D"), ("2", "D")])
async def test_switch(rig: Rig, value: Any, case: str) -> None:
    switch = {
        "type": "Switch",
        "expression": "@triggerBody()",
        "cases": {"1": {"case": "one", "actions": {"A": compose(1)}}, "2": {"case": 2, "actions": {"B": compose(1)}}},
        "default": {"actions": {"D": compose(1)}},
    }
    done = await rig.run({"S": switch}, value)
    assert {name for name, status in done.statuses().items() if status == "Succeeded"} == {"S", case}


async def test_a_sequential_for_each_is_one_at_a_time_in_order(rig: Rig, web: Web) -> None:
    under_way = 0

    async def respond(_: dict[str, Any]) -> Any:
        from aiohttp.web import Response

        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0.005)
        under_way -= 1
        return Response(text="x")

    web.respond = respond
    loop = foreach("@range(0, 5)", {"H": http(f"{web.url}/@{{item()}}")}, operationOptions="Sequential")
    done = await rig.run({"L": loop})
    assert done.row.status is Status.SUCCEEDED
    assert [seen["path"] for seen in web.seen] == [f"/{index}" for index in range(5)]
    assert done["L"].repetitions == 5


async def test_a_for_each_runs_at_most_20_at_once(rig: Rig, web: Web) -> None:
    under_way = most = 0
    full = asyncio.Event()

    async def respond(_: dict[str, Any]) -> Any:
        from aiohttp.web import Response

        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 20:
            full.set()
        await asyncio.wait_for(full.wait(), 10)
        under_way -= 1
        return Response(text="x")

    web.respond = respond
    done = await rig.run({"L": foreach("@range(0, 60)", {"H": http(web.url)})})
    assert done.row.status is Status.SUCCEEDED
    assert most == 20
    assert len(web.seen) == 60


async def test_a_failing_iteration_fails_the_loop_and_no_other_iteration(rig: Rig) -> None:
    loop = foreach("@createArray('1', 'x', '3')", {"N": compose("@int(item())")})
    done = await rig.run({"L": loop, "After": compose("@outputs('N')", {"L": ["Failed"]})})
    assert done["L"].status is Status.FAILED
    assert [done.repetition("N", index).status for index in range(3)] == ["Succeeded", "Failed", "Succeeded"]
    assert done["After"].outputs == [1, None, 3]


@pytest.mark.parametrize("over", ["@null", "@json('{}')", "@{createArray(1)}", 7])
async def test_a_for_each_over_no_array_fails(rig: Rig, over: Any) -> None:
    done = await rig.run({"L": foreach(over, {"N": compose(1)})})
    assert done["L"].code == "ExpressionEvaluationFailed"
    problem = done["L"].problem
    assert problem is not None
    assert "must be a valid array" in problem.message


async def test_an_empty_for_each_succeeds_and_skips_its_actions(rig: Rig) -> None:
    done = await rig.run({"L": foreach("@json('[]')", {"N": compose(1)})})
    assert done.statuses() == {"L": "Succeeded", "N": "Skipped"}
    assert done["L"].repetitions == 0


async def test_loops_in_loops_see_their_own_iteration(rig: Rig) -> None:
    inner = foreach("@items('Outer')", {"N": compose("@add(item(), length(items('Outer')))")})
    outer = foreach(
        "@createArray(createArray(1), createArray(2, 3))",
        {"Inner": inner, "Sum": compose("@outputs('N')", {"Inner": OK})},
    )
    done = await rig.run({"Outer": outer, "All": compose("@outputs('Sum')", {"Outer": OK})})
    assert done["All"].outputs == [[2], [4, 5]]
    assert done.repetition("N", 1, 0).outputs == 4


async def test_result_gives_records(rig: Rig) -> None:
    actions = {
        "S": scope({"A": compose(1), "B": failing({"A": OK})}),
        "L": foreach("@createArray('a')", {"N": compose("@item()")}, {"S": FAILED}),
        "R": compose(
            {
                "failed": "@result('S')[1]['error']['code']",
                "status": "@actions('S')['status']",
                "loop": "@result('L')[0]['outputs'][0]['outputs']",
                "item": "@result('L')[0]['inputs']",
            },
            {"L": OK},
        ),
    }
    done = await rig.run(actions)
    assert done["R"].outputs == {"failed": "InvalidTemplate", "status": "Failed", "loop": "a", "item": "a"}


def until(expression: Any, actions: dict[str, Any], **limit: Any) -> dict[str, Any]:
    return {"type": "Until", "expression": expression, "actions": actions, "limit": limit}


async def test_until_repeats_until_its_condition_holds(rig: Rig) -> None:
    actions = {
        "V": {"type": "InitializeVariable", "inputs": {"variables": [{"name": "n", "type": "integer", "value": 0}]}},
        "U": until(
            "@greaterOrEquals(outputs('Seen'), 2)",
            {
                "Plus": {"type": "IncrementVariable", "inputs": {"name": "n"}},
                "Seen": compose("@variables('n')", {"Plus": OK}),
                "Index": compose("@iterationIndexes('U')"),
            },
        )
        | {"runAfter": {"V": OK}},
        "Last": compose("@outputs('Seen')", {"U": OK}),
    }
    done = await rig.run(actions)
    assert (done["U"].status, done["U"].repetitions, done["Last"].outputs) == ("Succeeded", 2, 2)
    assert done.repetition("Index", 1).outputs == 1


async def test_until_ends_at_its_limits(rig: Rig) -> None:
    counted = until("@false", {"A": compose(1)}, count=3)
    timed = until(
        "@false", {"W": {"type": "Wait", "inputs": {"interval": {"count": 20, "unit": "Minute"}}}}, timeout="PT1H"
    )
    await rig.put(workflow({"C": counted, "T": timed}))
    run = await rig.begin()
    for _ in range(3):
        assert await rig.next_sleep() == 1200
    done = await rig.finish(run)
    assert (done["C"].repetitions, done["C"].outputs) == (3, {"limit": "count"})
    assert (done["T"].repetitions, done["T"].outputs) == (3, {"limit": "timeout"})
    assert done.row.status is Status.SUCCEEDED


@pytest.mark.parametrize(("status", "code"), [("Succeeded", None), ("Failed", "Mine"), ("Cancelled", "TerminateError")])
async def test_terminate_ends_the_run_at_once(rig: Rig, web: Web, status: str, code: str | None) -> None:
    never = asyncio.Event()

    async def respond(_: dict[str, Any]) -> Any:
        await never.wait()

    web.respond = respond
    error = {"runError": {"code": "Mine", "message": "because @{triggerBody()}"}} if code == "Mine" else {}
    actions = {
        "Hangs": http(web.url),
        "Next": compose(1, {"Hangs": OK}),
        "S": scope(
            {
                "W": {"type": "Wait", "inputs": {"interval": {"count": 1, "unit": "Hour"}}},
                "Later": compose(1, {"W": OK}),
            }
        ),
        "If": condition("@true", {"End": {"type": "Terminate", "inputs": {"runStatus": status, **error}}}),
    }
    await rig.put(workflow(actions))
    run = await rig.begin("x")
    done = await rig.finish(run)
    never.set()
    assert done.row.status == status
    assert done.row.code == code
    if code == "Mine":
        assert done.row.problem is not None
        assert done.row.problem.message == "because x"
    assert done["End"].status is Status.SUCCEEDED
    statuses = done.statuses()
    assert statuses["Hangs"] in ("Cancelled", "Skipped")
    assert (statuses["Next"], statuses["Later"]) == ("Skipped", "Skipped")
    assert statuses["S"] in ("Cancelled", "Skipped")


async def test_outputs_of_the_workflow(rig: Rig) -> None:
    outputs = {"one": {"type": "Object", "value": {"a": "@outputs('A')"}}}
    done = await rig.run({"A": compose(1)}, outputs=outputs)
    assert done.row.outputs == {"one": {"type": "Object", "value": {"a": 1}}}
    broken = await rig.run({"A": compose(1)}, outputs={"one": {"type": "Int", "value": "@int('x')"}}, key="2")
    assert broken.row.status is Status.FAILED
    assert broken.row.code == "InvalidTemplate"


async def test_a_workflow_function_describes_the_run(rig: Rig) -> None:
    done = await rig.run({"A": compose("@workflow()['run']['name']"), "B": compose("@workflow()?['name']")})
    assert (done["A"].outputs, done["B"].outputs) == (done.row.name, "Test")


async def test_time_and_guids_belong_to_the_action(rig: Rig) -> None:
    done = await rig.run({"A": compose("@createArray(utcNow(), guid(), guid())")})
    when, first, second = done["A"].outputs
    assert when == "2026-11-22T01:02:03.0000000Z"
    assert first != second
