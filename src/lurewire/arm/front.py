"""The REST front of the resource store: one set of routes for every registered type, and one for all others.

Source: https://learn.microsoft.com/rest/api/resources/resources
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.arm.bodies import read_object
from lurewire.arm.builtin import RESOURCE_GROUPS
from lurewire.arm.errors import BadResourceId, InvalidFilter, ResourceNotFound, UnsupportedPatch
from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import InvalidResourceId, ResourceId

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.arm.store import ResourceStore
    from lurewire.core.limits import Limits

STATUS_OF_CREATION: dict[str, int] = {
    "microsoft.operationalinsights/workspaces/tables": 200,
    "microsoft.operationalinsights/workspaces/savedsearches": 200,
}
"""Types whose clients refuse 201 (azure.md, section E.2); all others answer 201 to the PUT that creates."""

SHOWN_AT_DELETION = frozenset({"microsoft.authorization/roleassignments"})
"""Types whose DELETE answers with what was deleted, which clients read; that of all others has no body."""

_PROVIDERS = "/providers/"
_VERBS = (("GET", "read"), ("PUT", "write"), ("PATCH", "write"), ("DELETE", "delete"))


def resource_routes(store: ResourceStore, limits: Limits) -> tuple[Route, ...]:
    """The routes of all types that are registered now, then those of types that nobody registered."""
    handlers = _Front(store, limits)
    by_verb = {
        "GET": handlers.show,
        "PUT": handlers.put,
        "PATCH": handlers.patch,
        "DELETE": handlers.delete,
    }
    routes: list[Route] = []
    for kind in store.types:
        if kind.type == RESOURCE_GROUPS:
            continue  # they have paths of their own
        one, many = _paths(kind.type)
        routes += [
            Route(verb, one, by_verb[verb], Needs(f"{kind.type}/{action}", Audience.MANAGEMENT, _target))
            for verb, action in _VERBS
        ]
        routes.append(
            Route("GET", many, handlers.list_of(kind.type), Needs(f"{kind.type}/read", Audience.MANAGEMENT, _place))
        )
    # Nobody can name the action of a type that is not known: it takes a role that allows it for every type.
    routes += [
        Route(
            verb,
            "/{scope:path}/providers/{rest:path}",
            by_verb[verb],
            Needs(f"*/{action}", Audience.MANAGEMENT, _target),
        )
        for verb, action in _VERBS
    ]
    return tuple(routes)


def _paths(resource_type: str) -> tuple[str, str]:
    namespace, *kinds = resource_type.split("/")
    many = f"/{{scope:path}}/providers/{namespace}"
    for depth, kind in enumerate(kinds[:-1]):
        many += f"/{kind}/{{name{depth}}}"
    many += f"/{kinds[-1]}"
    return f"{many}/{{name}}", many


def _path(request: Request) -> str:
    # Not `request.url`, which is parsed again from the decoded path: an encoded `?` would end it.
    path: str = request.scope["path"]
    return path


def _target(request: Request) -> str:
    return str(resource_id(_path(request)))


def _place(request: Request) -> str:
    """What a list is of: its path without the type, and without the namespace where that is all that is left."""
    place = _path(request).rstrip("/").rpartition("/")[0]
    at = place.lower().rfind(_PROVIDERS)
    if "/" not in place[at + len(_PROVIDERS) :]:
        place = place[:at]
    return str(resource_id(place))


def resource_id(path: str) -> ResourceId:
    """The id that a path is; raises `BadResourceId`."""
    try:
        return ResourceId.parse(path)
    except InvalidResourceId as error:
        raise BadResourceId(f"{error}.") from None


class _Front:
    def __init__(self, store: ResourceStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def show(self, request: Request) -> Response:
        return JSONResponse(self._shown(resource_id(_path(request))))

    async def put(self, request: Request) -> Response:
        target = resource_id(_path(request))
        stored = await self._store.change(
            target,
            await self._body(request),
            request.state.principal,
            if_match=request.headers.get("if-match"),
            if_none_match=request.headers.get("if-none-match"),
        )
        status = STATUS_OF_CREATION.get(target.type.lower(), 201) if stored.created else 200
        return JSONResponse(self._shown(target), status_code=status)

    async def patch(self, request: Request) -> Response:
        target = resource_id(_path(request))
        change = await self._body(request)
        other = sorted(set(change) - {"tags"})
        if other:
            raise UnsupportedPatch(f"Only 'tags' can be patched here, not '{other[0]}'; PUT the whole resource.")
        existing = self._store.get(target)
        if existing is None:
            raise ResourceNotFound(target)
        await self._store.change(
            target, existing | change, request.state.principal, if_match=request.headers.get("if-match")
        )
        return JSONResponse(self._shown(target))

    async def delete(self, request: Request) -> Response:
        target = resource_id(_path(request))
        shown = self._store.shown(target) if target.type.lower() in SHOWN_AT_DELETION else None
        if not await self._store.delete(target):
            return Response(status_code=204)
        return Response(status_code=200) if shown is None else JSONResponse(shown)

    def list_of(self, resource_type: str) -> Any:
        async def answer(request: Request) -> Response:
            place = _place(request)
            if request.query_params.get("$filter"):
                raise InvalidFilter("This list knows no '$filter'.")
            self._store.check_exists(resource_id(place))
            return JSONResponse({"value": self._store.list_shown(resource_type, place)})

        return answer

    def _shown(self, target: ResourceId) -> dict[str, Any]:
        body = self._store.shown(target)
        if body is None:
            self._store.check_parent(target)
            raise ResourceNotFound(target)
        return body

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_object(request, self._limits["arm.request_bytes"], self._limits["arm.json_depth"])
