"""`GET /api/v1/lookup?ip=`, as https://www.ipinsights.io/docs.php describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from lurewire.core.http import Public, RoomRoutes, Route
from lurewire.ipintel.errors import IpIntelError

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.ipintel.service import IpIntel


def routes(service: IpIntel) -> RoomRoutes:
    """The room's one operation."""

    async def lookup(request: Request) -> Response:
        allowance = service.admit(request.headers.getlist("x-api-key"))
        try:
            answer = service.lookup_parameter(request.query_params.getlist("ip"))
        except IpIntelError as error:
            error.headers.update(allowance.headers)
            raise
        return _json(200, answer, allowance.headers)

    return RoomRoutes(
        room="ipintel",
        routes=[Route("GET", "/api/v1/lookup", lookup, Public("checks X-API-Key itself"))],
        on_error=_on_error,
    )


def _on_error(_: Request, error: Exception) -> Response | None:
    if not isinstance(error, IpIntelError):
        return None
    body = {"success": False, "error": {"code": error.code, "message": error.message}}
    return _json(error.status, body, error.headers)


def _json(status: int, body: Any, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
