"""How much a data collection rule takes in a minute.

Source: https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.ingestion.errors import Throttled

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits

_MINUTE = 60.0


@dataclass(slots=True)
class _Minute:
    began: float
    requests: int = 0
    size: int = 0


class Rates:
    """Requests and bytes of each rule in the minute that began with its first request."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._requests = limits["ingestion.requests_per_minute"]
        self._bytes = limits["ingestion.bytes_per_minute"]
        self._minutes: dict[str, _Minute] = {}

    def request(self, rule: str) -> None:
        """Count a request, before its body is read. Raises `Throttled`."""
        minute = self._current(rule)
        if minute.requests >= self._requests:
            raise self._throttled(minute, f"more than {self._requests} requests")
        if minute.size >= self._bytes:
            raise self._throttled(minute, f"more than {self._bytes} bytes")
        minute.requests += 1

    def body(self, rule: str, size: int) -> None:
        """Count a body's bytes, uncompressed; the body that goes over the limit is still taken."""
        self._current(rule).size += size

    def _current(self, rule: str) -> _Minute:
        now = self._clock.monotonic()
        minute = self._minutes.get(rule)
        if minute is None or now - minute.began >= _MINUTE:
            minute = self._minutes[rule] = _Minute(now)
        return minute

    def _throttled(self, minute: _Minute, what: str) -> Throttled:
        left = max(1, math.ceil(minute.began + _MINUTE - self._clock.monotonic()))
        message = f"The data collection rule was sent {what} in a minute. Try again in {left} seconds."
        return Throttled(message, headers={"Retry-After": str(left)})
