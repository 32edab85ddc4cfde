"""Queries end when their client goes away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lurewire.workspace.api import drop

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.requests import Request

    from lurewire.workspace.api import Answered

CLIENT_GONE = 499
"""The status for a client that went away: nobody reads it; it is what access logs show."""


async def unless_gone(request: Request, query: Awaitable[Answered]) -> Answered | None:
    """The query's answer; None where its client went away first, and the query is stopped.

    An answer that comes as the caller is cancelled is dropped.
    """
    running = asyncio.ensure_future(query)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([running, gone], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    except BaseException:
        running.add_done_callback(drop)
        raise
    finally:
        gone.cancel()
        running.cancel()
    return None


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
