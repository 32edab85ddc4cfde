"""The HTTP surface as an OpenAPI document, made from the routes that the rooms declare.

It says which operations there are, what each needs and which kind of body it takes; the services' own documentation
says what the bodies mean. Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire import __version__
from lurewire.core.http import Audience, Needs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lurewire.core.http import RoomRoutes, Route

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
_JSON = "application/json"
_OBJECT: dict[str, Any] = {"type": "object"}
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        name: {"type": "string"}
        for name in ("grant_type", "client_id", "client_secret", "client_assertion", "scope", "resource")
    },
}
_ROWS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
_QUERY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string"},
        "timespan": {"type": ["string", "null"]},
        "workspaces": {"type": ["array", "null"], "items": {"type": "string"}},
    },
    "required": ["query"],
}
_SECRET: dict[str, Any] = {
    "type": "object",
    "properties": {
        "value": {"type": "string"},
        "contentType": {"type": "string"},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "attributes": {"type": "object"},
    },
}
_RESOURCE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string"},
        "kind": {"type": "string"},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "properties": {"type": "object"},
    },
}

_BODIES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "identity": ("application/x-www-form-urlencoded", _FORM),
    "ingestion": (_JSON, _ROWS),
    "workspace": (_JSON, _QUERY),
    "vault": (_JSON, _SECRET),
    "testbench": (_JSON, _OBJECT),
}
"""The kind of body that a room's writing operations take; all others take a resource."""

_QUERY_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "ingestion": ("api-version",),
    "workspace": ("query", "timespan"),
    "identity": ("authorization_endpoint", "api-version"),
    "managed identity": ("resource", "api-version", "client_id", "object_id", "mi_res_id", "msi_res_id"),
    "vault": ("api-version", "maxresults", "$skiptoken"),
    "ipintel": ("ip",),
    "testbench": ("room", "after"),
}
_CONTROL_PLANE_PARAMETERS = ("api-version", "$filter", "$top", "$orderby", "$skipToken")
_REQUIRED = frozenset({"api-version"})
_WRITING = frozenset({"POST", "PUT", "PATCH"})


def document(rooms: Sequence[RoomRoutes], server: str) -> dict[str, Any]:
    """The OpenAPI document of `rooms`, served at the URL `server`. The first of two routes that fit the same answers."""
    paths: dict[str, dict[str, Any]] = {}
    for room in rooms:
        for route in room.routes:
            operations = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
            operations.setdefault(route.method.lower(), _operation(room.room, route))
    schemes = {
        audience.value: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": f"For {audience}."}
        for audience in Audience
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lurewire", "version": __version__},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"securitySchemes": schemes},
    }


def _operation(room: str, route: Route) -> dict[str, Any]:
    parameters = [
        {
            "name": found[1],
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            **({"description": "May hold slashes."} if found[2] else {}),
        }
        for found in _PARAMETER.finditer(route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": name in _REQUIRED, "schema": {"type": "string"}}
        for name in _QUERY_PARAMETERS.get(room, _CONTROL_PLANE_PARAMETERS)
    ]
    access = route.access
    made: dict[str, Any] = {
        "tags": [room],
        "parameters": parameters,
        "responses": {"default": {"description": "As the service's own documentation says."}},
    }
    if isinstance(access, Needs):
        made["security"] = [{access.audience.value: []}]
        made["x-lurewire-data-action" if access.data else "x-lurewire-action"] = access.action
    else:
        made["security"] = []
        made["x-lurewire-public"] = access.reason
    if route.method in _WRITING:
        media, schema = _BODIES.get(room, (_JSON, _RESOURCE))
        made["requestBody"] = {"content": {media: {"schema": schema}}}
    return made
