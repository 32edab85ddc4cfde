"""Management groups over HTTP; to be mounted through `arm`.

Source: https://learn.microsoft.com/rest/api/managementgroups/management-groups
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import ResourceId
from lurewire.identity.bodies import read_object
from lurewire.identity.management_groups import MANAGEMENT_GROUPS, MEMBERS
from lurewire.identity.role_errors import InvalidManagementGroup, ManagementGroupNotFound
from lurewire.identity.scopes import group_scope

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.core.resources import Resources
    from lurewire.identity.service import Identity


def group_routes(resources: Resources, identity: Identity, subscription_id: str) -> tuple[Route, ...]:
    """Management groups, and which of them the subscription is in."""
    handlers = _Groups(resources, identity, subscription_id)
    many = f"/providers/{MANAGEMENT_GROUPS}"
    one, member = f"{many}/{{group}}", f"{many}/{{group}}/subscriptions/{{subscription}}"
    root = Needs(f"{MANAGEMENT_GROUPS}/read", Audience.MANAGEMENT, lambda _: str(identity.management_groups.root))
    return (
        Route("GET", many, handlers.all, root),
        Route("GET", one, handlers.show, _needs(MANAGEMENT_GROUPS, "read")),
        Route("PUT", one, handlers.put, _needs(MANAGEMENT_GROUPS, "write")),
        Route("DELETE", one, handlers.delete, _needs(MANAGEMENT_GROUPS, "delete")),
        Route("GET", member, handlers.show_member, _needs(MEMBERS, "read")),
        Route("PUT", member, handlers.put_member, _needs(MEMBERS, "write")),
        Route("DELETE", member, handlers.delete_member, _needs(MEMBERS, "delete")),
    )


def _needs(kind: str, verb: str) -> Needs:
    return Needs(f"{kind}/{verb}", Audience.MANAGEMENT, lambda request: str(_group(request)))


def _group(request: Request) -> ResourceId:
    return ResourceId.parse(group_scope(request.path_params["group"]))


class _Groups:
    def __init__(self, resources: Resources, identity: Identity, subscription_id: str) -> None:
        self._resources = resources
        self._identity = identity
        self._groups = identity.management_groups
        self._subscription = subscription_id

    async def all(self, _request: Request) -> Response:
        return JSONResponse({"value": self._resources.list(MANAGEMENT_GROUPS)})

    async def show(self, request: Request) -> Response:
        body = self._resources.get(_group(request))
        if body is None:
            raise ManagementGroupNotFound(f"'{_group(request)}' not found")
        return JSONResponse(body)

    async def put(self, request: Request) -> Response:
        body = await read_object(request, self._identity.limits["identity.request_bytes"], InvalidManagementGroup)
        return JSONResponse(await self._resources.put(_group(request), body, request.state.principal))

    async def delete(self, request: Request) -> Response:
        self._groups.check_deletable(_group(request))
        await self._resources.delete(_group(request))
        return Response(status_code=204)

    async def show_member(self, request: Request) -> Response:
        body = self._resources.get(self._member(request))
        if body is None:
            raise ManagementGroupNotFound(f"'{self._member(request)}' not found")
        return JSONResponse(body)

    async def put_member(self, request: Request) -> Response:
        member = self._member(request)
        await self._groups.move(self._resources, _group(request), member.name, request.state.principal)
        return JSONResponse(self._resources.get(member))

    async def delete_member(self, request: Request) -> Response:
        await self._resources.delete(self._member(request))
        return Response(status_code=204)

    def _member(self, request: Request) -> ResourceId:
        subscription = request.path_params["subscription"]
        if subscription.lower() != self._subscription.lower():
            raise ManagementGroupNotFound(f"The subscription '{subscription}' could not be found.")
        return _group(request).child("subscriptions", subscription)
