"""Role definitions and lists of role assignments: control-plane routes, to be mounted through `arm`.

Sources: https://learn.microsoft.com/rest/api/authorization/role-definitions/list and
https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.identity.assignments import ASSIGNMENTS, NAMESPACE, role_definition_id
from lurewire.identity.errors import RoleDefinitionNotFound, UnsupportedFilter
from lurewire.identity.roles import ROLES, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.core.resources import Resources

_CLAUSE = re.compile(r"(\w+)\(\)|(\w+) eq '([^']*)'|(\w+)\('([^']*)'\)")


def role_routes(resources: Resources) -> tuple[Route, ...]:
    """Role definitions and lists of role assignments, at every scope."""
    handlers = _Roles(resources)
    definitions = f"/{{scope:path}}/providers/{NAMESPACE}/roleDefinitions"
    read_definitions = Needs(f"{NAMESPACE}/roleDefinitions/read", Audience.MANAGEMENT, _scope)
    read_assignments = Needs(f"{ASSIGNMENTS}/read", Audience.MANAGEMENT, _scope)
    return (
        Route("GET", definitions, handlers.definitions, read_definitions),
        Route("GET", f"{definitions}/{{role}}", handlers.definition, read_definitions),
        Route("GET", f"/{{scope:path}}/providers/{ASSIGNMENTS}", handlers.assignments, read_assignments),
    )


def _scope(request: Request) -> str:
    return f"/{request.path_params['scope']}"


class _Roles:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def definitions(self, request: Request) -> Response:
        scope = _scope(request)
        value = [_definition(role, scope) for role in ROLES]
        for name, argument in _clauses(request):
            value = [v for v in value if _filter(_DEFINITION_FILTERS, name)(v, argument, scope)]
        return JSONResponse({"value": value})

    async def definition(self, request: Request) -> Response:
        asked = request.path_params["role"].lower()
        for role in ROLES:
            if role.id == asked:
                return JSONResponse(_definition(role, _scope(request)))
        raise RoleDefinitionNotFound(f"The specified role definition with ID '{asked}' does not exist.")

    async def assignments(self, request: Request) -> Response:
        scope = _scope(request)
        value = [v for v in self._resources.list(ASSIGNMENTS) if _holds_at(v, scope) or _is_below(v, scope)]
        for name, argument in _clauses(request):
            value = [v for v in value if _filter(_ASSIGNMENT_FILTERS, name)(v, argument, scope)]
        return JSONResponse({"value": value})


def _clauses(request: Request) -> list[tuple[str, str]]:
    text = request.query_params.get("$filter", "").strip()
    found = []
    for clause in re.split(r"\s+and\s+", text) if text else []:
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise UnsupportedFilter(f"The filter '{clause}' is not supported.")
        name = match[1] or match[2] or match[4]
        found.append((name.lower(), match[3] or match[5] or ""))
    return found


def _filter(table: dict[str, Callable[[dict[str, Any], str, str], bool]], name: str) -> Any:
    found = table.get(name)
    if found is None:
        raise UnsupportedFilter(f"The filter '{name}' is not supported; this list knows {', '.join(table)}.")
    return found


def _definition(role: Role, scope: str) -> dict[str, Any]:
    try:
        subscription = ResourceId.parse(scope).subscription
    except InvalidResourceId:
        subscription = None
    return {
        "id": role_definition_id(subscription, role.id),
        "name": role.id,
        "type": f"{NAMESPACE}/roleDefinitions",
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": list(role.data_actions),
                    "notDataActions": list(role.not_data_actions),
                }
            ],
        },
    }


def _assigned_scope(assignment: dict[str, Any]) -> str:
    return str(assignment["properties"]["scope"]).lower().rstrip("/")


def _holds_at(assignment: dict[str, Any], scope: str) -> bool:
    place, mine = scope.lower().rstrip("/"), _assigned_scope(assignment)
    return place == mine or place.startswith(mine + "/")


def _is_below(assignment: dict[str, Any], scope: str) -> bool:
    return _assigned_scope(assignment).startswith(scope.lower().rstrip("/") + "/")


def _is_of(assignment: dict[str, Any], principal: str, _scope: str) -> bool:
    return str(assignment["properties"]["principalId"]).lower() == principal.lower()


_DEFINITION_FILTERS: dict[str, Callable[[dict[str, Any], str, str], bool]] = {
    "rolename": lambda role, text, _: role["properties"]["roleName"].lower() == text.lower(),
    "type": lambda role, text, _: role["properties"]["type"].lower() == text.lower(),
    "atscopeandbelow": lambda _role, _text, _scope: True,
}

_ASSIGNMENT_FILTERS: dict[str, Callable[[dict[str, Any], str, str], bool]] = {
    "atscope": lambda assignment, _, scope: _holds_at(assignment, scope),
    "principalid": _is_of,
    "assignedto": _is_of,  # there are no groups, through which a principal would have more
}
