"""The HTTP Data Collector API's errors, one class per code.

Source: https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api#return-codes. That page has
no code for a body over the limit and for one of unknown length: `RequestTooLarge` and `LengthRequired` are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from lurewire.core.errors import WireError

if TYPE_CHECKING:
    from starlette.requests import Request


class CollectorError(WireError):
    """An error of the API."""


class MissingApiVersion(CollectorError):
    """The query has no api-version."""

    status = 400
    code = "MissingApiVersion"


class InvalidApiVersion(CollectorError):
    """The api-version is another than the API's only one."""

    status = 400
    code = "InvalidApiVersion"


class MissingContentType(CollectorError):
    """There is no Content-Type."""

    status = 400
    code = "MissingContentType"


class UnsupportedContentType(CollectorError):
    """The body is not JSON."""

    status = 400
    code = "UnsupportedContentType"


class MissingLogType(CollectorError):
    """There is no Log-Type."""

    status = 400
    code = "MissingLogType"


class InvalidLogType(CollectorError):
    """The Log-Type cannot be a table's name."""

    status = 400
    code = "InvalidLogType"


class InvalidCustomerId(CollectorError):
    """The workspace's id is none."""

    status = 400
    code = "InvalidCustomerId"


class InvalidDataFormat(CollectorError):
    """The body is no JSON, or not of the form that the API takes."""

    status = 400
    code = "InvalidDataFormat"


class InvalidAuthorization(CollectorError):
    """The signature, or the date that it is of, is not good."""

    status = 403
    code = "InvalidAuthorization"


class LengthRequired(CollectorError):
    """The call does not say how long its body is, so that nobody can have signed it."""

    status = 411
    code = "LengthRequired"


class RequestTooLarge(CollectorError):
    """The body is over the limit."""

    status = 413
    code = "RequestTooLarge"


class TooManyRequests(CollectorError):
    """More waits to be stored than there is room for."""

    status = 429
    code = "TooManyRequests"


class ServiceUnavailable(CollectorError):
    """The records could not be made durable."""

    status = 503
    code = "ServiceUnavailable"


def render(_request: Request, error: Exception) -> Response | None:
    """The API's answer to an error."""
    if not isinstance(error, CollectorError):
        return None
    content = {"Error": error.code, "Message": error.message}
    return JSONResponse(content, status_code=error.status, headers=error.headers)
