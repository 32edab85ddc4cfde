"""Time, injected: nothing in Lurewire reads the system clock except through a `Clock`."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a room may know of time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock; at once where `seconds` is not positive."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of real time."""
        await asyncio.sleep(max(seconds, 0))


class ManualClock:
    """Time that a test or a replay moves; sleepers wake when it passes their hour."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            msg = "ManualClock needs an aware datetime"
            raise ValueError(msg)
        self._now = start.astimezone(UTC)
        # Whole microseconds: a sleep until a time stamp must end when exactly that time was reached, rounding or not.
        self._elapsed = 0
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The time that was set, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds by which this clock was advanced so far."""
        return self._elapsed / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the clock by `seconds`."""
        microseconds = round(seconds * 1_000_000)
        if microseconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + microseconds, next(self._order), waiter))
        await waiter

    def advance(self, seconds: float) -> None:
        """Move time forward; every sleeper whose hour has come is woken, earliest first."""
        if seconds < 0:
            msg = "time does not go back"
            raise ValueError(msg)
        microseconds = round(seconds * 1_000_000)
        self._elapsed += microseconds
        self._now += timedelta(microseconds=microseconds)
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)
