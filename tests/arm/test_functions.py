"""The functions of templates: values that Azure gave, and what is refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lurewire.arm.deployments.budget import Budget
from lurewire.arm.deployments.context import Context, Names, Value
from lurewire.arm.deployments.functions import (
    ARM_FUNCTIONS,
    DEFAULT_VALUE_FUNCTIONS,
    PARAMETER_FUNCTIONS,
    TEMPLATE_FUNCTIONS,
    UNSUPPORTED,
)
from lurewire.arm.errors import InvalidTemplate

SUB = "00000000-0000-0000-0000-000000000000"


def context() -> Context:
    made = Context(
        tenant_id="tenant",
        subscription={"id": f"/subscriptions/{SUB}", "subscriptionId": SUB, "tenantId": "tenant"},
        group={"id": f"/subscriptions/{SUB}/resourceGroups/my-rg", "name": "my-rg", "location": "local"},
        deployment={"name": "d1"},
        now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        budget=Budget(1_000_000),
        prefix=f"/subscriptions/{SUB}/resourceGroups/my-rg",
    )
    made.parameters = Names("parameter", {"p": lambda: Value([1, "a"], secret=False)})
    made.variables = Names("variable", {"v": lambda: Value({"x": "y"}, secret=False)})
    return made


def value(expression: str) -> Any:
    return context().watch(expression, TEMPLATE_FUNCTIONS, "/test").value


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # As Azure computed them, the last one in a deployment.
        (["test"], "rbgf3xv4ufgzg"),
        (["hello", "world"], "a7wkljktk6wne"),
        (["abc"], "cgtzqvhu4i23s"),
        ([f"/subscriptions/{SUB}/resourceGroups/my-rg"], "bmg7c6xu4tw46"),
        (["foo", "bar", "baz"], "xzi4ioaxtmth4"),
        (["tyeth"], "zcztcwvu6iyg6"),
        (
            ["/subscriptions/3c7f956b-55ee-4686-9d30-da1eb631dc59/resourceGroups/rg-devopsshieldek010dev"],
            "fd63l2gacbtca",
        ),
        (
            [
                (
                    "/subscriptions/31e9f9a0-9fd2-4294-a0a3-0101246d9700/resourceGroups/rg-modm201-20230913120256"
                    "/providers/Microsoft.Compute/virtualMachines/bobjacmodm201"
                ),
            ],
            "yvjxno3je5on2",
        ),
    ],
)
def test_unique_string_is_azures(arguments: list[str], expected: str) -> None:
    assert value(f"[uniqueString({', '.join(repr(a) for a in arguments)})]") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[guid('a', 'b')]", "2d796349-8c7e-55ec-9624-54ece82ed031"),
        ("[concat('a', 1, true, 'b')]", "a1Trueb"),
        ("[concat(parameters('P'), createArray('z'))]", [1, "a", "z"]),
        ("[format('{0}-{1}{{}}', 'a', 5)]", "a-5{}"),
        ("[padLeft('7', 3, '0')]", "007"),
        ("[length(variables('V'))]", 1),
        ("[variables('v').x]", "y"),
        ("[createObject('a', 1, 'b', null())]", {"a": 1, "b": None}),
        ("[uri('https://x.example/a/b', 'c.json')]", "https://x.example/a/c.json"),
        ("[resourceGroup().location]", "local"),
        ("[subscription().subscriptionId]", SUB),
        ("[tenant().tenantId]", "tenant"),
        ("[deployment().name]", "d1"),
        ("[[not an expression]", "[not an expression]"),
        ("[resourceId('A.B/c', 'x')]", f"/subscriptions/{SUB}/resourceGroups/my-rg/providers/A.B/c/x"),
        ("[resourceId('g', 'A.B/c/d', 'x', 'y')]", f"/subscriptions/{SUB}/resourceGroups/g/providers/A.B/c/x/d/y"),
        ("[resourceId('s', 'g', 'A.B/c', 'x')]", "/subscriptions/s/resourceGroups/g/providers/A.B/c/x"),
        (
            "[resourceId('A.B/c/providers/d', 'x', 'E.F', 'y')]",
            f"/subscriptions/{SUB}/resourceGroups/my-rg/providers/A.B/c/x/providers/E.F/d/y",
        ),
        ("[subscriptionResourceId('A.B/c', 'x')]", f"/subscriptions/{SUB}/providers/A.B/c/x"),
        ("[tenantResourceId('A.B/c', 'x')]", "/providers/A.B/c/x"),
        ("[extensionResourceId('/subscriptions/s', 'A.B/c', 'x')]", "/subscriptions/s/providers/A.B/c/x"),
        (
            "[if(equals(toLower('AB'), 'ab'), last(split('a/b', '/')), string(int('5')))]",
            "b",
        ),
        ("[if(and(true(), not(false())), 'yes', uriComponent(1))]", "yes"),
        ("[json('{\"a\": [1]}').a[0]]", 1),
        ("[substring(toUpper(replace('abc', 'b', 'd')), 1, 2)]", "DC"),
        ("[empty(first(union(createArray(''), createArray('x'))))]", True),
        ("[or(false, equals(length('abc'), 3))]", True),
        ("[items(createObject('b', 2, 'A', 1))]", [{"key": "A", "value": 1}, {"key": "b", "value": 2}]),
        ("[objectKeys(createObject('b', 2, 'a', 1))]", ["a", "b"]),
        ("[shallowMerge(createArray(createObject('a', 1), createObject('a', 2)))]", {"a": 2}),
        ("[tryGet(createObject('a', createArray(7)), 'A', 0)]", 7),
        ("[tryGet(createObject('a', 1), 'b', 'c')]", None),
        ("[flatten(createArray(createArray(1), createArray(2, 3)))]", [1, 2, 3]),
        ("[indexOf(createArray('x', 'y', 'x'), 'x')]", 0),
        ("[lastIndexOf(createArray('x', 'y', 'x'), 'x')]", 2),
        ("[indexOf('abcdef', 'CD')]", 2),
        ("[dateTimeAdd('2020-04-07 14:53:14Z', 'P3Y')]", "2023-04-07T14:53:14Z"),
        ("[dateTimeAdd('2020-04-07 14:53:14Z', '-P9D')]", "2020-03-29T14:53:14Z"),
        ("[dateTimeAdd('20200407T145314Z', 'PT1H', 'yyyy-MM-dd HH:mm')]", "2020-04-07 15:53"),
        ("[dateTimeFromEpoch(1683040573)]", "2023-05-02T15:16:13Z"),
        ("[dateTimeToEpoch('2023-05-02T15:16:13Z')]", 1683040573),
        ("[dataUriToString('data:;base64,SGVsbG8sIFdvcmxkIQ==')]", "Hello, World!"),
        (
            "[managementGroupResourceId('mg', 'A.B/c', 'x')]",
            "/providers/Microsoft.Management/managementGroups/mg/providers/A.B/c/x",
        ),
        ("[map(range(0, 3), lambda('i', mul(lambdaVariables('i'), 2)))]", [0, 2, 4]),
        (
            "[map(createArray('a', 'b'), lambda('x', 'i', concat(lambdaVariables('x'), lambdaVariables('i'))))]",
            ["a0", "b1"],
        ),
        ("[filter(createArray(1, 5, 3), lambda('n', greater(lambdaVariables('n'), 2)))]", [5, 3]),
        ("[reduce(createArray(1, 5, 3), 0, lambda('sum', 'n', add(lambdaVariables('sum'), lambdaVariables('n'))))]", 9),
        ("[sort(createArray(3, 1, 2), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))]", [1, 2, 3]),
        (
            "[toObject(createArray('a', 'b'), lambda('x', lambdaVariables('x')), lambda('x', toUpper(lambdaVariables('x'))))]",
            {"a": "A", "b": "B"},
        ),
        (
            "[groupBy(createArray('ab', 'ac', 'b'), lambda('x', first(lambdaVariables('x'))))]",
            {"a": ["ab", "ac"], "b": ["b"]},
        ),
        ("[mapValues(createObject('a', 1), lambda('x', add(lambdaVariables('x'), 1)))]", {"a": 2}),
        (
            "[map(createArray(1, 2), lambda('a', map(createArray(10), lambda('b', add(lambdaVariables('a'), lambdaVariables('b'))))))]",
            [[11], [12]],
        ),
    ],
)
def test_values(expression: str, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("[listKeys('x', '2020-01-01')]", "is not expected at this location"),
        ("[copyIndex()]", "no resource loop is around it"),
        ("[pickZones('a', 'b', 'c')]", "'pickZones' exists in Azure"),
        ("[managementGroup()]", "not at the scope of a management group"),
        ("[fail('because')]", "ended the deployment: because"),
        ("[dateTimeAdd('2020-01-01', 'soon')]", "expects a duration of ISO 8601"),
        ("[dateTimeAdd('9999-01-01', 'P1Y')]", "outside the years"),
        ("[dateTimeToEpoch('today')]", "expects a date and time"),
        ("[dataUriToString('x')]", "expects its parameter to be a data URI"),
        ("[lambdaVariables('x')]", "no variable of a lambda expression around it"),
        ("[map('a', lambda('x', 1))]", "number 1 to be an array"),
        ("[map(createArray(1), 2)]", "number 2 to be a lambda expression"),
        ("[filter(createArray(1), lambda('x', 1))]", "to give a Boolean"),
        ("[toObject(createArray(1), lambda('x', 1))]", "to give strings"),
        ("[items('a')]", "number 1 to be an object"),
        ("[providers('No.Such')]", "is not expected at this location"),
        ("[newGuid()]", "'newGuid' exists in Azure"),
        ("[noSuch()]", "'noSuch' is not defined"),
        ("[parameters('q')]", "defines no such parameter"),
        ("[variables('q')]", "defines no such variable"),
        ("[reference('x')]", "is not expected at this location"),
        ("[resourceId('A.B/c', 'x', 'y')]", "takes 1 names, and there are 2"),
        ("[resourceId('a', 'b')]", "expects a resource type"),
        ("[concat('a', createArray('b'))]", "all to be arrays"),
        ("[format('{0:N}', 1)]", "a format that is not supported"),
        ("[format('{1}', 1)]", "names value 1; there are 1"),
        ("[createObject('a')]", "expects pairs"),
        ("[padLeft('a', 999999999)]", "at most 131072"),
        ("[guid(1)]", "number 1 to be a string"),
        ("[concat('a'", None),
        ("[concat('a',)]", "Deployment template validation failed"),
    ],
)
def test_what_is_refused(expression: str, problem: str | None) -> None:
    if problem is None:
        assert value(expression) == expression  # without the closing bracket it is text, as in Azure
        return
    with pytest.raises(InvalidTemplate) as caught:
        value(expression)
    assert problem in caught.value.message
    assert "/test" in caught.value.message


def test_default_values_may_call_two_more() -> None:
    assert context().watch("[utcNow()]", PARAMETER_FUNCTIONS, "").value == "20260102T030405Z"
    assert context().watch("[utcNow('yyyy-MM-dd')]", PARAMETER_FUNCTIONS, "").value == "2026-01-02"
    assert len(context().watch("[newGuid()]", PARAMETER_FUNCTIONS, "").value) == 36


def test_every_row_names_its_documentation() -> None:
    rows = (*ARM_FUNCTIONS, *DEFAULT_VALUE_FUNCTIONS)
    assert all(row.url.startswith("https://learn.microsoft.com/azure/azure-resource-manager/") for row in rows)
    assert not {name.lower() for name in UNSUPPORTED} & {row.name.lower() for row in ARM_FUNCTIONS}
    assert json.dumps(TEMPLATE_FUNCTIONS.names)
