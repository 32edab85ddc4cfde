"""Microsoft Graph's errors, one class per code, and their shape.

Sources: https://learn.microsoft.com/graph/errors and https://learn.microsoft.com/graph/resolve-auth-errors
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, UnauthenticatedKind, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.core.clock import Clock

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""Microsoft Graph's own application id, the same in every tenant."""


class GraphBadRequest(WireError):
    """A property or parameter has a value that does not fit."""

    status = 400
    code = "Request_BadRequest"


class MalformedRequest(WireError):
    """The body, or a query option, cannot be read."""

    status = 400
    code = "BadRequest"


class UnsupportedQuery(WireError):
    """A query option that is not served here, or not for this property."""

    status = 400
    code = "Request_UnsupportedQuery"


class ObjectNotFound(WireError):
    """The directory has no such object."""

    status = 404
    code = "Request_ResourceNotFound"

    def __init__(self, object_id: str) -> None:
        super().__init__(
            f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present."
        )


class ObjectExists(WireError):
    """Another object has the same key."""

    status = 409
    code = "Request_MultipleObjectsWithSameKeyValue"


_UNAUTHENTICATED: dict[UnauthenticatedKind, str] = {
    "missing": "Access token is empty.",
    "malformed": "Access token validation failure. The token is not a well-formed JSON Web Token.",
    "bad_signature": "Access token validation failure. The signature cannot be verified.",
    "wrong_issuer": "Access token validation failure. Invalid issuer.",
    "wrong_tenant": "Access token validation failure. Invalid tenant.",
    "expired": "Access token has expired or is not yet valid.",
    "wrong_audience": "Access token validation failure. Invalid audience.",
}


def request_ids(request: Request) -> dict[str, str]:
    """The ids that every answer carries."""
    own = str(uuid.uuid4())
    try:
        given = str(uuid.UUID(request.headers.get("client-request-id", "")))
    except ValueError:
        given = own
    return {"request-id": own, "client-request-id": given}


class GraphErrors:
    """Renders errors in Microsoft Graph's shape."""

    def __init__(self, clock: Clock, authority: Callable[[], str]) -> None:
        self._clock = clock
        self._authority = authority

    def __call__(self, request: Request, error: Exception) -> Response | None:
        """The answer to `error`, or None where it is nothing that a contract names."""
        if isinstance(error, Unauthenticated):
            challenge = (
                f'Bearer realm="", authorization_uri="{self._authority()}/common/oauth2/authorize", '
                f'client_id="{GRAPH_APP_ID}"'
            )
            headers = {"WWW-Authenticate": challenge}
            return self._render(request, 401, "InvalidAuthenticationToken", _UNAUTHENTICATED[error.kind], headers)
        if isinstance(error, Forbidden):
            message = "Insufficient privileges to complete the operation."
            return self._render(request, 403, "Authorization_RequestDenied", message)
        if isinstance(error, WireError):
            return self._render(request, error.status, error.code, error.message, error.headers)
        return None

    def _render(
        self, request: Request, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> Response:
        ids = request_ids(request)
        inner = {"date": self._clock.now().strftime("%Y-%m-%dT%H:%M:%S"), **ids}
        body = {"error": {"code": code, "message": message, "innerError": inner}}
        return JSONResponse(body, status_code=status, headers=(headers or {}) | ids)
