"""Results as the query API writes them.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format and contract section D.1.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response, StreamingResponse

from lurewire.core.log import get_logger
from lurewire.workspace.cells import json_cells

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from starlette.types import Message, Receive, Scope, Send

    from lurewire.workspace.api import Answered
    from lurewire.workspace.models import Prefer
    from lurewire.workspace.query import QueryResult

_log = get_logger("workspace.answers")

_INLINE_ROWS = 200  # more are encoded off the event loop, and what is larger
_INLINE_BYTES = 256 << 10
_CHUNK_BYTES = 128 << 10  # of rows that are encoded at a time: it holds the interpreter, and both forms are in memory
_PIECE_BYTES = 256 << 10  # of an answer: what a reader has to take in the time that it has

_ENCODER = ThreadPoolExecutor(1, thread_name_prefix="answers")

Sources = list[dict[str, Any]]


class Streamed(StreamingResponse):
    """An answer that is sent piece by piece: at its end, however it ends, `release` is called and `pieces` are closed.

    A reader that takes no piece for `seconds` is left; what it has is no JSON.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes], seconds: float, release: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(pieces, media_type="application/json")
        self._pieces = pieces
        self._seconds = seconds
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()
            await self._pieces.aclose()

    async def stream_response(self, send: Send) -> None:
        """Send the pieces; without an end where the reader is left, so that the server closes the connection."""

        async def patiently(message: Message) -> None:
            async with asyncio.timeout(self._seconds):
                await send(message)

        try:
            await super().stream_response(patiently)
        except TimeoutError:
            _log.warning("the reader of an answer takes nothing: the answer is dropped", seconds=self._seconds)


def respond(answered: Answered, prefer: Prefer, seconds: float) -> Response:
    """The answer to one query; a large one is encoded and sent batch by batch, to a reader as `Streamed` has it."""
    result, sources, hold = answered.result, answered.sources, answered.hold
    if result.bytes <= _INLINE_BYTES and sum(one.rows for one in _all(result)) <= _INLINE_ROWS:
        try:
            return Response(b"".join(parts(result, prefer, sources)), media_type="application/json")
        finally:
            hold.release()
    return Streamed(in_chunks(parts(result, prefer, sources)), seconds, hold.release)


async def in_chunks(chunks: Iterator[bytes]) -> AsyncGenerator[bytes]:
    """The chunks in pieces, each made on the one thread for this: several would take the interpreter from the event loop in turn."""
    loop = asyncio.get_running_loop()
    while chunk := await loop.run_in_executor(_ENCODER, next, chunks, b""):
        for at in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[at : at + _PIECE_BYTES]


def parts(result: QueryResult, prefer: Prefer, sources: Sources) -> Iterator[bytes]:
    """The answer's bytes, a batch at a time.

    Clients look for the table PrimaryResult, so the first is it whatever the query calls it. Another one has the name that
    the query gives it (https://learn.microsoft.com/kusto/query/fork-operator), or that of its place.
    """
    for place, one in enumerate(_all(result)):
        name = (one.name or f"Table_{place}") if place else "PrimaryResult"
        yield (b"," if place else b'{"tables":[') + b'{"name":' + msgspec.json.encode(name)
        columns = [{"name": column.name, "type": str(column.type)} for column in one.columns]
        yield b',"columns":' + msgspec.json.encode(columns) + b',"rows":['
        yield from row_chunks(one)
        yield b"]}"
    extra = _extras(result, prefer, sources)
    rest = b"".join(b"," + msgspec.json.encode(key) + b":" + msgspec.json.encode(value) for key, value in extra.items())
    yield b"]" + rest + b"}"


def row_chunks(result: QueryResult) -> Iterator[bytes]:
    """The rows of one result as the inside of a JSON array, a batch at a time."""
    kinds = [column.type for column in result.columns]
    first = True
    for batch in (part for whole in result.batches for part in _in_parts(whole)):
        cells = [json_cells(column, kind) for column, kind in zip(batch.columns, kinds, strict=True)]
        text = msgspec.json.encode(list(zip(*cells, strict=True)))[1:-1]
        yield text if first else b"," + text
        first = False


def _in_parts(batch: Any) -> Iterator[Any]:
    """A batch in parts of about the size that is encoded at a time, each of a row at least."""
    rows = max(1, batch.num_rows * _CHUNK_BYTES // max(batch.nbytes, 1))
    for first in range(0, batch.num_rows, rows):
        yield batch.slice(first, rows)


def _extras(result: QueryResult, prefer: Prefer, sources: Sources) -> dict[str, Any]:
    """What stands beside the tables: what Prefer asks for, and the error of a partial result."""
    extra: dict[str, Any] = {}
    if prefer.statistics:
        extra["statistics"] = {
            "query": {
                "executionTime": sum(one.seconds for one in _all(result)),
                "datasetStatistics": [
                    {"tableRowCount": one.rows, "tableSize": sum(batch.nbytes for batch in one.batches)}
                    for one in _all(result)
                ],
            }
        }
    if prefer.render:
        extra["render"] = _rendering(result)
    if prefer.sources:
        extra["dataSources"] = sources
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
