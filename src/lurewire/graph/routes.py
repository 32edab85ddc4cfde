"""Microsoft Graph v1.0 over HTTP.

Source: https://learn.microsoft.com/graph/api/overview; the pages of the single operations are named in `applications`,
`principals` and `passwords`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.core.http import Audience, Needs, Public, RoomRoutes, Route
from lurewire.graph.applications import Applications
from lurewire.graph.errors import GraphBadRequest, GraphErrors, MalformedRequest, ObjectNotFound, request_ids
from lurewire.graph.objects import SERVICE_PRINCIPAL
from lurewire.graph.odata import check_options, next_link, page_of, selected
from lurewire.graph.principals import ServicePrincipals
from lurewire.identity import DIRECTORY, origin, read_object

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.core.limits import Limits
    from lurewire.graph.odata import Kind
    from lurewire.identity import Identity

_VERSION = "/v1.0"
_TYPES = frozenset({"user", "group", "device", "application", "serviceprincipal", "directoryobjectpartnerreference"})
_ELSEWHERE = "names nothing that is served here: nothing is read, whoever asks"


def graph_routes(identity: Identity, limits: Limits) -> RoomRoutes:
    """Applications and service principals; any other path of Graph's answers that it is not here."""
    applications, principals = Applications(identity, limits), ServicePrincipals(identity, limits)
    directory = _Directory(identity, limits, applications, principals)
    routes = (
        *_Collection(identity, limits, applications).routes(),
        *_Collection(identity, limits, principals).routes(),
        Route(
            "POST",
            f"{_VERSION}/directoryObjects/getByIds",
            directory.by_ids,
            _needs(SERVICE_PRINCIPAL, "standard/read"),
        ),
        *(
            Route(method, f"{_VERSION}/{{rest:path}}", _elsewhere, Public(_ELSEWHERE))
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        ),
    )
    return RoomRoutes("graph", routes, GraphErrors(identity.clock, identity.base_url))


def _needs(kind: Kind, verb: str) -> Needs:
    return Needs(f"microsoft.directory/{kind.segment}/{verb}", Audience.GRAPH, lambda _: DIRECTORY)


class _Collection:
    """The operations that applications and service principals have in common."""

    def __init__(self, identity: Identity, limits: Limits, objects: Applications | ServicePrincipals) -> None:
        self._identity = identity
        self._limits = limits
        self._objects = objects
        self._kind = objects.kind

    def routes(self) -> list[Route]:
        kind, many = self._kind, f"{_VERSION}/{self._kind.segment}"
        routes = [
            Route("GET", many, self.all, _needs(kind, "standard/read")),
            Route("POST", many, self.create, _needs(kind, "create")),
        ]
        for one in (f"{many}/{{id}}", f"{many}(appId='{{app_id}}')"):
            routes += [
                Route("GET", one, self.show, _needs(kind, "standard/read")),
                Route("PATCH", one, self.update, _needs(kind, "basic/update")),
                Route("DELETE", one, self.delete, _needs(kind, "delete")),
                Route("POST", f"{one}/addPassword", self.add_password, _needs(kind, "credentials/update")),
                Route("POST", f"{one}/removePassword", self.remove_password, _needs(kind, "credentials/update")),
            ]
        return routes

    async def all(self, request: Request) -> Response:
        query, url = request.query_params, _url(request, self._identity)
        page = page_of(self._objects.all(), self._kind, query, self._limits)
        body: dict[str, Any] = {"@odata.context": f"{url}/$metadata#{self._kind.segment}"}
        if page.count is not None:
            body["@odata.count"] = page.count
        if page.next_token is not None:
            body["@odata.nextLink"] = next_link(f"{url}/{self._kind.segment}", query, page.next_token)
        body["value"] = []
        for one in page.objects:
            await asyncio.sleep(0)  # each is read by itself: hundreds of them would hold everybody else up
            with suppress(ObjectNotFound):  # deleted since the page was made
                body["value"].append(selected(self._objects.show(one["id"]), self._kind, query))
        return _answer(request, body)

    async def show(self, request: Request) -> Response:
        check_options(request.query_params, ("$select",))
        return self._entity(request, self._id(request))

    async def create(self, request: Request) -> Response:
        object_id = await self._objects.create(await self._body(request))
        return self._entity(request, object_id, status=201)

    async def update(self, request: Request) -> Response:
        await self._objects.update(self._id(request), await self._body(request))
        return _answer(request, None)

    async def delete(self, request: Request) -> Response:
        await self._objects.delete(self._id(request))
        return _answer(request, None)

    async def add_password(self, request: Request) -> Response:
        made = await self._objects.add_password(self._id(request), await self._body(request))
        context = f"{_url(request, self._identity)}/$metadata#microsoft.graph.passwordCredential"
        return _answer(request, {"@odata.context": context} | made)

    async def remove_password(self, request: Request) -> Response:
        await self._objects.remove_password(self._id(request), await self._body(request))
        return _answer(request, None)

    def _id(self, request: Request) -> str:
        parameters = request.path_params
        return self._objects.id_of(parameters["app_id"]) if "app_id" in parameters else str(parameters["id"])

    def _entity(self, request: Request, object_id: str, status: int = 200) -> Response:
        whole = selected(self._objects.show(object_id), self._kind, request.query_params)
        context = f"{_url(request, self._identity)}/$metadata#{self._kind.segment}/$entity"
        return _answer(request, {"@odata.context": context} | whole, status=status)

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_object(request, self._limits["graph.request_bytes"], MalformedRequest)


