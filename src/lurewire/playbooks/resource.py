"""The resource types of the room: `Microsoft.Logic/workflows` and `Microsoft.Web/connections`.

Sources: https://learn.microsoft.com/azure/templates/microsoft.logic/workflows and
https://learn.microsoft.com/azure/templates/microsoft.web/connections
"""

from __future__ import annotations

import copy
import uuid
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import ResourceId, ResourceType
from lurewire.expressions.moments import Moment
from lurewire.playbooks.actions.connection import calls
from lurewire.playbooks.caveats import of_connection, of_definition
from lurewire.playbooks.connectors import Api, is_api
from lurewire.playbooks.definition import Workflow, compile_workflow
from lurewire.playbooks.errors import InvalidRequestContent, InvalidTemplate, NotSupported
from lurewire.playbooks.models import timestamp
from lurewire.playbooks.parameters import is_secure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.resources import Change
    from lurewire.playbooks.connectors import Connector

WORKFLOWS = "Microsoft.Logic/workflows"
CONNECTIONS = "Microsoft.Web/connections"

_SYSTEM = uuid.UUID("5d3f2f3c-5a45-5a0f-8d0e-1c9d6a0c7a11")
"""The namespace of workflows' system ids."""

_PROPERTIES = frozenset({"state", "definition", "parameters"})
_READ_ONLY = frozenset(
    {"provisioningState", "createdTime", "changedTime", "version", "accessEndpoint", "sku", "endpointsConfiguration"}
)
_SECURE = "secureParameters"
_MOST_TICKS = 2**63 - 1


def newest_first(clock: Clock) -> str:
    """20 digits that sort the newest first, as Azure names runs and versions."""
    return f"{_MOST_TICKS - Moment.of(clock.now()).ticks:020d}"


def system_id(resource_id: ResourceId) -> str:
    """A workflow's name in the URLs of its callbacks."""
    return uuid.uuid5(_SYSTEM, resource_id.key).hex


def _next_version(clock: Clock, existing: str | None) -> str:
    # Also where the clock stands still, a version is a new one.
    latest = newest_first(clock)
    return latest if existing is None else min(latest, f"{int(existing) - 1:020d}")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = f"The request content is not valid: '{what}' must be an object."
        raise InvalidRequestContent(message)
    return value


def _envelope(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body.get("location"), str):
        raise InvalidRequestContent("The request content is not valid: 'location' is required.")
    return _object(body.get("properties"), "properties")


class WorkflowResources:
    """Validates and completes workflows and connections; secure parameter values are kept apart from what a GET shows."""

    def __init__(self, clock: Clock, limits: Limits, connectors: Mapping[str, Connector], base_url: str) -> None:
        self._clock = clock
        self._limits = limits
        self._connectors = connectors
        self._base_url = base_url.rstrip("/")

    async def prepare(self, change: Change) -> dict[str, Any]:
        """The body to store; raises `InvalidTemplate`, `NotSupported` and `InvalidRequestContent`."""
        properties = _envelope(change.body)
        for name in properties:
            if name not in _PROPERTIES | _READ_ONLY:
                message = f"Not supported at 'properties/{name[:80]}': the property of a workflow."
                raise NotSupported(message)
        state = properties.get("state", "Enabled")
        if state not in ("Enabled", "Disabled"):
            raise InvalidRequestContent("The request content is not valid: 'state' can be 'Enabled' or 'Disabled'.")
        definition = copy.deepcopy(_object(properties.get("definition"), "properties/definition"))
        parameters = copy.deepcopy(_object(properties.get("parameters") or {}, "properties/parameters"))
        compiled = compile_workflow(definition, parameters, self._limits)
        _check_connections(compiled)
        secure = _take_secrets(definition, parameters)
        existing = _object((change.existing or {}).get("properties", {}), "properties")
        now = timestamp(self._clock.now())
        body: dict[str, Any] = {
            "location": change.body["location"],
            "tags": _object(change.body.get("tags") or {}, "tags"),
            "properties": {
                "provisioningState": "Succeeded",
                "createdTime": existing.get("createdTime", now),
                "changedTime": now,
                "state": state,
                "version": _next_version(self._clock, existing.get("version")),
                "accessEndpoint": f"{self._base_url}/workflows/{system_id(change.id)}",
                "sku": {"name": "Consumption"},
                "definition": definition,
                "parameters": parameters,
                _SECURE: secure,
            },
        }
        # The resource store completes an identity, whatever the type: `principalId` and `tenantId`.
        return body if "identity" not in change.body else {**body, "identity": change.body["identity"]}

    def warnings(self, body: dict[str, Any]) -> Sequence[tuple[str, str]]:
        """What of a workflow's body is taken and will not work here."""
        try:
            definition, parameters = whole(body["properties"])
        except (AttributeError, KeyError, TypeError):  # a template's, not yet prepared: `prepare` says what is wrong
            return ()
        return of_definition(definition, parameters, self._limits, self._connectors)

    def connection_warnings(self, body: dict[str, Any]) -> Sequence[tuple[str, str]]:
        """The same of a connection's."""
        return of_connection(body.get("properties"), self._connectors)

    async def prepare_connection(self, change: Change) -> dict[str, Any]:
        """The body of a connection to store; raises `InvalidRequestContent`."""
        properties = _envelope(change.body)
        api = _object(properties.get("api"), "properties/api")
        if not isinstance(api.get("id"), str) or not is_api(api["id"]):
            message = "The request content is not valid: 'properties/api/id' must name a managed API or a custom one."
            raise InvalidRequestContent(message)
        known = Api.of(api["id"])
        existing = _object((change.existing or {}).get("properties", {}), "properties")
        now = timestamp(self._clock.now())
        kind = "Microsoft.Web/customApis" if known.custom else "Microsoft.Web/locations/managedApis"
        stored = {
            **properties,
            "displayName": properties.get("displayName", change.id.name),
            "api": {"name": known.name, "type": kind, **api},
            **_connection_state(properties, known.not_run(self._connectors)),
            "connectionState": "Enabled",
            "createdTime": existing.get("createdTime", now),
            "changedTime": now,
            "testLinks": [],
        }
        kept: dict[str, Any] = {name: change.body[name] for name in ("kind", "tags") if name in change.body}
        return {"location": change.body["location"], **kept, "properties": stored}


