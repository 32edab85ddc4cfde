"""The types that the arm room itself owns: resource groups and API connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.arm.errors import BadResourceId, InvalidRequestContent, LocationRequired
from lurewire.arm.inert import INERT_TYPES, inert_type
from lurewire.arm.locks import lock_type
from lurewire.core.resources import ResourceType

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.resources import Change, ResourceId

RESOURCE_GROUPS = "Microsoft.Resources/resourceGroups"
CONNECTIONS = "Microsoft.Web/connections"
TAGS = "Microsoft.Resources/tags"


def builtin_types(clock: Clock) -> tuple[ResourceType, ...]:
    """What `ResourceStore` knows before the rooms register theirs."""

    async def connection(change: Change) -> dict[str, Any]:
        return _connection(change, clock)

    return (
        ResourceType(RESOURCE_GROUPS, _group, _applied, _deleted),
        ResourceType(
            CONNECTIONS,
            connection,
            _applied,
            _deleted,
            hidden=("/properties/parameterValues", "/properties/parameterValueSet/values"),
        ),
        ResourceType(TAGS, _tags, _applied, _deleted),
        lock_type(),
        *(inert_type(name) for name in INERT_TYPES),
    )


async def _group(change: Change) -> dict[str, Any]:
    location = change.body.get("location") or (change.existing or {}).get("location")
    if not isinstance(location, str) or not location:
        raise LocationRequired("The location property is required for this definition.")
    return {
        "location": location,
        "tags": change.body.get("tags") or {},
        "properties": {"provisioningState": "Succeeded"},
    }


async def _tags(change: Change) -> dict[str, Any]:
    if "properties" in change.body:  # as templates have it; the requests on tags give them as those of a resource
        message = f"A template cannot put '{TAGS}' here: give the resource or the resource group its 'tags'."
        raise InvalidRequestContent(message)
    return {"tags": change.body.get("tags") or {}}


def _connection(change: Change, clock: Clock) -> dict[str, Any]:
    """Source: https://learn.microsoft.com/azure/templates/microsoft.web/2016-06-01/connections."""
    properties = change.body.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("api"), dict):
        raise InvalidRequestContent("A connection needs 'properties.api.id', the managed API that it connects to.")
    api_id = properties["api"].get("id")
    if not isinstance(api_id, str) or not api_id:
        raise BadResourceId("'properties.api.id' must be the id of a managed API.")
    now = clock.now().isoformat().replace("+00:00", "Z")
    created = (change.existing or {}).get("properties", {}).get("createdTime", now)
    return change.body | {
        "kind": change.body.get("kind") or "V1",
        "properties": properties
        | {
            "displayName": properties.get("displayName") or change.id.name,
            "api": {"name": api_id.rstrip("/").rpartition("/")[2]} | properties["api"],
            "overallStatus": "Connected",
            "connectionState": "Enabled",
            "statuses": [{"status": "Connected"}],
            "createdTime": created,
            "changedTime": now,
        },
    }


async def _applied(resource_id: ResourceId, body: dict[str, Any]) -> None:
    """A group and a connection are what is stored of them."""


async def _deleted(resource_id: ResourceId) -> None:
    """The store deletes what is in a group."""