class _Directory:
    """Objects of every kind at once.

    Source: https://learn.microsoft.com/graph/api/directoryobject-getbyids
    """

    def __init__(
        self, identity: Identity, limits: Limits, applications: Applications, principals: ServicePrincipals
    ) -> None:
        self._identity = identity
        self._limits = limits
        self._kinds = (principals, applications)

    async def by_ids(self, request: Request) -> Response:
        body = await read_object(request, self._limits["graph.request_bytes"], MalformedRequest)
        most = self._limits["graph.ids_per_request"]
        ids, types = _texts(body.get("ids")), _texts(body.get("types", sorted(_TYPES)))
        if ids is None or not 0 < len(ids) <= most:
            raise GraphBadRequest(f"Invalid value specified for property 'ids': it must list 1 to {most} ids.")
        wanted = {one.lower() for one in types or ()}
        if not wanted or not wanted <= _TYPES:
            raise GraphBadRequest("Invalid value specified for property 'types' of the request.")
        found: list[dict[str, Any]] = []
        for object_id in dict.fromkeys(ids):
            await asyncio.sleep(0)  # as above
            found += self._find(object_id, wanted)
        context = f"{_url(request, self._identity)}/$metadata#directoryObjects"
        return _answer(request, {"@odata.context": context, "value": found})

    def _find(self, object_id: str, wanted: set[str]) -> list[dict[str, Any]]:
        """The object with this id; none where it is of nothing that is wanted."""
        for objects in self._kinds:
            if objects.kind.name.lower() in wanted:
                try:
                    return [{"@odata.type": f"#microsoft.graph.{objects.kind.name}"} | objects.show(object_id)]
                except ObjectNotFound:
                    continue
        return []


async def _elsewhere(request: Request) -> Response:
    segment = request.path_params["rest"].partition("/")[0].partition("(")[0]
    raise MalformedRequest(f"Resource not found for the segment '{segment[:100]}'.")


def _url(request: Request, identity: Identity) -> str:
    return f"{origin(request, identity.base_url())}{_VERSION}"


def _answer(request: Request, body: dict[str, Any] | None, status: int = 200) -> Response:
    headers = {"OData-Version": "4.0", "Cache-Control": "no-cache"} | request_ids(request)
    if body is None:
        return Response(status_code=204, headers=headers)
    return JSONResponse(body, status_code=status, headers=headers)


def _texts(value: object) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None
