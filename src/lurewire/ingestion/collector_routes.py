"""The HTTP Data Collector API: HTTP shape only.

Source: https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from lurewire.core.bodies import BodyTooLong, read_body
from lurewire.core.http import Public, RoomRoutes, Route
from lurewire.ingestion.collector import Collector, Post
from lurewire.ingestion.collector_errors import (
    InvalidApiVersion,
    LengthRequired,
    MissingApiVersion,
    MissingContentType,
    MissingLogType,
    RequestTooLarge,
    UnsupportedContentType,
    render,
)

if TYPE_CHECKING:
    from starlette.requests import Request

_VERSION = "2016-04-01"
_MEDIA_TYPE = "application/json"


def collector_routes(collector: Collector) -> RoomRoutes:
    """The route of the API, on every host that the server answers for."""

    async def post(request: Request) -> Response:
        _check(request)
        limit = collector.limits["ingestion.collector_body_bytes"]
        headers = request.headers
        who = (headers.get("authorization", ""), headers.get("x-ms-date", ""))
        host = headers.get("host", "")
        announced = headers.get("content-length", "")
        if not (announced.isascii() and announced.isdecimal()):
            raise LengthRequired("The Content-Length was not specified: it is a part of what is signed")
        workspace = await collector.authorize(*who, int(announced[:20]), host)  # who cannot sign is not read
        try:
            body = await read_body(request, limit)
        except BodyTooLong:
            raise RequestTooLarge(f"The body is longer than {limit} bytes") from None
        time_field, resource_id = headers.get("time-generated-field", ""), headers.get("x-ms-azureresourceid", "")
        await collector.accept(workspace, Post(headers["log-type"], time_field, resource_id, body))
        return Response(status_code=200)

    access = Public("the call is signed with a key of the workspace")
    return RoomRoutes("collector", [Route("POST", "/api/logs", post, access)], render)


def _check(request: Request) -> None:
    """What can be said before anything is read."""
    version = request.query_params.get("api-version")
    if not version:
        raise MissingApiVersion("The api-version was not specified")
    if version != _VERSION:
        raise InvalidApiVersion(f"The api-version is '{_VERSION}'")
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not content_type:
        raise MissingContentType("The Content-Type was not specified")
    if content_type != _MEDIA_TYPE:
        raise UnsupportedContentType(f"The Content-Type is '{_MEDIA_TYPE}'")
    if not request.headers.get("log-type"):
        raise MissingLogType("The Log-Type was not specified")
