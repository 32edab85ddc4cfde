"""How many queries a user may send and have running, over all workspaces; what is over it waits, then is refused.

Source: https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#user-query-throttling
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lurewire.workspace.errors import Throttled
from lurewire.workspace.held import HeldAnswers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.workspace.held import Hold

_REMEMBERED = 1024  # users; above it those that ask for nothing now are forgotten
_BUSY_SECONDS = 5


@dataclass(slots=True)
class _User:
    began: float
    queries: int = 0
    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Admission:
    """The gate before the query workers; belongs to the event loop."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._rate = limits["workspace.user_queries"]
        self._window = float(limits["workspace.user_query_seconds"])
        self._at_once = limits["workspace.user_queries_at_once"]
        self._queue = limits["workspace.query_queue"]
        self._patience = float(limits["workspace.query_queue_seconds"])
        self._users: dict[str, _User] = {}
        self.held = HeldAnswers(limits)

    def count(self, user: str) -> None:
        """Count a query of `user`, before anything is done for it. Raises `Throttled`."""
        known = self._user(user)
        if known.queries >= self._rate:
            left = max(1, math.ceil(known.began + self._window - self._clock.monotonic()))
            message = f"The user has sent more than {self._rate} queries in {self._window:g} seconds. Try again in {left} seconds."
            raise Throttled(message, retry_after=left)
        known.queries += 1

    @contextlib.asynccontextmanager
    async def turn(self, user: str) -> AsyncIterator[Hold]:
        """Wait for one of the user's places and until readers have left room for the answer. Raises `Throttled` where too many or too long wait.

        The place is free again afterwards; what the answer holds is, where no error ended the turn, the caller's to release.
        """
        known = self._user(user)
        if known.running >= self._at_once:
            await self._wait(known)
        else:
            known.running += 1
        try:
            hold = await self.held.begin(user)
            try:
                yield hold
            except BaseException:
                hold.release()
                raise
        finally:
            self._leave(known)

    async def _wait(self, user: _User) -> None:
        if len(user.waiting) >= self._queue:
            raise Throttled(f"{self._queue} queries of the user are waiting already.", retry_after=_BUSY_SECONDS)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        user.waiting.append(place)
        try:
            async with asyncio.timeout(self._patience):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self._leave(user)  # the place was given in the moment in which nobody waited for it any more
            elif place in user.waiting:
                user.waiting.remove(place)
            if isinstance(error, TimeoutError):
                message = f"The query waited for more than {self._patience:g} seconds for others of the user to end."
                raise Throttled(message, retry_after=_BUSY_SECONDS) from None
            raise

    @staticmethod
    def _leave(user: _User) -> None:
        """Give the place to who waits longest; the number of running queries stays where somebody takes it."""
        while user.waiting:
            place = user.waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        user.running -= 1

    def _user(self, name: str) -> _User:
        now = self._clock.monotonic()
        known = self._users.get(name)
        if known is None:
            if len(self._users) >= _REMEMBERED:
                self._forget(now)
            known = self._users[name] = _User(now)
        elif now - known.began >= self._window:
            known.began, known.queries = now, 0
        return known

    def _forget(self, now: float) -> None:
        self._users = {
            name: user
            for name, user in self._users.items()
            if user.running or user.waiting or now - user.began < self._window
        }
