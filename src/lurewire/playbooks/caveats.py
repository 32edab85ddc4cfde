"""What of a workflow or a connection is stored and will not work here: said when it is deployed, and again by its run.

A definition that Azure would refuse is refused when it is put; so is a construct of the language that does not run here.
An API of somebody else is not part of the language: the workflow is stored, with a warning, and the actions that call
it fail with the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.errors import WireError
from lurewire.expressions import parse
from lurewire.playbooks.actions.connection import calls
from lurewire.playbooks.actions.function import FunctionPlan
from lurewire.playbooks.connectors import Api, operation_not_run
from lurewire.playbooks.definition import compile_workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.core.limits import Limits
    from lurewire.playbooks.connectors import Connector
    from lurewire.playbooks.definition import Action, Workflow

Warnings = list[tuple[str, str]]

_MOST_NAMES = 10


def of_connection(properties: Any, connectors: Mapping[str, Connector]) -> Warnings:
    """The warning of a connection whose API does not run here."""
    api = properties.get("api") if isinstance(properties, dict) else None
    api_id = api.get("id") if isinstance(api, dict) else None
    reason = Api.of(api_id).not_run(connectors) if isinstance(api_id, str) else None
    return [] if reason is None else [("ConnectorNotRun", f"{reason} The connection is stored, and nothing goes out.")]


def of_definition(definition: Any, parameters: Any, limits: Limits, connectors: Mapping[str, Connector]) -> Warnings:
    """The warnings of a workflow; none for a definition that is refused anyway."""
    try:
        return of_workflow(compile_workflow(definition, parameters, limits), connectors)
    except WireError:
        return []


def of_workflow(compiled: Workflow, connectors: Mapping[str, Connector]) -> Warnings:
    """A warning for each API, operation or function that does not run here, with the actions that call it."""
    found: dict[tuple[str, str], list[str]] = {}
    entries = _connections(compiled)
    for key, actions in calls(compiled.actions).items():
        entry = entries.get(key)
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            continue
        api = Api.of(entry["id"])
        for action in actions:
            reason = api.not_run(connectors)
            code = "ConnectorNotRun"
            if reason is None:
                reason, code = _operation(api, action, connectors), "OperationNotRun"
            if reason is not None:
                found.setdefault((code, reason), []).append(action.name)
    for action in compiled.actions.values():
        if isinstance(action.plan, FunctionPlan):
            found.setdefault(("FunctionNotRun", action.plan.not_run), []).append(action.name)
    return [(code, f"{reason} {_fail(names)}") for (code, reason), names in found.items()]


def _connections(compiled: Workflow) -> dict[str, Any]:
    declared = compiled.parameters.get("$connections")
    return declared.value if declared is not None and isinstance(declared.value, dict) else {}


def _operation(api: Api, action: Action, connectors: Mapping[str, Connector]) -> str | None:
    connector = api.connector(connectors)
    inputs = action.definition["inputs"]
    method, path = inputs.get("method"), inputs["path"]
    if method is None:  # an action that waits for the API to call back: no connector here does
        return operation_not_run(api, "", path)
    if connector is None or "@" in method or (path.startswith("@") and path[1:2] != "{"):
        return None  # known only when it runs
    literal = "".join(part if isinstance(part, str) else "x" for part in parse(path).parts)
    return operation_not_run(api, method, path) if connector.find(method, literal) is None else None


def _fail(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"When it runs, the action {shown} fails." if len(names) == 1 else f"When they run, {shown}{more} fail."
