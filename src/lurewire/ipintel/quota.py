"""How many lookups a key may make in an hour."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.core.limits import Limit
from lurewire.ipintel.errors import RateLimited

if TYPE_CHECKING:
    from lurewire.core.clock import Clock

PER_HOUR = "ipintel.lookups_per_hour"

LIMITS = (Limit(PER_HOUR, 600, "lookups per key in any 3,600 seconds", "https://www.ipinsights.io/docs.php"),)

_WINDOW = 3600.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key may do: `limit` lookups in any hour, of which `remaining` are left now."""

    limit: int
    remaining: int

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that tell it, as the vendor's API names them."""
        return {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(self.remaining)}


class Quota:
    """Counts the lookups of each key over the last hour, exactly; a restart forgets them."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._times: dict[int, deque[float]] = {}

    def take(self, key: int) -> Allowance:
        """Count one lookup; raises `RateLimited` (which is not counted) where the hour's are used up."""
        now = self._clock.monotonic()
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now - _WINDOW:
            times.popleft()
        if len(times) >= self._limit:
            wait = max(1, math.ceil(times[0] + _WINDOW - now)) if times else int(_WINDOW)
            headers = Allowance(self._limit, 0).headers | {"Retry-After": str(wait)}
            raise RateLimited(
                f"This key's {self._limit} lookups per hour are used up; the next is possible in {wait} seconds.",
                headers=headers,
            )
        times.append(now)
        return Allowance(self._limit, self._limit - len(times))
