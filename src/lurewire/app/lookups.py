"""What queries ask of other rooms: the place of an IP address, and web pages that externaldata may read."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any

from lurewire.core.outbound import OutboundError
from lurewire.ipintel import InvalidAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lurewire.core.outbound import Outbound
    from lurewire.ipintel import Lookup

FETCH_SECONDS = 60.0
_OK = 200


def place_of(lookup: Lookup, address: str) -> Mapping[str, Any] | None:
    """Country, state, city, latitude and longitude of an address, as far as the data has them; None where it has none."""
    try:
        found = lookup.lookup(address)
    except InvalidAddress:
        return None
    parts = {
        "country": found.country_name,
        "state": found.region_name,
        "city": found.city,
        "latitude": found.latitude,
        "longitude": found.longitude,
    }
    known = {name: value for name, value in parts.items() if isinstance(value, str | float) and value != ""}
    return known or None


def fetcher(outbound: Callable[[], Outbound], loop: asyncio.AbstractEventLoop) -> Callable[[str], bytes]:
    """Reads a URL through the guard, from any thread but the loop's; the function raises OSError."""

    def fetch(url: str) -> bytes:
        request = outbound().request("GET", url, timeout=FETCH_SECONDS)
        running = asyncio.run_coroutine_threadsafe(request, loop)
        try:
            answer = running.result(FETCH_SECONDS + 1)
        except (OutboundError, concurrent.futures.TimeoutError, concurrent.futures.CancelledError) as error:
            raise OSError(str(error) or "there was no answer in time") from error
        if answer.status != _OK:
            raise OSError(f"the answer was HTTP {answer.status}")
        return answer.body

    return fetch
