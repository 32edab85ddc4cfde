"""The Log Analytics query API: HTTP shape only.

Source: https://learn.microsoft.com/rest/api/loganalytics/dataaccess/query/execute and contract section D.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from lurewire.core.http import Audience, Needs, Public, RoomRoutes, Route
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.workspace import kusto
from lurewire.workspace.answers import Streamed, respond
from lurewire.workspace.api import QUERY_ACTION, QueryApi
from lurewire.workspace.batch import answer_all
from lurewire.workspace.disconnect import CLIENT_GONE, unless_gone
from lurewire.workspace.errors import BadArgument, PathNotFound, WorkspaceNotFound, render
from lurewire.workspace.kusto import Kusto
from lurewire.workspace.models import Batch, MetadataRequest, Prefer, QueryRequest, query_parameters, read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from lurewire.core.clock import Clock
    from lurewire.core.http import Gatekeeper
    from lurewire.core.limits import Limits
    from lurewire.workspace.api import Answered
    from lurewire.workspace.service import Workspaces

    Ask = Callable[[Request, QueryRequest, Prefer], Awaitable[Answered]]

_RESOURCE_ACTION = "Microsoft.Insights/logs/*/read"
"""What a query of a resource needs there: to read all of its tables
(https://learn.microsoft.com/azure/azure-monitor/logs/manage-access#resource-context)."""
_WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{name}"
)
_NO_RIGHTS_OF_ITS_OWN = (
    "a batch has no rights of its own: it checks the token itself, and each query needs its own right"
)


def query_routes(workspaces: Workspaces, clock: Clock, limits: Limits, gatekeeper: Gatekeeper) -> RoomRoutes:
    """The routes of the query API over all workspaces."""
    handlers = _Handlers(workspaces, clock, limits, gatekeeper)
    logs = Audience.LOG_ANALYTICS
    by_guid = Needs(QUERY_ACTION, logs, handlers.by_guid)
    by_arm_id = Needs(QUERY_ACTION, logs, handlers.by_arm_id)
    managed = Needs(QUERY_ACTION, Audience.MANAGEMENT, handlers.by_arm_id)
    by_resource = Needs(_RESOURCE_ACTION, logs, handlers.by_resource)
    post, get = handlers.post(handlers.of_workspace), handlers.get(handlers.of_workspace)
    routes = [
        Route("POST", "/v1/$batch", handlers.batch, Public(_NO_RIGHTS_OF_ITS_OWN)),
        Route("POST", "/$batch", handlers.batch, Public(_NO_RIGHTS_OF_ITS_OWN)),
        Route("POST", f"/v1{_WORKSPACE}/query", post, by_arm_id),
        Route("GET", f"/v1{_WORKSPACE}/query", get, by_arm_id),
        Route("POST", "/v1/subscriptions/{resource:path}/query", handlers.post(handlers.of_resource), by_resource),
        Route("GET", "/v1/subscriptions/{resource:path}/query", handlers.get(handlers.of_resource), by_resource),
        Route("POST", f"{_WORKSPACE}/api/query", post, managed),
        Route("POST", f"{_WORKSPACE}/query", post, managed),
    ]
    for version in ("/v1", ""):
        workspace = f"{version}/workspaces/{{workspace}}"
        routes += [
            Route("POST", f"{workspace}/query", post, by_guid),
            Route("GET", f"{workspace}/query", get, by_guid),
            Route("POST", f"{workspace}/metadata", handlers.metadata, by_guid),
            Route("GET", f"{workspace}/metadata", handlers.metadata, by_guid),
        ]
    routes += Kusto(handlers.api, limits).routes()
    routes += [
        Route(method, "/v1/workspaces/{rest:path}", _nothing, Public("there is nothing here: it answers 404"))
        for method in ("GET", "POST")
    ]
    return RoomRoutes("workspace", routes, _render)


def _render(request: Request, error: Exception) -> Response | None:
    """Data Explorer's clients read errors of another shape."""
    if request.scope["path"].lower().startswith(kusto.PREFIXES):
        return kusto.render(error)
    return render(request, error)


