"""The query API's errors, one class per code, and those of the workspace's ARM resources.

Source: contract section D.2 and https://learn.microsoft.com/azure/azure-monitor/logs/api/errors
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, WireError
from lurewire.kql import KqlError

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.kql import Diagnostic

_INVALID = "The request had some invalid properties"


class QueryApiError(WireError):
    """An error of the query API; `inner` nests as the contract has it."""

    def __init__(self, message: str, inner: dict[str, Any] | None = None, *, retry_after: int | None = None) -> None:
        super().__init__(message, headers=None if retry_after is None else {"Retry-After": str(retry_after)})
        self.inner = inner


class BadArgument(QueryApiError):
    """Something in the request does not fit; `inner` says what."""

    status = 400
    code = "BadArgumentError"

    @classmethod
    def of(cls, name: str, why: str) -> BadArgument:
        """A property of the body that does not fit."""
        return cls(_INVALID, {"code": "BadArgumentError", "message": f"{name}: {why}"})


_KINDS = {
    "syntax": ("SyntaxError", "A recognition error occurred in the query."),
    "execution": ("EngineError", "Something went wrong processing your query on the server."),
}
_SEMANTIC = ("SemanticError", "A semantic error occurred.")


class QueryInvalid(BadArgument):
    """The query does not compile, or its values stop the engine."""

    def __init__(self, error: KqlError) -> None:
        first = error.errors[0]
        code, message = _KINDS.get(first.kind, _SEMANTIC)
        super().__init__(_INVALID, {"code": code, "message": message, "innererror": _innermost(first)})
        self.details = [{"code": e.code, "message": str(e)} for e in error.errors] if len(error.errors) > 1 else None


class BodyTooLarge(QueryApiError):
    """The body is over the limit."""

    status = 413
    code = "PayloadTooLargeError"


class TokenInvalid(QueryApiError):
    """No token, or none that can be believed."""

    status = 401
    code = "InvalidTokenError"


class InsufficientAccess(QueryApiError):
    """The principal may not query this workspace."""

    status = 403
    code = "InsufficientAccessError"


class WorkspaceNotFound(QueryApiError):
    """There is no such workspace."""

    status = 404
    code = "WorkspaceNotFoundError"

    def __init__(self, name: str) -> None:
        super().__init__(f"The workspace could not be found: '{name[:80]}'")


class Throttled(QueryApiError):
    """Too many queries wait."""

    status = 429
    code = "ThrottledError"


class GatewayTimeout(QueryApiError):
    """The query did not end in its time."""

    status = 504
    code = "GatewayTimeout"


class InvalidParameter(WireError):
    """A property of a workspace or table that Azure would refuse."""

    status = 400
    code = "InvalidParameter"


class ReservedTable(WireError):
    """The name is Azure's own, and the request would change what Azure declares."""

    status = 400
    code = "InvalidOperation"


def _innermost(error: Diagnostic) -> dict[str, Any]:
    message = error.message if error.hint is None else f"{error.message} ({error.hint})"
    inner: dict[str, Any] = {"code": error.code, "message": message, "line": error.line, "pos": error.column}
    if error.token is not None:
        inner["token"] = error.token
    return inner


def render(_request: Request, error: Exception) -> Response | None:
    """The query API's answer to an error."""
    if isinstance(error, KqlError):
        error = QueryInvalid(error)
    if isinstance(error, Unauthenticated):
        error = TokenInvalid(
            "The provided authentication is not valid for this resource",
            {"code": "SignatureVerificationFailed", "message": error.message},
        )
        error.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Forbidden):
        error = InsufficientAccess(
            "The provided credentials have insufficient access to perform the requested operation"
        )
    if not isinstance(error, QueryApiError):
        return None
    body: dict[str, Any] = {"message": error.message, "code": error.code, "correlationId": str(uuid.uuid4())}
    if error.inner is not None:
        body["innererror"] = error.inner
    details = getattr(error, "details", None)
    if details:
        body["details"] = details
    return JSONResponse({"error": body}, status_code=error.status, headers=error.headers)
