"""The managed-identity endpoints that Azure's machines have: for processes on this machine, never for anybody else.

Both give tokens for nothing but being here, so they answer loopback only; App Service's also wants a secret header, and the
instance metadata service is off until a setting names its identity. Requests that playbooks make cannot reach them: the
outbound guard refuses loopback, and what it hands to a room in this process carries no client address.

Sources: contract section A.6 and the pages in `managed.py`.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from lurewire.core.http import Public, RoomRoutes, Route
from lurewire.identity.errors import UnknownResource

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.core.principal import Principal
    from lurewire.identity.models import IssuedToken
    from lurewire.identity.service import Identity

_SELECTORS = ("client_id", "object_id", "principal_id", "mi_res_id", "msi_res_id")


class _NotHere(Exception):
    """The request did not come from a process on this machine, or the endpoint is off."""


def local_routes(identity: Identity, machine: Callable[[], Principal | None]) -> RoomRoutes:
    """Both endpoints; `machine` gives the identity of the instance metadata service, None where it is off."""
    handlers = _Endpoints(identity, machine)
    routes = (
        Route(
            "GET",
            "/msi/token",
            handlers.app_service,
            Public("answers processes on this machine that know the secret header"),
        ),
        Route(
            "GET",
            "/metadata/identity/oauth2/token",
            handlers.machine,
            Public("answers processes on this machine, where the setting identity.imds is on"),
        ),
    )
    return RoomRoutes("managed identity", routes, handlers.render)


class _Endpoints:
    def __init__(self, identity: Identity, machine: Callable[[], Principal | None]) -> None:
        self._identity = identity
        self._machine = machine

    async def app_service(self, request: Request) -> Response:
        _only_from_here(request)
        principal = self._identity.managed.by_header(request.headers.get("x-identity-header", ""))
        if principal is None:
            return _app_service_error(401, "The header X-IDENTITY-HEADER is missing or wrong.")
        resource = request.query_params.get("resource", "")
        if not resource:
            return _app_service_error(400, "The parameter 'resource' is missing.")
        if not self._selects(request, principal):
            message = (
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
            )
            return _app_service_error(400, message)
        issued = self._identity.managed_token(principal, resource)
        body = {
            "access_token": issued.value,
            "client_id": principal.app_id,
            "expires_on": str(self._now() + issued.expires_in),
            "resource": resource,
            "token_type": "Bearer",
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def machine(self, request: Request) -> Response:
        _only_from_here(request)
        principal = self._machine()
        if principal is None:
            raise _NotHere("the setting identity.imds names no identity")
        if request.headers.get("metadata", "").lower() != "true":
            return _metadata_error("Required metadata header not specified")
        resource = request.query_params.get("resource", "")
        if not resource:
            return _metadata_error("Required query variable 'resource' is missing")
        if not self._selects(request, principal):
            return _metadata_error("Identity not found")
        issued: IssuedToken = self._identity.managed_token(principal, resource)
        now = self._now()
        body = {
            "access_token": issued.value,
            "client_id": principal.app_id,
            "expires_in": str(issued.expires_in),
            "expires_on": str(now + issued.expires_in),
            "ext_expires_in": str(issued.expires_in),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def render(self, request: Request, error: Exception) -> Response | None:
        if isinstance(error, _NotHere):
            message = f"The endpoint {request.url.path} is unreachable: {error}."
            return JSONResponse({"error": "forbidden", "error_description": message}, status_code=403)
        if isinstance(error, UnknownResource):
            message = f"AADSTS{error.aadsts}: {error.message}"
            return JSONResponse(
                {"error": error.code, "error_description": message, "statusCode": 400, "message": message},
                status_code=400,
            )
        return None

    def _selects(self, request: Request, principal: Principal) -> bool:
        """Whether every identity that the request names is this one."""
        mine = {principal.app_id, principal.object_id, (self._identity.resource_of(principal) or "").lower()}
        return all(request.query_params.get(name, principal.app_id).lower() in mine for name in _SELECTORS)

    def _now(self) -> int:
        return int(self._identity.clock.now().timestamp())


def _only_from_here(request: Request) -> None:
    try:
        local = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        local = False
    if not local or "x-forwarded-for" in request.headers:
        raise _NotHere("it answers processes on this machine only")


def _app_service_error(status: int, message: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message}, status_code=status)


def _metadata_error(description: str) -> Response:
    return JSONResponse({"error": "invalid_request", "error_description": description}, status_code=400)
