"""The body of an injected error, in the shape and with the code of the service that the client thinks it talks to.

Sources: contract sections A.4 (token service), B.3 (ingestion), D.2 (query), E.3 (Azure Resource Manager), H (Key Vault);
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lurewire.testbench.models import FaultSpec

_CODES: Mapping[str, Mapping[int, str]] = {
    "ingestion": {
        401: "AuthenticationTokenInvalid",
        403: "OperationFailed",
        404: "NotFound",
        413: "ContentLengthLimitExceeded",
        429: "TooManyRequests",
        500: "InternalServerError",
        503: "ServiceUnavailable",
    },
    "workspace": {
        401: "InvalidTokenError",
        403: "InsufficientAccessError",
        404: "WorkspaceNotFoundError",
        413: "PayloadTooLargeError",
        429: "ThrottledError",
        500: "InternalServerError",
        503: "ServiceUnavailable",
        504: "GatewayTimeout",
    },
    "identity": {
        401: "invalid_client",
        429: "temporarily_unavailable",
        500: "server_error",
        503: "temporarily_unavailable",
    },
    "managed identity": {
        401: "invalid_request",
        404: "invalid_request",
        410: "invalid_request",
        429: "too_many_requests",
        500: "server_error",
        503: "server_error",
    },
    "vault": {
        401: "Unauthorized",
        403: "Forbidden",
        404: "SecretNotFound",
        413: "RequestTooLarge",
        429: "Throttled",
        500: "InternalServerError",
        503: "ServiceUnavailable",
    },
    "ipintel": {401: "invalid_api_key", 429: "rate_limited", 500: "internal_error", 503: "unavailable"},
}

_CONTROL_PLANE: Mapping[int, str] = {
    401: "InvalidAuthenticationToken",
    403: "AuthorizationFailed",
    404: "ResourceNotFound",
    409: "Conflict",
    413: "RequestContentTooLarge",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}

_NO_CHALLENGE = frozenset({"identity", "managed identity", "vault", "ipintel"})
"""Rooms whose clients expect none, or parse more out of it than a made-up one has."""

_AADSTS = {401: 7000215, 429: 90055, 500: 90033, 503: 90033}
_AADSTS_OTHERS = 9002313


def answer(room: str | None, spec: FaultSpec) -> tuple[dict[str, str], Any]:
    """The headers and the JSON of an injected error; `spec.status` must be set."""
    status = spec.status
    assert status is not None
    code = spec.code or _CODES.get(room or "", _CONTROL_PLANE).get(
        status, "InvalidRequest" if status < 500 else "InternalServerError"
    )
    message = spec.message or f"The test bench answers {status} here, as it was told."
    headers = {"Retry-After": str(spec.retry_after)} if spec.retry_after is not None else {}
    if status == 401 and room not in _NO_CHALLENGE:
        headers["WWW-Authenticate"] = "Bearer"
    return headers, _SHAPES.get(room or "", _plain)(status, code, message)


def _plain(_status: int, code: str, message: str) -> Any:
    return {"error": {"code": code, "message": message}}


def _query(_status: int, code: str, message: str) -> Any:
    return {"error": {"message": message, "code": code, "correlationId": str(uuid.uuid4())}}


def _token(status: int, code: str, message: str) -> Any:
    number = _AADSTS.get(status, _AADSTS_OTHERS)
    return {"error": code, "error_description": f"AADSTS{number}: {message}", "error_codes": [number]}


def _metadata(_status: int, code: str, message: str) -> Any:
    return {"error": code, "error_description": message}


def _lookup(_status: int, code: str, message: str) -> Any:
    return {"success": False, "error": {"code": code, "message": message}}


_SHAPES: Mapping[str, Callable[[int, str, str], Any]] = {
    "workspace": _query,
    "identity": _token,
    "managed identity": _metadata,
    "ipintel": _lookup,
}
