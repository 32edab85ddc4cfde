"""Data operations and variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.playbooks.rig import OK, Rig, compose

from lurewire.playbooks import Status

TEMPLATE = Path(__file__).parents[2] / "src/lurewire/solutions/ipinsights/playbook.json"


def seed_schema() -> Any:
    definition = json.loads(TEMPLATE.read_text())["resources"][1]["properties"]["definition"]
    return definition["actions"]["For_each"]["actions"]["Parse_JSON"]["inputs"]["schema"]


def parse_json(content: Any, schema: Any) -> dict[str, Any]:
    return {"type": "ParseJson", "inputs": {"content": content, "schema": schema}}


def initialize(name: str, kind: str, *value: Any) -> dict[str, Any]:
    variable = {"name": name, "type": kind, **({"value": value[0]} if value else {})}
    return {"type": "InitializeVariable", "inputs": {"variables": [variable]}}


def change(kind: str, name: str, after: str, **value: Any) -> dict[str, Any]:
    return {"type": kind, "inputs": {"name": name, **value}, "runAfter": {after: OK}}


@pytest.mark.parametrize(
    "body",
    [
        {
            "success": True,
            "data": {"ip": "10.0.0.5", "threat_assessment": {"score": 0, "level": "low", "categories": ["private"]}},
        },
        {"success": True, "data": {}},
        {"more": [1]},
    ],
)
async def test_parse_json_takes_what_fits(rig: Rig, body: Any) -> None:
    done = await rig.run({"P": parse_json("@triggerBody()", seed_schema())}, body)
    assert done.row.status is Status.SUCCEEDED
    assert done["P"].outputs == {"body": body}


@pytest.mark.parametrize(
    ("body", "path", "kind"),
    [
        ({"data": {"asn": None}}, "data.asn", "type"),
        ({"data": {"threat_assessment": {"score": "71"}}}, "data.threat_assessment.score", "type"),
        ({"data": {"blocklists": [{"name": "a"}, {"listed": 1}]}}, "data.blocklists[1].listed", "type"),
        ([], "", "type"),
    ],
)
async def test_parse_json_fails_where_a_type_does_not_fit(rig: Rig, body: Any, path: str, kind: str) -> None:
    done = await rig.run({"P": parse_json("@triggerBody()", seed_schema())}, body)
    assert (done["P"].status, done["P"].code) == ("Failed", "SchemaValidationFailed")
    errors = done["P"].outputs["errors"]
    assert [(error["path"], error["errorType"]) for error in errors] == [(path, kind)]
    assert done["P"].problem is not None
    assert path in done["P"].problem.message


@pytest.mark.parametrize("content", ["{", "@null", "@json('{')", "@binary('{')"])
async def test_parse_json_refuses_what_is_no_json(rig: Rig, content: str) -> None:
    done = await rig.run({"P": parse_json(content, {})})
    assert done["P"].status is Status.FAILED


async def test_parse_json_reads_text_and_bytes(rig: Rig) -> None:
    done = await rig.run({"P": parse_json('{"a":[1]}', {"type": "object"}), "B": parse_json("@binary('[1]')", {})})
    assert (done["P"].outputs, done["B"].outputs) == ({"body": {"a": [1]}}, {"body": [1]})


async def test_a_schema_never_reaches_out(rig: Rig) -> None:
    done = await rig.run({"P": parse_json("{}", {"$ref": "http://127.0.0.1:9/schema.json"})})
    assert done["P"].outputs["errors"][0]["errorType"] == "$ref"


async def test_a_schema_may_have_escaped_names(rig: Rig) -> None:
    schema = {"type": "object", "properties": {"@@odata.type": {"type": "string"}}}
    done = await rig.run({"P": parse_json("@triggerBody()", schema)}, {"@odata.type": 1})
    assert done["P"].outputs["errors"][0]["path"] == "@odata.type"


async def test_hostile_depth_in_content(rig: Rig) -> None:
    schema = {"$ref": "#/definitions/n", "definitions": {"n": {"type": "array", "items": {"$ref": "#/definitions/n"}}}}
    body = "[" * 400 + "]" * 400
    done = await rig.run(
        {"P": parse_json("@triggerBody()", schema), "After": compose(1, {"P": ["Succeeded", "Failed"]})}, body
    )
    assert done["After"].status is Status.SUCCEEDED


async def test_query_select_join(rig: Rig) -> None:
    people = [{"n": "a", "age": 3}, {"n": "b", "age": 30}]
    actions = {
        "Q": {"type": "Query", "inputs": {"from": "@triggerBody()", "where": "@greater(item()?['age'], 18)"}},
        "S": {
            "type": "Select",
            "inputs": {"from": "@triggerBody()", "select": {"name @{item()['n']}": "@item()['age']"}},
        },
        "J": {
            "type": "Join",
            "inputs": {"from": "@body('S2')", "joinWith": ", "},
            "runAfter": {"S2": OK},
        },
        "S2": {"type": "Select", "inputs": {"from": "@triggerBody()", "select": "@item()['n']"}},
        "R": compose("@outputs('Q')['body']", {"Q": OK}),
    }
    done = await rig.run(actions, people)
    assert done["Q"].outputs == {"body": [people[1]]}
    assert done["R"].outputs == [people[1]]
    assert done["S"].outputs == {"body": [{"name a": 3}, {"name b": 30}]}
    assert done["J"].outputs == {"body": "a, b"}


@pytest.mark.parametrize(
    "action",
    [
        {"type": "Query", "inputs": {"from": "@null", "where": "@true"}},
        {"type": "Query", "inputs": {"from": "@createArray(1)", "where": "@{true}"}},
        {"type": "Select", "inputs": {"from": "text", "select": "@item()"}},
        {"type": "Join", "inputs": {"from": "@createArray(1)", "joinWith": 1}},
    ],
)
async def test_data_operations_refuse_what_does_not_fit(rig: Rig, action: dict[str, Any]) -> None:
    done = await rig.run({"A": action})
    assert done["A"].status is Status.FAILED
    assert done["A"].problem is not None


async def test_variables(rig: Rig) -> None:
    actions = {
        "I": {
            "type": "InitializeVariable",
            "inputs": {
                "variables": [
                    {"name": "list", "type": "Array"},
                    {"name": "text", "type": "String"},
                    {"name": "count", "type": "Integer", "value": 5},
                    {"name": "unset", "type": "Integer"},
                    {"name": "real", "type": "Float", "value": 1},
                    {"name": "thing", "type": "Object"},
                ]
            },
        },
        "A": change("AppendToArrayVariable", "list", "I", value={"x": "@variables('count')"}),
        "B": change("AppendToArrayVariable", "list", "A", value="two"),
        "C": change("AppendToStringVariable", "text", "B", value="a@{1}"),
        "D": change("IncrementVariable", "count", "C", value=2),
        "E": change("DecrementVariable", "unset", "D"),
        "F": change("SetVariable", "thing", "E", value={"k": "@variables('list')"}),
        "G": change("AppendToArrayVariable", "list", "F", value=3),
        "Z": compose(
            "@createArray(variables('list'), variables('text'), variables('count'), variables('unset'), variables('thing'))",
            {"G": OK},
        ),
    }
    done = await rig.run(actions)
    assert done["Z"].outputs == [[{"x": 5}, "two", 3], "a1", 7, -1, {"k": [{"x": 5}, "two"]}]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("integer", "@{1}"), ("integer", 1.5), ("array", "@json('{}')"), ("boolean", "true"), ("string", 1)],
)
async def test_a_variable_keeps_its_type(rig: Rig, kind: str, value: Any) -> None:
    done = await rig.run({"I": initialize("v", kind), "S": change("SetVariable", "v", "I", value=value)})
    assert (done["S"].status, done["S"].code) == ("Failed", "BadRequest")


async def test_appending_in_a_parallel_loop_loses_nothing(rig: Rig) -> None:
    actions = {
        "I": initialize("list", "array"),
        "N": initialize("n", "integer"),
        "L": {
            "type": "Foreach",
            "foreach": "@range(0, 300)",
            "runAfter": {"I": OK, "N": OK},
            "actions": {
                "A": {"type": "AppendToArrayVariable", "inputs": {"name": "list", "value": "@item()"}},
                "P": {"type": "IncrementVariable", "inputs": {"name": "n"}},
            },
        },
        "R": compose("@createArray(variables('n'), length(variables('list')))", {"L": OK}),
    }
    done = await rig.run(actions)
    assert done["R"].outputs == [300, 300]


async def test_a_wait_ends_when_its_time_comes(rig: Rig) -> None:
    from tests.playbooks.rig import workflow

    actions = {
        "W": {"type": "Wait", "inputs": {"interval": {"count": "@triggerBody()", "unit": "Second"}}},
        "U": {"type": "Wait", "inputs": {"until": {"timestamp": "@addMinutes(utcNow(), 2)"}}, "runAfter": {"W": OK}},
        "Past": {"type": "Wait", "inputs": {"until": {"timestamp": "2020-01-01T00:00:00Z"}}, "runAfter": {"U": OK}},
    }
    await rig.put(workflow(actions))
    run = await rig.begin(90)
    assert await rig.next_sleep() == 90
    assert await rig.next_sleep() == 120
    done = await rig.finish(run)
    assert done.row.status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("kind", "inputs", "found"),
    [
        ("CurrentTime", {}, "2026-11-22T01:02:03.0000000Z"),
        ("addToTime", {"baseTime": "2026-01-31T00:00:00Z", "interval": 1, "timeUnit": "Month"}, "2026-02-28T00:00:00.0000000Z"),
        ("SubtractFromTime", {"baseTime": "@triggerBody()", "interval": 2, "timeUnit": "Hour"}, "2025-12-31T22:00:00.0000000Z"),
        ("GetFutureTime", {"interval": 1, "timeUnit": "Day"}, "2026-11-23T01:02:03.0000000Z"),
        ("GetPastTime", {"interval": 1, "timeUnit": "Week"}, "2026-11-15T01:02:03.0000000Z"),
    ],
)  # fmt: skip
async def test_times(rig: Rig, kind: str, inputs: dict[str, Any], found: str) -> None:
    action = {"type": "Expression", "kind": kind, "inputs": inputs}
    done = await rig.run({"T": action, "R": compose("@body('T')", {"T": OK})}, "2026-01-01T00:00:00Z")
    assert done["R"].outputs == found


async def test_a_time_that_is_none_fails_the_action(rig: Rig) -> None:
    inputs = {"baseTime": "yesterday", "interval": 1, "timeUnit": "Day"}
    done = await rig.run({"T": {"type": "Expression", "kind": "AddToTime", "inputs": inputs}})
    assert done["T"].problem is not None
    assert (done["T"].code, "addToTime" in done["T"].problem.message) == ("InvalidTemplate", True)
