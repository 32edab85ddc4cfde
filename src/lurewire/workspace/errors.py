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

    from lurewire.core.resources import ResourceId
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


class PathNotFound(QueryApiError):
    """The query API has nothing at this path."""

    status = 404
    code = "PathNotFoundError"

    def __init__(self) -> None:
        super().__init__("The requested path does not exist")


class Throttled(QueryApiError):
    """The user sends too many queries, or too many wait."""

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


class ResourceNotFound(WireError):
    """There is no such table."""

    status = 404
    code = "ResourceNotFound"

    def __init__(self, target: ResourceId) -> None:
        resource = "/".join((target.namespace, *(f"{t}/{n}" for t, n in zip(target.types, target.names, strict=True))))
        super().__init__(
            f"The Resource '{resource}' under resource group '{target.resource_group}' was not found. For more details "
            "please go to https://aka.ms/ARMResourceNotFoundFix"
        )


class BadRequest(WireError):
    """A property of a watchlist or an item does not fit; the message names it."""

    status = 400
    code = "BadRequest"


class NotFound(WireError):
    """There is no such watchlist or item."""

    status = 404
    code = "NotFound"


class Conflict(WireError):
    """The etag in the body is not the stored one."""

    status = 409
    code = "Conflict"


class RequestTooLarge(WireError):
    """The body is longer than any request of this kind needs."""

    status = 413
    code = "RequestEntityTooLarge"


class Busy(WireError):
    """The workspace has no room or no time for the request; it may come again."""

    status = 429
    code = "TooManyRequests"


class NotStored(WireError):
    """What was sent cannot be written to the disk, or the workspace is closed."""

    status = 503
    code = "ServiceUnavailable"


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


def answer_to(error: Exception) -> QueryApiError | None:
    """The error that the query API answers with, None where it is nothing that the contract names."""
    if isinstance(error, KqlError):
        return QueryInvalid(error)
    if isinstance(error, Unauthenticated):
        made = TokenInvalid(
            "The provided authentication is not valid for this resource",
            {"code": "SignatureVerificationFailed", "message": error.message},
        )
        made.headers["WWW-Authenticate"] = "Bearer"
        return made
    if isinstance(error, Forbidden):
        return InsufficientAccess(
            "The provided credentials have insufficient access to perform the requested operation",
            {
                "code": "UnauthorizedClient",
                # One text for what is not there and what is not allowed: it must not tell which it is.
                "message": f"The caller lacks '{error.action}', or what it names is not there: check the workspace's id or "
                "name, and that a role such as Log Analytics Reader is assigned at it or above it.",
            },
        )
    return error if isinstance(error, QueryApiError) else None


def error_body(error: QueryApiError) -> dict[str, Any]:
    """The answer's body."""
    body: dict[str, Any] = {"message": error.message, "code": error.code, "correlationId": str(uuid.uuid4())}
    if error.inner is not None:
        body["innererror"] = error.inner
    details = getattr(error, "details", None)
    if details:
        body["details"] = details
    return {"error": body}


def render(_request: Request, error: Exception) -> Response | None:
    """The query API's answer to an error."""
    told = answer_to(error)
    if told is None:
        return None
    return JSONResponse(error_body(told), status_code=told.status, headers=told.headers)
