"""Several queries in one request: each is answered by its own rights, as soon as it ends.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/api/batch-queries; shapes as captured (contract section D.3).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import QueryParams

from lurewire.core.errors import WireError
from lurewire.core.log import get_logger
from lurewire.workspace.answers import in_chunks, parts
from lurewire.workspace.api import drop
from lurewire.workspace.errors import BadArgument, PathNotFound, QueryApiError, answer_to, error_body
from lurewire.workspace.models import BatchElement, Prefer, QueryRequest, decode, query_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from lurewire.core.principal import Principal
    from lurewire.workspace.api import Answered, QueryApi

_log = get_logger("workspace.batch")

_AGE = {"Age": "0"}


async def answer_all(
    api: QueryApi, principal: Principal, elements: Sequence[BatchElement], at_once: int
) -> AsyncGenerator[bytes]:
    """The body of a batch's answer: at most `at_once` queries run, and as many results are held, at a time.

    Closing it stops what runs.
    """
    waiting = iter(elements)
    running: dict[asyncio.Task[Answered], BatchElement] = {}

    def start() -> None:
        element = next(waiting, None)
        if element is not None:
            running[asyncio.ensure_future(_run(api, principal, element))] = element

    try:
        for _ in range(at_once):
            start()
        comma = b'{"responses":['
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                async for chunk in in_chunks(_answer(task, running[task], comma)):
                    yield chunk
                comma = b","
                drop(task)
                del running[task]
                start()
        yield b"]}" if elements else b'{"responses":[]}'
    finally:
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
            drop(task)


async def _run(api: QueryApi, principal: Principal, element: BatchElement) -> Answered:
    api.admission.count(principal.object_id)
    try:
        home = api.find(element.workspace)
    except QueryApiError:
        api.hide(principal, element.workspace)
        raise
    api.check(principal, home)
    prefer = Prefer.parse([element.header("prefer")])
    return await api.of_workspace(principal, home, _asked(element), prefer)


def _asked(element: BatchElement) -> QueryRequest:
    try:
        path = urlsplit(element.path)
    except ValueError:
        raise PathNotFound from None
    if path.path.strip("/").lower() != "query":
        raise PathNotFound
    method = element.method.upper()
    if method == "GET":
        return query_parameters(QueryParams(path.query))
    if method != "POST":
        raise BadArgument.of("method", f"'{element.method[:20]}' is neither GET nor POST")
    return decode(element.body, QueryRequest)


def _answer(task: asyncio.Task[Answered], element: BatchElement, before: bytes) -> Iterator[bytes]:
    error = task.exception()
    if error is None:
        answered = task.result()
        prefer = Prefer.parse([element.header("prefer")])
        yield before + _head(element, 200, _AGE)
        yield from parts(answered.result, prefer, answered.sources)
        yield b"}"
        return
    told = answer_to(error) if isinstance(error, Exception) else None
    if told is None:
        _log.error("query of a batch failed", exc_info=error)
        body: Any = {"error": {"code": "InternalServerError", "message": "The server failed; its log says why."}}
        yield before + _head(element, 500, _AGE) + msgspec.json.encode(body) + b"}"
        return
    assert isinstance(told, WireError)
    yield before + _head(element, told.status, _AGE | told.headers) + msgspec.json.encode(error_body(told)) + b"}"


def _head(element: BatchElement, status: int, headers: dict[str, str]) -> bytes:
    head = msgspec.json.encode({"id": element.id, "status": status, "headers": headers})
    return head[:-1] + b',"body":'