def _connection_state(properties: dict[str, Any], not_run: str | None) -> dict[str, Any]:
    if not_run is not None:
        error = {"code": "NotSupported", "message": not_run}
        return {"statuses": [{"status": "Error", "target": "api", "error": error}], "overallStatus": "Error"}
    status = "Ready" if properties.get("parameterValueType") == "Alternative" else "Connected"
    return {"statuses": [{"status": status}], "overallStatus": status}


def _check_connections(compiled: Workflow) -> None:
    declared = compiled.parameters.get("$connections")
    entries = declared.value if declared is not None else {}
    for key, actions in calls(compiled.actions).items():
        entry = entries.get(key)
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            message = (
                f"The template validation failed at '{actions[0].where}': the API connection '{key}' is missing in the "
                "parameter '$connections', or has no 'id'."
            )
            raise InvalidTemplate(message)


def _take_secrets(definition: dict[str, Any], parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Remove the values and defaults of secure parameters from both; returns them."""
    taken: dict[str, dict[str, Any]] = {"values": {}, "defaults": {}}
    declarations = definition.get("parameters") or {}
    secure = {name.lower() for name, declaration in declarations.items() if is_secure(declaration)}
    for name, declaration in declarations.items():
        if name.lower() in secure and "defaultValue" in declaration:
            taken["defaults"][name] = declaration.pop("defaultValue")
    for name, entry in parameters.items():
        if name.lower() in secure and "value" in entry:
            taken["values"][name] = entry.pop("value")
    return taken


def whole(properties: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Definition and parameters of a stored workflow with the secure values in their places."""
    definition = copy.deepcopy(properties["definition"])
    parameters = copy.deepcopy(properties.get("parameters") or {})
    secure = properties.get(_SECURE) or {}
    for name, value in secure.get("defaults", {}).items():
        definition["parameters"][name]["defaultValue"] = value
    for name, value in secure.get("values", {}).items():
        parameters[name]["value"] = value
    return definition, parameters


def resource_types(
    workflows: WorkflowResources,
    applied: Callable[[ResourceId, dict[str, Any]], Awaitable[None]],
    deleted: Callable[[ResourceId], Awaitable[None]],
) -> tuple[ResourceType, ...]:
    """The room's rows for the resource store."""

    async def nothing(_resource_id: ResourceId, _body: dict[str, Any]) -> None:
        """A connection is looked up when it is used."""

    async def gone(_resource_id: ResourceId) -> None:
        """The same."""

    return (
        ResourceType(
            WORKFLOWS, workflows.prepare, applied, deleted, (f"/properties/{_SECURE}",), warnings=workflows.warnings
        ),
        ResourceType(
            CONNECTIONS,
            workflows.prepare_connection,
            nothing,
            gone,
            ("/properties/parameterValues",),
            warnings=workflows.connection_warnings,
        ),
    )
