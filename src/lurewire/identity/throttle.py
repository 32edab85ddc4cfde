"""How many tokens an application may ask for in a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.identity.errors import Throttled

if TYPE_CHECKING:
    from lurewire.core.clock import Clock

_MOST_CALLERS = 10_000
_MINUTE = 60.0


class TokenThrottle:
    """Counts token requests by application and client address, in minutes of the clock.

    By address too, so that who knows an app's id cannot keep the app itself out.
    """

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._began = 0.0
        self._counts: dict[tuple[str, str], int] = {}

    def check(self, app_id: str, address: str) -> None:
        """Count a request; raises `Throttled` for one too many."""
        now = self._clock.monotonic()
        if not self._counts or now - self._began >= _MINUTE:
            self._began, self._counts = now, {}
        caller = (app_id.lower()[:64], address)
        if caller not in self._counts and len(self._counts) >= _MOST_CALLERS:
            caller = ("", "")  # made-up ids share one count: memory has an end
        count = self._counts.get(caller, 0) + 1
        if count > self._per_minute:
            left = max(1, int(_MINUTE - (now - self._began)) + 1)
            raise Throttled(app_id=app_id, retry_after=left)
        self._counts[caller] = count
