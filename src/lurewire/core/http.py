"""HTTP, as every room declares it: a route names the action that it needs, or says why it needs none.

Paths are matched without case, as Azure Resource Manager does; path parameters keep their case.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match

from lurewire.core.errors import Forbidden
from lurewire.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from lurewire.core.principal import Principal

_log = get_logger("http")

_CLIENT_GONE = 499  # its body ended before the length that it announced; nobody reads the answer


class Audience(StrEnum):
    """Which service a token must be for; identity knows the resource URIs of each."""

    MANAGEMENT = "management"
    MONITOR = "monitor"
    LOG_ANALYTICS = "log_analytics"
    VAULT = "vault"
    GRAPH = "graph"


@dataclass(frozen=True, slots=True)
class Needs:
    """The route needs a token for `audience` whose principal may perform `action` at `scope`.

    `scope` gives the ARM resource id that the request is about; it may raise the room's error (404) itself.
    `data` marks a data action. Source: https://learn.microsoft.com/azure/role-based-access-control/role-definitions
    """

    action: str
    audience: Audience
    scope: Callable[[Request], str | Awaitable[str]]
    data: bool = False


@dataclass(frozen=True, slots=True)
class Public:
    """The route takes no token; `reason` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `path` holds parameters as `{name}` (one segment) or `{name:path}` (the rest)."""

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    access: Needs | Public


@dataclass(frozen=True, slots=True)
class RoomRoutes:
    """A room's operations; `on_error` renders its errors in the room's wire shape (None: not one of its own)."""

    room: str
    routes: Sequence[Route]
    on_error: Callable[[Request, Exception], Response | None]


class Gatekeeper(Protocol):
    """Who is it, and may they: implemented by identity."""

    def authenticate(self, authorization: str | None, audience: Audience) -> Principal:
        """The principal of an `Authorization` header; raises `Unauthenticated`."""
        ...

    def allows(self, principal: Principal, action: str, scope: str, *, data: bool) -> bool:
        """Whether some role assignment at `scope` or above allows `action`."""
        ...


def build_app(rooms: Sequence[RoomRoutes], gatekeeper: Gatekeeper, **starlette: Any) -> Starlette:
    """One ASGI application of the rooms' routes; the first route whose path and method fit answers."""
    routes: list[_GuardedRoute] = []
    routes += [_GuardedRoute(room, route, gatekeeper, routes) for room in rooms for route in room.routes]
    app = Starlette(routes=routes, exception_handlers={404: _not_found}, **starlette)
    app.router.redirect_slashes = False  # Azure answers 404; a redirect would be built from the client's Host header
    return app


async def _not_found(request: Request, _error: Exception) -> Response:
    message = f"Nothing here answers to the path '{request.url.path[:500]}'."
    return JSONResponse({"error": {"code": "NotFound", "message": message}}, status_code=404)


def path_pattern(path: str) -> re.Pattern[str]:
    """The pattern of a route's path: literal text without case, `{name}` one segment, `{name:path}` any.

    A slash may be doubled, as in the paths of azure-mgmt-resource for resources without a parent; what `{name:path}`
    takes begins with none, so that no number of slashes stands for a name.
    """
    out, at = [], 0
    for parameter in re.finditer(r"\{(\w+)(:path)?\}", path):
        out.append(_literal(path[at : parameter.start()]))
        out.append(f"(?P<{parameter[1]}>{'[^/].*' if parameter[2] else '[^/]+'})")
        at = parameter.end()
    out.append(_literal(path[at:]))
    return re.compile("".join(out), re.IGNORECASE)


def _literal(text: str) -> str:
    return re.escape(text).replace("/", "/{1,2}")


class _GuardedRoute(BaseRoute):
    def __init__(
        self, room: RoomRoutes, route: Route, gatekeeper: Gatekeeper, siblings: Sequence[_GuardedRoute]
    ) -> None:
        self._siblings = siblings
        self._room = room
        self._route = route
        self._gatekeeper = gatekeeper
        self._pattern = path_pattern(route.path)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        found = self._pattern.fullmatch(scope["path"])
        if found is None:
            return Match.NONE, {}
        child: Scope = {"path_params": found.groupdict()}
        return (Match.FULL if scope["method"] == self._route.method else Match.PARTIAL), child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method != self._route.method:
            here = {r._route.method for r in self._siblings if r._pattern.fullmatch(scope["path"])}  # noqa: SLF001 - own class
            response: Response = JSONResponse(
                {"error": {"code": "MethodNotAllowed", "message": f"The method {request.method} is not allowed here."}},
                status_code=405,
                headers={"Allow": ", ".join(sorted(here))},
            )
        else:
            response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            access = self._route.access
            if isinstance(access, Needs):
                principal = self._gatekeeper.authenticate(request.headers.get("authorization"), access.audience)
                request.state.principal = principal
                where = access.scope(request)
                resource = await where if inspect.isawaitable(where) else where
                if not self._gatekeeper.allows(principal, access.action, resource, data=access.data):
                    raise Forbidden(principal, access.action, resource)  # noqa: TRY301 - rendered with the rest
            return await self._route.handler(request)
        except ClientDisconnect:
            return Response(status_code=_CLIENT_GONE)
        except Exception as error:  # noqa: BLE001 - a room's errors are its answers; any other is ours, logged
            rendered = self._room.on_error(request, error)
            if rendered is not None:
                return rendered
            _log.error("request failed", room=self._room.room, path=request.url.path, exc_info=error)
            return JSONResponse(
                {"error": {"code": "InternalServerError", "message": "The server failed; its log says why."}},
                status_code=500,
            )


def room_app(rooms: RoomRoutes, gatekeeper: Gatekeeper) -> ASGIApp:
    """One room alone, as `outbound.routes` reaches it: no other room's path exists there."""
    return build_app([rooms], gatekeeper)
