"""What a PUT refuses: with Azure's code where Azure refuses it too, and always with the path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.playbooks.rig import CONNECTION, CONNECTIONS, OK, SCHEMA, Rig, compose, connection, http, workflow

from lurewire.core.limits import Limits
from lurewire.core.resources import ResourceId
from lurewire.playbooks import LIMITS
from lurewire.playbooks.definition import compile_workflow
from lurewire.playbooks.errors import InvalidRequestContent, InvalidTemplate, NotSupported

if TYPE_CHECKING:
    from lurewire.core.errors import WireError

WEBHOOK = {"type": "ApiConnectionWebhook", "inputs": {"host": {}, "path": "/incident-creation"}}


def foreach(actions: dict[str, Any], over: Any = "@createArray(1)", **more: Any) -> dict[str, Any]:
    return {"type": "Foreach", "foreach": over, "actions": actions, **more}


def variable(name: str, after: dict[str, list[str]] | None = None) -> dict[str, Any]:
    variables = [{"name": name, "type": "string"}]
    return {"type": "InitializeVariable", "inputs": {"variables": variables}, "runAfter": after or {}}


def definition(actions: Any, **more: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "actions": actions, "triggers": {}, **more}


def compiled(actions: Any, **more: Any) -> Any:
    return compile_workflow(definition(actions, **more), {}, Limits(LIMITS))


REFUSED: list[tuple[Any, str, str]] = [
    ({"A": {"type": "Composed", "inputs": 1}}, "/actions/A/type", "'Composed' is not known"),
    ({"A": {"inputs": 1}}, "/actions/A", "'type' is required"),
    ({"A": compose("@nope(1)")}, "/actions/A/inputs", "'nope' is not defined"),
    ({"A": compose({"k": ["@concat("]})}, "/actions/A/inputs/k/0", "not valid"),
    ({"A": compose("@filter(createArray(1), 1)")}, "/actions/A/inputs", "'filter' is not defined"),
    ({"A": compose("@listCallbackUrl()")}, "/actions/A/inputs", "listCallbackUrl"),
    ({"A": compose(1, {"B": OK})}, "/actions/A/runAfter", "'B', which is not an action beside this one"),
    ({"A": compose(1, {"B": ["Done"]}), "B": compose(1)}, "/actions/A/runAfter/B", "not one of Succeeded"),
    ({"A": compose(1, {"B": []}), "B": compose(1)}, "/actions/A/runAfter/B", "not empty"),
    ({"A": compose(1, {"B": OK}), "B": compose(1, {"A": OK})}, "/actions", "A, B wait for each other"),
    ({"A": foreach({"B": compose(1)}), "C": compose(1, {"B": OK})}, "/actions/C/runAfter", "not an action beside"),
    ({"A": foreach({"A": compose(1)})}, "/actions/A/actions/A", "used twice"),
    ({"A": compose("@body('B')")}, "/actions/A/inputs", "'B', referenced by 'body', is not defined"),
    ({"A": compose("@body('B')"), "B": compose(1)}, "/actions/A", "must be on the 'runAfter' path"),
    ({"A": foreach({"B": compose(1)}, "@items('A')")}, "/actions/A/foreach", "not a loop around"),
    ({"A": compose("@items('B')"), "B": foreach({})}, "/actions/A/inputs", "not a loop around"),
    ({"A": compose("@variables('v')")}, "/actions/A/inputs", "'v' is not initialized"),
    ({"A": compose("@parameters('p')")}, "/actions/A/inputs", "'p' is not defined"),
    (
        {"A": foreach({"B": foreach({"C": compose(1)})}), "D": compose("@outputs('C')", {"A": OK})},
        "/actions/D",
        "nested in a foreach scope of multiple levels",
    ),
    ({"A": foreach({"V": variable("v")})}, "/actions/A/actions/V", "at the top level"),
    ({"A": variable("v"), "B": variable("v")}, "/actions/B", "initialized twice"),
    (
        {"V": variable("v"), "S": {"type": "SetVariable", "inputs": {"name": "v", "value": "@{variables('v')}x"}}},
        "/actions/S/inputs/value",
        "self reference",
    ),
    (
        {"V": variable("v"), "S": {"type": "IncrementVariable", "inputs": {"name": "v"}}},
        "/actions/S/inputs/name",
        "not of type integer or float",
    ),
    (
        {"A": foreach({"T": {"type": "Terminate", "inputs": {"runStatus": "Failed"}}})},
        "/actions/A/actions/T",
        "the loop 'A'",
    ),
    ({"A": foreach({}, runtimeConfiguration={"concurrency": {"repetitions": 51}})}, "/concurrency", "from 1 to 50"),
    ({"A": {"type": "If", "expression": {"and": []}, "actions": {}}}, "/actions/A/expression/and", "not empty"),
    (
        {"A": {"type": "If", "expression": {"like": [1, 2]}, "actions": {}}},
        "/actions/A/expression",
        "'like' is not one of",
    ),
    ({"A": {"type": "If", "expression": {"greater": [1]}, "actions": {}}}, "/expression/greater", "array of 2 values"),
    (
        {"A": {"type": "Switch", "expression": "@1", "cases": {"a": {"case": 1}, "b": {"case": 1}}}},
        "/actions/A/cases/b/case",
        "there twice",
    ),
    ({"A": {"type": "Until", "expression": "@true", "limit": {"count": 5001}}}, "/actions/A/limit/count", "5000"),
    ({"A": http("https://x", method="TRACE")}, "/actions/A/inputs/method", "must be one of"),
    (
        {"A": http("https://x", authentication={"type": "Odd"})},
        "/actions/A/inputs/authentication/type",
        "'Odd' is not known",
    ),
    ({"A": {"type": "ParseJson", "inputs": {"content": 1, "schema": {"type": "text"}}}}, "/inputs/schema", "not valid"),
    ({"A" * 81: compose(1)}, "/actions/A", "1 to 80 characters"),
    ({str(index): compose(1) for index in range(501)}, "/actions", "500"),
    ("text", "/actions", "must be an object"),
    ({"A": []}, "/actions/A", "must be an object"),
    ({"A": {"type": "Wait", "inputs": {}}}, "/actions/A/inputs", "either 'interval' or 'until'"),
    ({"A": compose(1), "a": compose(1)}, "/actions/a", "used twice"),
    ({"A": compose(1), "S": {"type": "Scope", "actions": {"a": compose(1)}}}, "/actions/S/actions/a", "used twice"),
    ({"A": compose(1), "B": compose(1, {"A": OK, "a": OK})}, "/actions/B/runAfter/a", "there twice"),
    ({"A": {"type": "Expression", "kind": "Sometime", "inputs": {}}}, "/actions/A/kind", "one of CurrentTime"),
    (
        {"A": {"type": "Expression", "kind": "GetPastTime", "inputs": {"interval": 1}}},
        "/inputs",
        "'timeUnit' is required",
    ),
    ({"A": {"type": "Function", "inputs": {"function": {}}}}, "/actions/A/inputs/function/id", "name the function"),
    ({"V": variable("v"), "W": variable("V")}, "/actions/W", "initialized twice"),
    (
        {"V": variable("v"), "S": {"type": "SetVariable", "inputs": {"name": "V", "value": "@{variables('v')}x"}}},
        "/actions/S/inputs/value",
        "self reference",
    ),
    ({"V": variable("v"), "S": {"type": "SetVariable", "inputs": {"name": ["v"], "value": 1}}}, "/name", "not init"),
    ({"A": {"type": "Table", "inputs": {"from": []}}}, "/actions/A/inputs", "'format' is required"),
    ({"A": {"type": "Table", "inputs": {"from": [], "format": "XML"}}}, "/inputs/format", "one of HTML, CSV"),
    ({"A": {"type": "Table", "inputs": {"from": [], "format": "CSV", "columns": {}}}}, "/columns", "an array"),
    (
        {"A": {"type": "Table", "inputs": {"from": [], "format": "CSV", "columns": [{"header": "h"}]}}},
        "/actions/A/inputs/columns/0",
        "'value' is required",
    ),
    (
        {"A": {"type": "ApiConnectionWebhook", "inputs": {"host": {}, "path": "/x"}}},
        "/inputs/host/connection",
        "object",
    ),
]


@pytest.mark.parametrize(("actions", "path", "part"), REFUSED)
def test_definitions_that_azure_refuses(actions: Any, path: str, part: str) -> None:
    with pytest.raises(InvalidTemplate) as caught:
        compiled(actions)
    assert path in caught.value.message
    assert part in caught.value.message


NOT_RUN: list[tuple[Any, str, str]] = [
    ({"A": {"type": "Response", "inputs": {}}}, "/actions/A/type", "'Response'"),
    ({"A": {"type": "Expression", "kind": "ConvertTimeZone", "inputs": {}}}, "/actions/A/kind", "'ConvertTimeZone'"),
    ({"A": {"type": "JavaScriptCode", "inputs": {}}}, "/actions/A/type", "'JavaScriptCode'"),
    ({"A": compose(1) | {"trackedProperties": {}}}, "/actions/A", "'trackedProperties'"),
    (
        {"A": http("https://x", authentication={"type": "ActiveDirectoryOAuth"})},
        "/authentication/type",
        "ActiveDirectoryOAuth",
    ),
    (
        {"A": http("https://x", authentication={"type": "ManagedServiceIdentity", "scope": "/x"})},
        "/inputs/authentication",
        "'scope'",
    ),
    (
        {"A": http("https://x") | {"runtimeConfiguration": {"contentTransfer": {"transferMode": "Chunked"}}}},
        "/actions/A/runtimeConfiguration",
        "'contentTransfer'",
    ),
    (
        {"A": http("https://x") | {"runtimeConfiguration": {"staticResult": {"staticResultOptions": "Enabled"}}}},
        "/staticResult",
        "static results",
    ),
    ({"A": compose(1) | {"limit": {"timeout": "PT1H"}}}, "/actions/A", "'limit'"),
]


@pytest.mark.parametrize(("actions", "path", "part"), NOT_RUN)
def test_what_only_lurewire_refuses_says_so(actions: Any, path: str, part: str) -> None:
    with pytest.raises(NotSupported) as caught:
        compiled(actions)
    assert path in caught.value.message
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("trigger", "error", "part"),
    [
        ({"type": "Recurrence"}, NotSupported, "'Recurrence'"),
        ({"type": "Sometimes"}, InvalidTemplate, "'Sometimes' is not known"),
        ({**WEBHOOK, "splitOn": "@triggerBody()"}, NotSupported, "'splitOn'"),
        ({**WEBHOOK, "runtimeConfiguration": {"concurrency": {"runs": 101}}}, InvalidTemplate, "1 to 100"),
        ({**WEBHOOK, "conditions": [{"expression": "@body('A')"}]}, InvalidTemplate, "not defined"),
        ({"type": "ApiConnectionWebhook", "inputs": {"host": {}, "path": "/flowbot"}}, NotSupported, "'/flowbot'"),
        ({"type": "Request", "kind": "Button"}, NotSupported, "'Button'"),
    ],
)
def test_triggers(trigger: dict[str, Any], error: type[WireError], part: str) -> None:
    with pytest.raises(error, match=part):
        compiled({}, triggers={"T": trigger})


def test_names_of_triggers_have_no_case() -> None:
    trigger = {"type": "Request", "kind": "Http"}
    with pytest.raises(InvalidTemplate, match="/triggers/Manual': the name 'Manual' is used twice"):
        compiled({}, triggers={"manual": trigger, "Manual": trigger})


@pytest.mark.parametrize(
    ("parameters", "values", "error", "part"),
    [
        ({"p": {"type": "String"}}, {}, InvalidTemplate, "neither a value nor a default"),
        ({"p": {"type": "Int", "defaultValue": "1"}}, {}, InvalidTemplate, "not of its type"),
        ({"p": {"type": "Int", "defaultValue": True}}, {}, InvalidTemplate, "not of its type"),
        ({"p": {"type": "Text", "defaultValue": ""}}, {}, InvalidTemplate, "'text' is not one of"),
        ({"p": {"type": "String", "defaultValue": "c", "allowedValues": ["a"]}}, {}, InvalidTemplate, "allowed values"),
        ({}, {"q": {"value": 1}}, InvalidTemplate, "'q' has a value and is not declared"),
        ({"p": {"type": "Int"}, "P": {"type": "Int"}}, {"p": {"value": 1}}, InvalidTemplate, "'P' is used twice"),
        ({"p": {"type": "Int"}}, {"p": {"value": 1}, "P": {"value": 2}}, InvalidTemplate, "'P' is used twice"),
        ({"p": {"type": "SecureString"}}, {"p": {"reference": {}}}, NotSupported, "reference"),
        (
            {"p": {"type": "SecureString"}},
            {"p": {"value": "@Microsoft.KeyVault(VaultName=v;SecretName=s)"}},
            NotSupported,
            "SecretUri",
        ),
    ],
)
def test_parameters(parameters: Any, values: Any, error: type[WireError], part: str) -> None:
    with pytest.raises(error, match=part):
        compile_workflow(definition({}, parameters=parameters), values, Limits(LIMITS))


def test_nesting_has_a_limit() -> None:
    actions: dict[str, Any] = {"A8": compose(1)}
    for depth in range(7, -1, -1):
        actions = {f"A{depth}": {"type": "Scope", "actions": actions}}
    compiled(actions)
    with pytest.raises(InvalidTemplate, match="more than 8 deep"):
        compiled({"A": {"type": "Scope", "actions": actions}})


@pytest.mark.parametrize(
    ("change", "error", "part"),
    [
        (lambda b: b.pop("location"), InvalidRequestContent, "location"),
        (lambda b: b.pop("properties"), InvalidRequestContent, "properties"),
        (lambda b: b["properties"].pop("definition"), InvalidRequestContent, "definition"),
        (lambda b: b["properties"].update(state="On"), InvalidRequestContent, "'state'"),
        (lambda b: b["properties"].update(integrationAccount={}), NotSupported, "integrationAccount"),
        (lambda b: b["properties"]["definition"].pop("$schema"), InvalidTemplate, "schema"),
        (lambda b: b["properties"].update(parameters={}), InvalidTemplate, "'sentinel_1' is missing"),
        (
            lambda b: b["properties"]["definition"]["actions"]["A"]["inputs"].update(
                host={"connection": {"name": "x"}}
            ),
            InvalidTemplate,
            "connectionId",
        ),
    ],
)
async def test_resources(rig: Rig, change: Any, error: type[WireError], part: str) -> None:
    import copy

    body = workflow({"A": connection("POST", "/entities/ip", "@null")})
    body["properties"]["parameters"]["$connections"]["value"] = copy.deepcopy(CONNECTIONS)
    change(body)
    with pytest.raises(error, match=part):
        await rig.put(body)


async def test_a_stored_workflow_has_what_azure_adds(rig: Rig) -> None:
    first = await rig.put(workflow({}))
    properties = first["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["version"].startswith("0858")
    assert properties["accessEndpoint"].startswith("https://localhost:8443/workflows/")
    assert set(first["identity"]) == {"type", "principalId", "tenantId"}
    again = await rig.put(workflow({}))
    assert again["properties"]["createdTime"] == properties["createdTime"]
    assert again["properties"]["version"] < properties["version"]


async def test_a_connection_shows_its_state_and_hides_its_secrets(rig: Rig) -> None:
    api = {"id": "/subscriptions/x/providers/Microsoft.Web/locations/local/managedApis/azuresentinel"}
    body = {"location": "local", "properties": {"api": api, "parameterValues": {"token": "secret"}}}
    await rig.store.put(ResourceId.parse(CONNECTION), body)
    shown = rig.store.shown(ResourceId.parse(CONNECTION))
    assert shown is not None
    assert shown["properties"]["statuses"] == [{"status": "Connected"}]
    assert "parameterValues" not in shown["properties"]
    with pytest.raises(InvalidRequestContent):
        await rig.store.put(ResourceId.parse(CONNECTION), {"location": "local", "properties": {"api": {"id": "x"}}})


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6)
    | st.sampled_from(["@body('A')", "@{item()}", "If", "Foreach", "Compose", "Switch", "Until", "InitializeVariable", "Http"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["A", "B", "type", "inputs", "actions", "runAfter", "expression", "cases", "else", "foreach", "variables",
             "name", "value", "and", "limit", "runtimeConfiguration", "secureData", "from", "where", "default"]
        ),
        inner, max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@given(_json)
@settings(max_examples=600, deadline=None)
def test_any_definition_is_taken_or_refused(actions: Any) -> None:
    import contextlib

    with contextlib.suppress(InvalidTemplate, NotSupported):
        compiled(actions)
