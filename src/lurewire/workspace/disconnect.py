"""Queries end when their client goes away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from starlette.requests import Request

T = TypeVar("T")

CLIENT_GONE = 499
"""The status for a client that went away: nobody reads it; it is what access logs show."""


async def unless_gone(request: Request, query: Coroutine[Any, Any, T] | Awaitable[T]) -> T | None:
    """The query's answer; None where its client went away first, and the query is stopped."""
    running = asyncio.ensure_future(query)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([running, gone], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return None
    finally:
        gone.cancel()
        running.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
