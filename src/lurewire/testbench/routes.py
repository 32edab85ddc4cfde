"""The bench's own HTTP API, HTTP shape only; there where the bench is on, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response

from lurewire.core.http import Audience, Needs, RoomRoutes, Route
from lurewire.testbench.errors import BadRequest, RequestTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.testbench.service import Bench

ROOT = "/testbench"
_READ_FAULTS = "Lurewire.TestBench/faults/read"
_WRITE_FAULTS = "Lurewire.TestBench/faults/write"
_DELETE_FAULTS = "Lurewire.TestBench/faults/delete"
_READ_LOG = "Lurewire.TestBench/requests/list/action"
"""No `read`: who may see every resource may not see what others sent."""

_RESET = "Lurewire.TestBench/reset/action"


def testbench_routes(bench: Bench, scope: str, on_error: Callable[[Request, Exception], Response | None]) -> RoomRoutes:
    """The routes of the bench; their actions are held at `scope`, the install's subscription."""
    handlers = _Handlers(bench)

    def needs(action: str) -> Needs:
        return Needs(action, Audience.MANAGEMENT, lambda _request: scope)

    routes = (
        Route("POST", f"{ROOT}/faults", handlers.add, needs(_WRITE_FAULTS)),
        Route("GET", f"{ROOT}/faults", handlers.faults, needs(_READ_FAULTS)),
        Route("DELETE", f"{ROOT}/faults/{{fault}}", handlers.remove, needs(_DELETE_FAULTS)),
        Route("GET", f"{ROOT}/requests", handlers.requests, needs(_READ_LOG)),
        Route("POST", f"{ROOT}/reset", handlers.reset, needs(_RESET)),
    )
    return RoomRoutes("testbench", routes, on_error)


class _Handlers:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def add(self, request: Request) -> Response:
        return JSONResponse(self._bench.add(await self._json(request)).as_json(), status_code=201)

    async def faults(self, _request: Request) -> Response:
        return JSONResponse({"value": [fault.as_json() for fault in self._bench.faults()]})

    async def remove(self, request: Request) -> Response:
        self._bench.remove(request.path_params["fault"])
        return Response(status_code=204)

    async def requests(self, request: Request) -> Response:
        asked = request.query_params
        after = asked.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= 18):
            raise BadRequest("'after' is the number of a request")
        entries = self._bench.log(room=asked.get("room"), after=int(after))
        return JSONResponse({"value": [entry.as_json() for entry in entries]})

    async def reset(self, request: Request) -> Response:
        body = await self._json(request)
        if not isinstance(body, dict) or set(body) - {"tables"}:
            raise BadRequest("the body is an object, which may have 'tables'")
        await self._bench.reset(body.get("tables", []))
        return Response(status_code=204)

    async def _json(self, request: Request) -> Any:
        limit = self._bench.limits["testbench.request_bytes"]
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise RequestTooLarge(f"the request is over {limit} bytes")
        try:
            return msgspec.json.decode(bytes(body) or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not JSON: {error}") from None