async def _nothing(_request: Request) -> Response:
    raise PathNotFound


class _Handlers:
    def __init__(self, workspaces: Workspaces, clock: Clock, limits: Limits, gatekeeper: Gatekeeper) -> None:
        self._workspaces = workspaces
        self._limits = limits
        self._answer_seconds = float(limits["workspace.answer_seconds"])
        self._gatekeeper = gatekeeper
        self.api = QueryApi(workspaces, clock, limits, gatekeeper)

    # The scope of a request, and the workspace that it is about: set for the handler.

    def by_guid(self, request: Request) -> str:
        name = request.path_params["workspace"]
        workspace, resource_id = self._workspaces.by_customer_id(name), self._workspaces.id_of(name)
        if workspace is None or resource_id is None:
            self.api.hide(request.state.principal, name)
            raise WorkspaceNotFound(name)
        request.state.place = resource_id, workspace
        return str(resource_id)

    def by_arm_id(self, request: Request) -> str:
        named = request.path_params
        text = _WORKSPACE.format(**named)
        workspace = self._workspaces.by_id(text)
        if workspace is None:
            self.api.hide(request.state.principal, text)
            raise WorkspaceNotFound(named["name"])
        request.state.place = ResourceId.parse(text), workspace
        return text

    @staticmethod
    def by_resource(request: Request) -> str:
        text = f"/subscriptions/{request.path_params['resource']}"
        try:
            request.state.resource = ResourceId.parse(text)
        except InvalidResourceId:
            raise PathNotFound from None
        if not text.isprintable():
            raise PathNotFound
        return str(request.state.resource)

    # Queries.

    async def of_workspace(self, request: Request, asked: QueryRequest, prefer: Prefer) -> Answered:
        return await self.api.of_workspace(request.state.principal, request.state.place, asked, prefer)

    async def of_resource(self, request: Request, asked: QueryRequest, prefer: Prefer) -> Answered:
        return await self.api.of_resource(request.state.principal, request.state.resource, asked, prefer)

    def post(self, ask: Ask) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            self.api.admission.count(request.state.principal.object_id)
            asked = await read_body(request, QueryRequest, self._limits["workspace.query_body_bytes"])
            return await self._answer(request, asked, ask)

        return answer

    def get(self, ask: Ask) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            self.api.admission.count(request.state.principal.object_id)
            return await self._answer(request, query_parameters(request.query_params), ask)

        return answer

    async def _answer(self, request: Request, asked: QueryRequest, ask: Ask) -> Response:
        prefer = Prefer.parse(request.headers.getlist("prefer"))
        answered = await unless_gone(request, ask(request, asked, prefer))
        if answered is None:
            return Response(status_code=CLIENT_GONE)
        return respond(answered, prefer, self._answer_seconds)

    async def batch(self, request: Request) -> Response:
        principal = self._gatekeeper.authenticate(request.headers.get("authorization"), Audience.LOG_ANALYTICS)
        asked = await read_body(request, Batch, self._limits["workspace.query_body_bytes"])
        most = self._limits["workspace.batch_queries"]
        if len(asked.requests) > most:
            raise BadArgument.of("requests", f"a batch has at most {most} queries")
        if len({element.id for element in asked.requests}) < len(asked.requests):
            raise BadArgument.of("requests", "two queries of the batch have one id")
        at_once = self._limits["workspace.user_queries_at_once"]
        stream = answer_all(self.api, principal, asked.requests, at_once)
        return Streamed(stream, self._answer_seconds)

    async def metadata(self, request: Request) -> Response:
        principal, home = request.state.principal, request.state.place
        self.api.admission.count(principal.object_id)
        asked = MetadataRequest()
        if request.method == "POST":
            most = self._limits["workspace.query_body_bytes"]
            asked = await read_body(request, MetadataRequest, most, empty=b"{}")
        body = await self.api.metadata(principal, home, asked.workspaces)
        return Response(await asyncio.to_thread(msgspec.json.encode, body), media_type="application/json")
