"""The Logs Ingestion API's errors, one class per code, and those of its ARM resources.

Source: contract sections B.3 and E.6; https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

_LONGEST_NAME = 200


class IngestionError(WireError):
    """An error of the ingestion API."""


class TokenInvalid(IngestionError):
    """No token, or none that can be believed."""

    status = 401
    code = "AuthenticationTokenInvalid"


class AudienceInvalid(IngestionError):
    """The token is for another service."""

    status = 401
    code = "InvalidAudience"


class OperationFailed(IngestionError):
    """The principal, or the way in, has no access to the rule."""

    status = 403
    code = "OperationFailed"


class RuleNotFound(IngestionError):
    """No data collection rule has the immutable id."""

    status = 404
    code = "NotFound"

    def __init__(self, immutable_id: str) -> None:
        super().__init__(f"Data collection rule with immutable Id '{immutable_id[:_LONGEST_NAME]}' not found.")


class StreamUnknown(IngestionError):
    """The rule sends no such stream anywhere."""

    status = 400
    code = "InvalidStream"

    def __init__(self, stream: str) -> None:
        super().__init__(f"The stream {stream[:_LONGEST_NAME]} was not configured in Data Collection Rule.")


class BodyInvalid(IngestionError):
    """The body is no JSON array of objects, or not packed as its header says."""

    status = 400
    code = "InvalidPayload"


class BodyEmpty(IngestionError):
    """The body is empty: the service itself answers 500 without a code, and its own SDK tests say so."""

    status = 500
    code = ""


class BodyTooLarge(IngestionError):
    """The body is over the limit."""

    status = 413
    code = "ContentLengthLimitExceeded"

    def __init__(self, limit: int, provided: int) -> None:
        super().__init__(
            f"Maximum allowed content length: {limit} bytes ({limit / (1 << 20):g} MB). "
            f"Provided content length: {provided} bytes."
        )


class MediaTypeUnsupported(IngestionError):
    """The body is not JSON, or packed in a way that is not known."""

    status = 415
    code = "UnsupportedMediaType"


class Throttled(IngestionError):
    """More waits to be loaded than there is room for, or the rule was sent more than it takes in a minute."""

    status = 429
    code = "TooManyRequests"


class Unavailable(IngestionError):
    """The batch could not be made durable in a workspace; its others may have it, and know a repeat by its request id."""

    status = 503
    code = "ServiceUnavailable"


class RuleInvalid(WireError):
    """A data collection rule or endpoint that Azure would refuse; `details` say what and where."""

    status = 400
    code = "InvalidPayload"

    def __init__(self, details: Sequence[dict[str, Any]], message: str = "Data collection rule is invalid") -> None:
        super().__init__(message)
        self.details = tuple(details)


class SampleInvalid(WireError):
    """The request about a sample of events does not fit; says what and why."""

    status = 400
    code = "InvalidSample"


class SampleTooLarge(WireError):
    """The request about a sample is over the limit."""

    status = 413
    code = "RequestContentTooLarge"


def no_access(immutable_id: str, resource_id: str, message: str, binding: str = "") -> OperationFailed:
    """The 403 of the service, in its words."""
    return OperationFailed(
        "The authentication token provided does not have access to ingest data for the data collection rule with "
        f"immutable Id '{immutable_id}' PipelineAccessResult: AccessGranted: False, IsRbacPresent: "
        f"{'True' if binding else 'False'}, IsDcrDceBindingValid: {binding}, DcrArmId: {resource_id}, Message: {message}."
    )


def render(request: Request, error: Exception) -> Response | None:
    """The ingestion API's answer to an error."""
    if isinstance(error, Unauthenticated):
        kind = AudienceInvalid if error.kind == "wrong_audience" else TokenInvalid
        error = kind(error.message, headers={"WWW-Authenticate": "Bearer"})
    if isinstance(error, Forbidden):
        immutable_id = request.path_params["immutable_id"][:_LONGEST_NAME]
        principal = error.principal
        message = (
            f"Required authorization action was not found for tenantId {principal.tenant_id} objectId "
            f"{principal.object_id} on resourceId {error.scope} ConfigurationId: {immutable_id}."
        )
        error = no_access(immutable_id, error.scope, message)
    if isinstance(error, BodyEmpty):
        return Response(status_code=error.status)
    if not isinstance(error, IngestionError):
        return None
    content = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(content, status_code=error.status, headers=error.headers)
