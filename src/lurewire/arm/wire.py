"""What every control-plane answer has in common: error shape, api-version, request ids.

Rooms give their control-plane routes to `control_plane`, so that all of them answer alike. Source:
https://github.com/cloud-and-ai-microsoft/resource-provider-contract/blob/master/v1.0/common-api-details.md
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response

from lurewire.arm.errors import MissingApiVersion
from lurewire.core.errors import Forbidden, Unauthenticated, UnauthenticatedKind, WireError
from lurewire.core.http import RoomRoutes, Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")

_UNAUTHENTICATED: dict[UnauthenticatedKind, tuple[str, str]] = {
    "missing": ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
    "malformed": ("InvalidAuthenticationToken", "The access token is invalid."),
    "bad_signature": ("InvalidAuthenticationToken", "The access token is invalid: its signature cannot be verified."),
    "wrong_issuer": ("InvalidAuthenticationToken", "The access token is from the wrong issuer."),
    "wrong_tenant": ("InvalidAuthenticationTokenTenant", "The access token is from the wrong tenant."),
    "expired": ("ExpiredAuthenticationToken", "The access token expiry is in the past, or its start in the future."),
    "wrong_audience": (
        "InvalidAuthenticationTokenAudience",
        (
            "The access token has been obtained for wrong audience or resource. It should exactly match with one of the "
            "allowed audiences 'https://management.core.windows.net/', 'https://management.azure.com/'."
        ),
    ),
}


class ArmErrors:
    """Renders any room's errors in Azure Resource Manager's shape."""

    def __init__(self, tenant_id: str, base_url: Callable[[], str]) -> None:
        self._tenant_id = tenant_id
        self._base_url = base_url

    def __call__(self, request: Request, error: Exception) -> Response | None:
        """The answer to `error`, or None where it is nothing that a contract names."""
        if isinstance(error, Unauthenticated):
            code, message = _UNAUTHENTICATED[error.kind]
            challenge = (
                f'Bearer authorization_uri="{self._base_url()}/{self._tenant_id}", '
                f'error="invalid_token", error_description="{message}"'
            )
            return _error(request, 401, code, message, headers={"WWW-Authenticate": challenge})
        if isinstance(error, Forbidden):
            message = (
                f"The client '{error.principal.app_id}' with object id '{error.principal.object_id}' does not have "
                f"authorization to perform action '{error.action}' over scope '{error.scope}' or the scope is invalid. "
                "If access was recently granted, please refresh your credentials."
            )
            return _error(request, 403, "AuthorizationFailed", message)
        if isinstance(error, WireError):
            more = {
                "target": getattr(error, "target", None),
                "details": list(getattr(error, "details", ())) or None,
            }
            return _error(request, error.status, error.code, error.message, headers=error.headers, more=more)
        return None


def control_plane(room: str, routes: Sequence[Route], on_error: ArmErrors) -> RoomRoutes:
    """The control-plane routes of a room, with what all of them share."""
    return RoomRoutes(room, tuple(replace(route, handler=_checked(route.handler)) for route in routes), on_error)


def origin(request: Request, base_url: str) -> str:
    """The URL by which this client reaches the server: its Host header, where that is one, else `base_url`."""
    host = request.headers.get("host", "")
    return f"{urlsplit(base_url).scheme}://{host}" if _HOST.fullmatch(host) else base_url


def _checked(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if not request.query_params.get("api-version"):
            raise MissingApiVersion
        response = await handler(request)
        response.headers.update(_ids(request))
        return response

    return answer


def _error(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    headers: dict[str, str] | None = None,
    more: dict[str, Any] | None = None,
) -> Response:
    body = {"code": code, "message": message} | {k: v for k, v in (more or {}).items() if v is not None}
    return JSONResponse({"error": body}, status_code=status, headers=(headers or {}) | _ids(request))


def _ids(request: Request) -> dict[str, str]:
    request_id = str(uuid.uuid4())
    ids = {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": guid(request.headers.get("x-ms-correlation-request-id")) or request_id,
    }
    own = guid(request.headers.get("x-ms-client-request-id"))
    if own and request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        ids["x-ms-client-request-id"] = own
    return ids


def guid(text: str | None) -> str | None:
    """`text` in the usual form of a GUID, None where it is none."""
    try:
        return str(uuid.UUID(text)) if text else None
    except ValueError:
        return None
