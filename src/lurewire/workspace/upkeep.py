"""What a workspace does by itself as time passes: retention, and the hours of Usage."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from lurewire.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from lurewire.core.clock import Clock

_log = get_logger("workspace.upkeep")

_HOUR = 3600.0
_AFTER = 60.0
"""After the hour: by then what was received in it is acknowledged."""


class Upkeep:
    """Runs `tasks` soon after every full hour of the injected clock."""

    def __init__(self, clock: Clock, tasks: Sequence[Callable[[], Awaitable[object]]]) -> None:
        self._clock = clock
        self._tasks = tasks
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start; the first run is after the next full hour."""
        self._running = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Stop, in the midst of a run if need be: the next one does the rest."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(_until_next(self._clock.now()))
            for task in self._tasks:
                try:
                    await task()
                except Exception as error:  # noqa: BLE001 - the next hour tries again; nothing else stops
                    _log.error("upkeep failed; the next hour tries again", exc_info=error)


def _until_next(now: datetime) -> float:
    into = timedelta(minutes=now.minute, seconds=now.second, microseconds=now.microsecond).total_seconds()
    return (_AFTER - into) if into < _AFTER else (_HOUR - into + _AFTER)
