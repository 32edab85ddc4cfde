"""The incidents API over HTTP. Source: azure.md F.1 (paths), F.3 (bodies and statuses), E.3 (errors)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import JSONResponse, Response

from lurewire.core.bodies import BodyTooLong, read_body
from lurewire.core.errors import Forbidden, Unauthenticated, WireError
from lurewire.core.http import Audience, Needs, RoomRoutes, Route
from lurewire.incidents import filters, views
from lurewire.incidents.errors import BadRequest, RequestTooLarge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from lurewire.core.principal import Principal
    from lurewire.incidents.service import Incidents

_WORKSPACE: Final = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}"
_INCIDENTS: Final = f"{_WORKSPACE}/providers/Microsoft.SecurityInsights/incidents"
_INCIDENT: Final = f"{_INCIDENTS}/{{incident}}"

_TOKEN_CODES: Final = {
    "missing": "AuthenticationFailed",
    "expired": "ExpiredAuthenticationToken",
    "wrong_tenant": "InvalidAuthenticationTokenTenant",
    "wrong_audience": "InvalidAuthenticationTokenAudience",
}


def incident_routes(incidents: Incidents) -> RoomRoutes:
    """The room's operations."""
    handlers = _Handlers(incidents)

    def route(method: str, path: str, action: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        needs = Needs(f"Microsoft.SecurityInsights/{action}", Audience.MANAGEMENT, handlers.scope)
        return Route(method, path, handler, needs)

    h = handlers
    return RoomRoutes(
        "incidents",
        (
            route("GET", _INCIDENTS, "incidents/read", h.list),
            route("GET", _INCIDENT, "incidents/read", h.get),
            route("PUT", _INCIDENT, "incidents/write", h.put),
            route("DELETE", _INCIDENT, "incidents/delete", h.delete),
            route("GET", f"{_INCIDENT}/comments", "incidents/comments/read", h.comments),
            route("GET", f"{_INCIDENT}/comments/{{part}}", "incidents/comments/read", h.comment),
            route("PUT", f"{_INCIDENT}/comments/{{part}}", "incidents/comments/write", h.put_comment),
            route("GET", f"{_INCIDENT}/tasks", "incidents/tasks/read", h.tasks),
            route("GET", f"{_INCIDENT}/tasks/{{part}}", "incidents/tasks/read", h.task),
            route("PUT", f"{_INCIDENT}/tasks/{{part}}", "incidents/tasks/write", h.put_task),
            route("GET", f"{_INCIDENT}/relations", "incidents/relations/read", h.relations),
            route("POST", f"{_INCIDENT}/alerts", "incidents/read", h.alerts),
            route("POST", f"{_INCIDENT}/entities", "incidents/read", h.entities),
            route("POST", f"{_INCIDENT}/bookmarks", "incidents/read", h.bookmarks),
            route("POST", f"{_INCIDENT}/runPlaybook", "incidents/runPlaybook/action", h.run_playbook),
        ),
        render_error,
    )


def render_error(_request: Request, error: Exception) -> Response | None:
    """The error in ARM's shape, `{"error": {"code", "message"}}`."""
    if isinstance(error, Unauthenticated):
        code = _TOKEN_CODES.get(error.kind, "InvalidAuthenticationToken")
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return _error(401, code, error.message, challenge)
    if isinstance(error, Forbidden):
        return _error(
            403,
            "AuthorizationFailed",
            f"The client '{error.principal.app_id}' with object id '{error.principal.object_id}' does not have "
            f"authorization to perform action '{error.action}' over scope '{error.scope}' or the scope is invalid. "
            "If access was recently granted, please refresh your credentials.",
        )
    if isinstance(error, WireError):
        return _error(error.status, error.code, error.message, error.headers)
    return None


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


class _Handlers:
    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    def scope(self, request: Request) -> str:
        """The resource that a request is about: the workspace or the incident."""
        p = request.path_params
        workspace = _WORKSPACE.format(subscription=p["subscription"], group=p["group"], workspace=p["workspace"])
        request.state.scope = self._incidents.workspace(workspace)
        if "incident" not in p:
            return str(request.state.scope)
        return f"{request.state.scope}/providers/Microsoft.SecurityInsights/Incidents/{p['incident']}"

    async def list(self, request: Request) -> Response:
        largest = self._incidents.limits["incidents.page"]
        query, top, skip = filters.page(request.state.scope, request.query_params, largest)
        found = self._incidents.page(query)
        answer: dict[str, Any] = {"value": found}
        if len(found) == top:
            answer["nextLink"] = str(request.url.include_query_params(**{"$skipToken": str(skip + top)}))
        return JSONResponse(answer)

    async def get(self, request: Request) -> Response:
        return JSONResponse(self._incidents.one(*_where(request)))

    async def put(self, request: Request) -> Response:
        body = await self._body(request)
        answer, new = await self._incidents.put(_principal(request), *_where(request), body)
        return JSONResponse(answer, status_code=201 if new else 200)

    async def delete(self, request: Request) -> Response:
        return Response(status_code=200 if await self._incidents.delete(*_where(request)) else 204)

    async def comments(self, request: Request) -> Response:
        return JSONResponse({"value": self._incidents.comments(*_where(request))})

    async def comment(self, request: Request) -> Response:
        return JSONResponse(self._incidents.comment(*_where(request), request.path_params["part"]))

    async def put_comment(self, request: Request) -> Response:
        body = await self._body(request)
        part = request.path_params["part"]
        answer, new = await self._incidents.put_comment(_principal(request), *_where(request), part, body)
        return JSONResponse(answer, status_code=201 if new else 200)

    async def tasks(self, request: Request) -> Response:
        return JSONResponse({"value": self._incidents.tasks(*_where(request))})

    async def task(self, request: Request) -> Response:
        return JSONResponse(self._incidents.task(*_where(request), request.path_params["part"]))

    async def put_task(self, request: Request) -> Response:
        body = await self._body(request)
        part = request.path_params["part"]
        answer, new = await self._incidents.put_task(_principal(request), *_where(request), part, body)
        return JSONResponse(answer, status_code=201 if new else 200)

    async def relations(self, request: Request) -> Response:
        return JSONResponse({"value": self._incidents.relations(*_where(request))})

    async def alerts(self, request: Request) -> Response:
        return JSONResponse({"value": self._incidents.alerts(*_where(request))})

    async def entities(self, request: Request) -> Response:
        found = self._incidents.entities(*_where(request))
        return JSONResponse({"entities": found, "metaData": views.entity_counts(found)})

    async def bookmarks(self, request: Request) -> Response:
        self._incidents.one(*_where(request))
        return JSONResponse({"value": []})

    async def run_playbook(self, request: Request) -> Response:
        body = await self._body(request)
        await self._incidents.run_playbook(_principal(request), *_where(request), body)
        return Response(status_code=204)

    async def _body(self, request: Request) -> dict[str, Any]:
        most = self._incidents.limits["incidents.request_bytes"]
        try:
            body = msgspec.json.decode(await read_body(request, most))
        except BodyTooLong:
            raise RequestTooLarge(f"The body is longer than {most} bytes.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"The body is not JSON that can be read: {error}.") from error
        if not isinstance(body, dict):
            raise BadRequest("The body is not a JSON object.")
        return body


def _where(request: Request) -> tuple[str, str]:
    return request.state.scope, request.path_params["incident"]


def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal
