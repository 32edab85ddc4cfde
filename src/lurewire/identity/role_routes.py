"""Roles over HTTP: definitions, lists of assignments, and assignments of the whole tenant; to be mounted through `arm`.

Assignments at every other scope are resources like others, which `arm` serves. Sources:
https://learn.microsoft.com/rest/api/authorization/role-definitions and
https://learn.microsoft.com/rest/api/authorization/role-assignments
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.identity.assignments import ASSIGNMENTS, role_assignment_id
from lurewire.identity.bodies import read_object
from lurewire.identity.definitions import DEFINITIONS, definition_body
from lurewire.identity.role_errors import (
    InvalidRoleAssignment,
    InvalidRoleDefinition,
    RoleAssignmentNotFound,
    RoleDefinitionNotFound,
    UnsupportedFilter,
)
from lurewire.identity.scopes import scope_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.core.resources import Resources
    from lurewire.identity.roles import Role
    from lurewire.identity.service import Identity

_TEXT = r"'((?:[^']|'')*)'"
_CLAUSE = re.compile(rf"(\w+)\(\)|(\w+) eq {_TEXT}|(\w+)\({_TEXT}\)", re.IGNORECASE)
_TENANT = ("", "/")
"""What stands before `/providers` where the scope is the tenant: nothing, or the slash that is its name."""


def role_routes(resources: Resources, identity: Identity) -> tuple[Route, ...]:
    """Role definitions and lists of role assignments at every scope, and role assignments of the tenant."""
    handlers = _Roles(resources, identity)
    routes: list[Route] = []
    for prefix in ("/{scope:path}", *_TENANT):
        many, one = f"{prefix}/providers/{DEFINITIONS}", f"{prefix}/providers/{DEFINITIONS}/{{role}}"
        routes += [
            Route("GET", many, handlers.definitions, _needs(DEFINITIONS, "read")),
            Route("GET", one, handlers.definition, _needs(DEFINITIONS, "read")),
            Route("PUT", one, handlers.put_definition, _needs(DEFINITIONS, "write")),
            Route("DELETE", one, handlers.delete_definition, _needs(DEFINITIONS, "delete")),
            Route("GET", f"{prefix}/providers/{ASSIGNMENTS}", handlers.assignments, _needs(ASSIGNMENTS, "read")),
        ]
    for prefix in _TENANT:
        one = f"{prefix}/providers/{ASSIGNMENTS}/{{name}}"
        routes += [
            Route("GET", one, handlers.assignment, _needs(ASSIGNMENTS, "read")),
            Route("PUT", one, handlers.put_assignment, _needs(ASSIGNMENTS, "write")),
            Route("DELETE", one, handlers.delete_assignment, _needs(ASSIGNMENTS, "delete")),
        ]
    return tuple(routes)


def _needs(kind: str, verb: str) -> Needs:
    return Needs(f"{kind}/{verb}", Audience.MANAGEMENT, _scope)


def _scope(request: Request) -> str:
    return f"/{request.path_params.get('scope', '').strip('/')}"  # some clients write a slash before the scope's own


class _Roles:
    def __init__(self, resources: Resources, identity: Identity) -> None:
        self._resources = resources
        self._identity = identity
        self._roles = identity.role_definitions

    async def definitions(self, request: Request) -> Response:
        scope = _scope(request)
        clauses = _clauses(request)
        below = any(name == "atscopeandbelow" for name, _ in clauses)
        value = [
            self._body(role, scope)
            for role in self._roles.all()
            if self._roles.assignable(role, scope) or (below and self._roles.is_at(role, scope))
        ]
        for name, argument in clauses:
            value = [v for v in value if _filter(_DEFINITION_FILTERS, name)(v, argument)]
        return JSONResponse({"value": value})

    async def definition(self, request: Request) -> Response:
        return JSONResponse(self._body(self._role(request), _scope(request)))

    async def put_definition(self, request: Request) -> Response:
        body = await read_object(request, self._identity.limits["identity.request_bytes"], InvalidRoleDefinition)
        name = request.path_params["role"]
        await self._resources.put(self._roles.stored_as(name), body, request.state.principal)
        role = self._roles.find(name)
        assert role is not None
        # 201 also for an update: the one success that the contract names, and all that clients accept.
        return JSONResponse(self._body(role, _scope(request)), status_code=201)

    async def delete_definition(self, request: Request) -> Response:
        role = self._roles.find(request.path_params["role"])
        if role is None or not self._roles.is_at(role, _scope(request)):
            return Response(status_code=204)
        self._roles.check_deletable(role, request.state.principal)
        shown = self._body(role, _scope(request))
        await self._resources.delete(self._roles.stored_as(role.id))
        return JSONResponse(shown)

    async def assignments(self, request: Request) -> Response:
        scope, covers = _scope(request), self._identity.covers
        held = [(_assigned_scope(one), one) for one in self._resources.list(ASSIGNMENTS)]
        value = [one for at, one in held if covers(at, scope) or covers(scope, at)]
        for name, argument in _clauses(request):
            keep = _filter(_ASSIGNMENT_FILTERS, name)
            value = [one for one in value if keep(one, argument, lambda at: covers(at, scope))]
        return JSONResponse({"value": value})

    async def assignment(self, request: Request) -> Response:
        return JSONResponse(self._assignment(request))

    async def put_assignment(self, request: Request) -> Response:
        body = await read_object(request, self._identity.limits["identity.request_bytes"], InvalidRoleAssignment)
        target = self._target(request)
        existed = self._resources.get(target) is not None
        stored = await self._resources.put(target, body, request.state.principal)
        return JSONResponse(stored, status_code=200 if existed else 201)

    async def delete_assignment(self, request: Request) -> Response:
        shown = self._resources.get(self._target(request))
        if shown is None or not await self._resources.delete(self._target(request)):
            return Response(status_code=204)
        return JSONResponse(shown)

    def _role(self, request: Request) -> Role:
        name = request.path_params["role"]
        role = self._roles.find(name)
        if role is None or not self._roles.is_at(role, _scope(request)):
            raise RoleDefinitionNotFound(f"The specified role definition with ID '{name}' does not exist.")
        return role

    def _body(self, role: Role, scope: str) -> dict[str, Any]:
        try:
            subscription = ResourceId.parse(scope).subscription
        except InvalidResourceId:
            subscription = None
        stored = None if role.built_in else self._resources.get(self._roles.stored_as(role.id))
        return definition_body(role, subscription, stored)

    def _assignment(self, request: Request) -> dict[str, Any]:
        body = self._resources.get(self._target(request))
        if body is None:
            name = request.path_params["name"]
            raise RoleAssignmentNotFound(f"The role assignment '{name}' is not found.")
        return body

    def _target(self, request: Request) -> ResourceId:
        return role_assignment_id("", request.path_params["name"])


def _clauses(request: Request) -> list[tuple[str, str]]:
    text = request.query_params.get("$filter", "").strip()
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _CLAUSE.match(text, at)
        joined = match and re.compile(r"\s+and\s+|$", re.IGNORECASE).match(text, match.end())
        if not match or not joined:
            raise UnsupportedFilter(f"The filter '{text[at:]}' is not supported.")
        name = match[1] or match[2] or match[4]
        found.append((name.lower(), (match[3] or match[5] or "").replace("''", "'")))
        at = joined.end()
    return found


def _filter(table: dict[str, Callable[..., bool]], name: str) -> Callable[..., bool]:
    found = table.get(name)
    if found is None:
        raise UnsupportedFilter(f"The filter '{name}' is not supported; this list knows {', '.join(table)}.")
    return found


def _assigned_scope(assignment: dict[str, Any]) -> str:
    return scope_key(str(assignment["properties"]["scope"]))


def _is_of(assignment: dict[str, Any], principal: str, _holds: Callable[[str], bool]) -> bool:
    return str(assignment["properties"]["principalId"]).lower() == principal.lower()


_DEFINITION_FILTERS: dict[str, Callable[[dict[str, Any], str], bool]] = {
    "rolename": lambda role, text: role["properties"]["roleName"].lower() == text.lower(),
    "type": lambda role, text: role["properties"]["type"].lower() == text.lower(),
    "atscopeandbelow": lambda _role, _text: True,  # widens the list, where it is made
}

_ASSIGNMENT_FILTERS: dict[str, Callable[[dict[str, Any], str, Callable[[str], bool]], bool]] = {
    "atscope": lambda assignment, _text, holds: holds(_assigned_scope(assignment)),
    "principalid": _is_of,
    "assignedto": _is_of,  # there are no groups, through which a principal would have more
}
