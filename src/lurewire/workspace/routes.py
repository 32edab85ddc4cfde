"""The Log Analytics query API: HTTP shape only.

Source: https://learn.microsoft.com/rest/api/loganalytics/dataaccess/query/execute and contract section D.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response, StreamingResponse

from lurewire.core.http import Audience, Needs, RoomRoutes, Route
from lurewire.kql import row_encoder
from lurewire.workspace.errors import BadArgument, BodyTooLarge, GatewayTimeout, Throttled, WorkspaceNotFound, render
from lurewire.workspace.pool import QueryTimeout, TooManyQueries
from lurewire.workspace.query import QueryLimits
from lurewire.workspace.timespans import BadTimespan, parse_timespan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from starlette.requests import Request

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.workspace.query import QueryResult
    from lurewire.workspace.service import Workspaces

_ACTION = "Microsoft.OperationalInsights/workspaces/query/read"
_PATHS = ("/v1/workspaces/{workspace}/query", "/workspaces/{workspace}/query")
_INLINE_ROWS = 200  # more are encoded off the event loop
_RETRY_SECONDS = 5
_CLIENT_GONE = 499  # nobody reads it; it is what access logs show
_WAIT = re.compile(r"wait=(\d{1,6})")


class QueryRequest(msgspec.Struct):
    """The body of a query; clients send null for what they leave out."""

    query: str
    timespan: str | None = None
    workspaces: list[str] | None = None


def query_routes(workspaces: Workspaces, clock: Clock, limits: Limits) -> RoomRoutes:
    """The routes of the query API over all workspaces."""
    handlers = _Handlers(workspaces, clock, limits)
    needs = Needs(_ACTION, Audience.LOG_ANALYTICS, handlers.scope)
    return RoomRoutes("workspace", [Route("POST", path, handlers.query, needs) for path in _PATHS], render)


class _Handlers:
    def __init__(self, workspaces: Workspaces, clock: Clock, limits: Limits) -> None:
        self._workspaces = workspaces
        self._clock = clock
        self._limits = limits

    def scope(self, request: Request) -> str:
        name = request.path_params["workspace"]
        found = self._workspaces.id_of(name)
        if found is None:
            raise WorkspaceNotFound(name)
        return str(found)

    async def query(self, request: Request) -> Response:
        name = request.path_params["workspace"]
        workspace = self._workspaces.by_customer_id(name)
        if workspace is None:
            raise WorkspaceNotFound(name)
        asked = await self._read(request)
        others = [other for other in asked.workspaces or () if other.lower() != workspace.customer_id.lower()]
        if others:
            raise BadArgument.of("workspaces", f"queries across workspaces are not supported ('{others[0][:80]}')")
        timespan = None
        if asked.timespan:
            try:
                timespan = parse_timespan(asked.timespan, self._clock.now())
            except BadTimespan as error:
                raise BadArgument.of("timespan", str(error)) from None
        prefer = ",".join(request.headers.getlist("prefer")).replace(" ", "").lower()
        limits = QueryLimits(
            self._limits["workspace.query_rows"], self._limits["workspace.query_bytes"], self._seconds(prefer)
        )
        try:
            result = await _unless_gone(request, workspace.query(asked.query, timespan=timespan, limits=limits))
        except TooManyQueries as error:
            raise Throttled(str(error), retry_after=_RETRY_SECONDS) from None
        except QueryTimeout as error:
            inner = {"code": "GatewayTimeout", "message": str(error)}
            raise GatewayTimeout("The query exceeded its time limit", inner) from None
        if result is None:
            return Response(status_code=_CLIENT_GONE)
        extra = _extras(result, prefer)
        if sum(one.rows for one in _all(result)) <= _INLINE_ROWS:
            return Response(b"".join(_parts(result, extra)), media_type="application/json")
        return StreamingResponse(_stream(result, extra), media_type="application/json")

    async def _read(self, request: Request) -> QueryRequest:
        most = self._limits["workspace.query_body_bytes"]
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise BodyTooLarge(f"The request body is over {most} bytes")
        try:
            return msgspec.json.decode(bytes(body), type=QueryRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadArgument.of("body", str(error)) from None

    def _seconds(self, prefer: str) -> float:
        wait = _WAIT.search(prefer)
        seconds = int(wait[1]) if wait else self._limits["workspace.query_default_seconds"]
        return float(min(max(1, seconds), self._limits["workspace.query_max_seconds"]))


async def _unless_gone(request: Request, query: Coroutine[Any, Any, QueryResult]) -> QueryResult | None:
    """The query's result; None where its client went away first, and the query is stopped."""
    running = asyncio.ensure_future(query)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([running, gone], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        running.cancel()
        await asyncio.wait([running])
        return None
    finally:
        gone.cancel()
        running.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _extras(result: QueryResult, prefer: str) -> dict[str, Any]:
    """What stands beside the tables: statistics and rendering where asked for, the error of a partial result."""
    extra: dict[str, Any] = {}
    if "include-statistics=true" in prefer:
        extra["statistics"] = {
            "query": {
                "executionTime": sum(one.seconds for one in _all(result)),
                "datasetStatistics": [
                    {"tableRowCount": one.rows, "tableSize": sum(batch.nbytes for batch in one.batches)}
                    for one in _all(result)
                ],
            }
        }
    if "include-render=true" in prefer:
        extra["render"] = _rendering(result)
    if result.partial is not None:
        inner = {"code": "-2133196797", "message": result.partial, "severity": 2, "severityName": "Error"}
        message = "Something went wrong processing your query on the server."
        extra["error"] = {
            "code": "PartialError",
            "message": "There were some errors when processing your query.",
            "details": [{"code": "EngineError", "message": message, "innererror": inner}],
        }
    return extra


_RENDER_KEYS = (
    "title",
    "kind",
    "xColumn",
    "series",
    "yColumns",
    "xTitle",
    "yTitle",
    "xAxis",
    "yAxis",
    "legend",
    "ySplit",
    "yMin",
    "yMax",
    "anomalyColumns",
)


def _rendering(result: QueryResult) -> dict[str, Any]:
    rendering = result.render
    given = {} if rendering is None else {key.lower(): value for key, value in rendering.properties.items()}
    shown: dict[str, Any] = {
        "visualization": "table" if rendering is None else rendering.visualization,
        "accumulate": given.get("accumulate", "").lower() == "true",
    }
    return shown | {key: given.get(key.lower()) for key in _RENDER_KEYS}


def _all(result: QueryResult) -> Iterator[QueryResult]:
    yield result
    yield from result.further


def _parts(result: QueryResult, extra: dict[str, Any]) -> Iterator[bytes]:
    """The answer's bytes, a batch at a time.

    Clients look for the table PrimaryResult, so the first is it whatever the query calls it. Another one has the name that
    the query gives it (https://learn.microsoft.com/kusto/query/fork-operator), or that of its place.
    """
    for place, one in enumerate(_all(result)):
        name = (one.name or f"Table_{place}") if place else "PrimaryResult"
        yield (b"," if place else b'{"tables":[') + b'{"name":' + msgspec.json.encode(name)
        columns = [{"name": column.name, "type": str(column.type)} for column in one.columns]
        yield b',"columns":' + msgspec.json.encode(columns) + b',"rows":['
        yield from _rows(one)
        yield b"]}"
    rest = b"".join(b"," + msgspec.json.encode(key) + b":" + msgspec.json.encode(value) for key, value in extra.items())
    yield b"]" + rest + b"}"


def _rows(result: QueryResult) -> Iterator[bytes]:
    encode = row_encoder([column.type for column in result.columns])
    first = True
    for batch in result.batches:
        if not batch.num_rows:
            continue
        rows = [encode(row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
        text = msgspec.json.encode(rows)[1:-1]
        yield text if first else b"," + text
        first = False


async def _stream(result: QueryResult, extra: dict[str, Any]) -> AsyncIterator[bytes]:
    parts = _parts(result, extra)
    while part := await asyncio.to_thread(next, parts, b""):
        yield part
