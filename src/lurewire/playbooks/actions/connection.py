"""ApiConnection and ApiConnectionWebhook: an operation of a connector.

The connector is named by the tail of the connection's API id (`managedApis/azuresentinel`), never by the author's key.
An action of a connector that does not run here is part of a workflow all the same, and fails by name when it runs. So
does every action that waits for a connector to call back: none of ours does.
Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#apiconnection-action
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lurewire.core.errors import Forbidden, WireError
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.expressions import Access, Call, ExpressionError, Literal, Node, parse
from lurewire.expressions.values import text
from lurewire.playbooks.actions.identities import managed_principal
from lurewire.playbooks.attempts import Reply, persist, phrase
from lurewire.playbooks.connectors import Api, BadCall, ConnectorCall, ConnectorReply, Operation, operation_not_run
from lurewire.playbooks.functions import TRIGGER_TABLE
from lurewire.playbooks.models import Outcome, Problem, Status
from lurewire.playbooks.redaction import SANITIZED
from lurewire.playbooks.registry import ActionError, ActionType

if TYPE_CHECKING:
    from lurewire.core.principal import Principal
    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.definition import Action
    from lurewire.playbooks.engine import ActionInvocation

_INPUTS = frozenset({"host", "method", "path", "queries", "body", "headers", "retryPolicy", "authentication"})
_PURE_PATHS = ("/entities/",)


@dataclass(frozen=True, slots=True)
class _Plan:
    connection: str  # the key in $connections


def _check(check: Check) -> _Plan:
    return _checked(check, ("host", "method", "path"))


def _check_webhook(check: Check) -> _Plan:
    # What it subscribes with is its callback's URL; `replace` shares `reads` with the original.
    return _checked(replace(check, table=TRIGGER_TABLE), ("host", "path"))


def _checked(check: Check, required: tuple[str, ...]) -> _Plan:
    inputs = check.inputs
    check.only(inputs, _INPUTS, "inputs")
    check.required(inputs, required, "inputs")
    check.expressions(inputs, "inputs")
    for name in ("method", "path"):
        if not isinstance(inputs.get(name, ""), str):
            check.refuse("it must be a string", f"inputs/{name}")
    host = check.mapping(inputs["host"], "inputs/host")
    connection = check.mapping(host.get("connection"), "inputs/host/connection")
    key = _connection_key(connection.get("name"))
    if key is None:
        message = "it must be an expression such as @parameters('$connections')['azuresentinel']['connectionId']"
        check.refuse(message, "inputs/host/connection/name")
    return _Plan(key)


def _connection_key(name: Any) -> str | None:
    """`key` of `@parameters('$connections')['key']['connectionId']`."""
    if not isinstance(name, str):
        return None
    try:
        template = parse(name)
    except ExpressionError:
        return None
    outer = template.parts[0]
    if not isinstance(outer, Access) or _text(outer.key) != "connectionid" or not isinstance(outer.target, Access):
        return None
    inner = outer.target
    source = inner.target
    if not isinstance(source, Call) or source.name.lower() != "parameters" or len(source.arguments) != 1:
        return None
    if _text(source.arguments[0]) != "$connections" or not isinstance(inner.key, Literal):
        return None
    return inner.key.value if isinstance(inner.key.value, str) else None


def _text(node: Node) -> str | None:
    return node.value.lower() if isinstance(node, Literal) and isinstance(node.value, str) else None


def calls(actions: dict[str, Action]) -> dict[str, list[Action]]:
    """The actions that call a connector, by their key in `$connections`."""
    found: dict[str, list[Action]] = {}
    for action in actions.values():
        if isinstance(action.plan, _Plan):
            found.setdefault(action.plan.connection, []).append(action)
    return found


def _effect(action: Action) -> bool:
    path = str(action.definition["inputs"]["path"]).lower()
    return not path.startswith(_PURE_PATHS)


async def _run(invocation: ActionInvocation) -> Outcome:
    inputs = invocation.evaluate(invocation.inputs, "inputs")
    shown = dict(inputs)
    if "authentication" in shown:
        shown["authentication"] = SANITIZED
    invocation.show(shown)
    entry = _entry(invocation)
    operation, call = _operation(invocation, inputs, entry)

    async def once() -> Reply:
        reply = await _answer(operation, call)
        return Reply(reply.status, {"statusCode": reply.status, "headers": dict(reply.headers), "body": reply.body})

    reply, retries = await persist(invocation, inputs.get("retryPolicy"), once)
    code = phrase(reply.status)
    if 200 <= reply.status < 300:
        return Outcome(Status.SUCCEEDED, code, shown, reply.outputs, retries=retries)
    error = reply.outputs["body"]["error"]
    problem = Problem(code, f"{operation.name} failed with status code '{reply.status}': {error['message']}")
    return Outcome(Status.FAILED, code, shown, reply.outputs, problem, retries)


async def _run_webhook(invocation: ActionInvocation) -> Outcome:
    api = Api.of(_entry(invocation)["id"])
    reason = api.not_run(invocation.services.connectors)
    path = invocation.inputs["path"]
    raise ActionError("NotSupported", reason or operation_not_run(api, invocation.inputs.get("method", ""), path))


def _entry(invocation: ActionInvocation) -> dict[str, Any]:
    """The entry in `$connections`."""
    key = invocation.action.plan.connection
    connections = invocation.run.parameters.get("$connections")
    entry = connections.get(key) if isinstance(connections, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        message = f"The API connection '{key}' is missing in the parameter '$connections'."
        raise ActionError("ApiConnectionNotFound", message)
    return entry


def _stored(invocation: ActionInvocation, entry: dict[str, Any]) -> dict[str, Any]:
    """The stored connection that an entry names."""
    connection_id = str(entry.get("connectionId", ""))
    try:
        found = invocation.services.resources.get(ResourceId.parse(connection_id))
    except InvalidResourceId:
        found = None
    if found is None:
        message = f"The API connection '{connection_id}' does not exist."
        raise ActionError("ApiConnectionNotFound", message)
    return found


def _principal(invocation: ActionInvocation, entry: dict[str, Any]) -> Principal:
    properties = entry.get("connectionProperties")
    authentication = properties.get("authentication") if isinstance(properties, dict) else None
    kind = str(authentication.get("type", "")).lower() if isinstance(authentication, dict) else ""
    if kind != "managedserviceidentity" or not isinstance(authentication, dict):
        message = (
            f"The API connection '{invocation.action.plan.connection}' does not authenticate with an identity of the "
            "workflow: set connectionProperties.authentication.type to ManagedServiceIdentity."
        )
        raise ActionError("Unauthorized", message)
    return managed_principal(invocation, authentication, "connection")


def _operation(
    invocation: ActionInvocation, inputs: dict[str, Any], entry: dict[str, Any]
) -> tuple[Operation, ConnectorCall]:
    api = Api.of(entry["id"])
    connector = api.connector(invocation.services.connectors)
    if connector is None:
        raise ActionError("NotSupported", str(api.not_run(invocation.services.connectors)))
    method, path = str(inputs["method"]).upper(), text(inputs["path"])
    found = connector.find(method, path)
    if found is None:
        raise ActionError("NotSupported", operation_not_run(api, method, path))
    stored = _stored(invocation, entry)
    operation, parameters = found
    call = ConnectorCall(
        None if connector.by_connection else _principal(invocation, entry),
        invocation.tracking_id,
        method,
        path,
        {name: unquote(value) for name, value in parameters.items()},
        inputs.get("queries") or {},
        inputs.get("headers") or {},
        inputs.get("body"),
        stored["properties"].get("parameterValues") or {},
    )
    return operation, call


async def _answer(operation: Operation, call: ConnectorCall) -> ConnectorReply:
    try:
        return await operation.call(call)
    except BadCall as error:
        return _error(400, "BadRequest", str(error))
    except Forbidden as error:
        message = (
            f"The client '{error.principal.app_id}' with object id '{error.principal.object_id}' does not have "
            f"authorization to perform action '{error.action}' over scope '{error.scope}'."
        )
        return _error(403, "AuthorizationFailed", message)
    except WireError as error:
        return _error(error.status, error.code, error.message)


def _error(status: int, code: str, message: str) -> ConnectorReply:
    return ConnectorReply(status, {"error": {"code": code, "message": message}})


CONNECTION: tuple[ActionType, ...] = (
    ActionType(
        "ApiConnection",
        frozenset({"inputs"}),
        _check,
        _run,
        "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#apiconnection-action",
        effect=_effect,
    ),
    ActionType(
        "ApiConnectionWebhook",
        frozenset({"inputs", "limit"}),
        _check_webhook,
        _run_webhook,
        "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#apiconnectionwebhook-action",
    ),
)
