"""What queries ask of other rooms: places of addresses, and pages for externaldata."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lurewire.app.lookups import fetcher, place_of
from lurewire.core.outbound import Outbound
from lurewire.ipintel import DataFolder, Lookup

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request


def test_what_is_not_known_of_an_address_is_left_out(tmp_path: Path) -> None:
    lookup = Lookup(DataFolder(tmp_path))
    assert place_of(lookup, "192.0.2.1") is None
    assert place_of(lookup, "8.8.8.8") is None
    assert place_of(lookup, "not an address") is None


async def test_pages_come_through_the_guard() -> None:
    async def page(request: Request) -> Response:
        return PlainTextResponse("a,1\n", status_code=404 if request.query_params else 200)

    outbound = Outbound({"lists.example": "lists"}, {"lists": Starlette(routes=[Route("/a.csv", page)])})
    fetch = fetcher(lambda: outbound, asyncio.get_running_loop())
    assert await asyncio.to_thread(fetch, "https://lists.example/a.csv") == b"a,1\n"
    with pytest.raises(OSError, match="HTTP 404"):
        await asyncio.to_thread(fetch, "https://lists.example/a.csv?x")
    with pytest.raises(OSError, match="not a public address"):
        await asyncio.to_thread(fetch, "https://127.0.0.1:1/a.csv")
    await outbound.close()
