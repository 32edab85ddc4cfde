"""How many templates are evaluated at a time: each may take a thread and a processor for seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from lurewire.arm.errors import TooManyPlans

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.core.limits import Limits

_T = TypeVar("_T")

RETRY_SECONDS = 10
"""About what one template takes at worst."""


class Turns:
    """Runs work in threads, so many pieces at a time as `arm.plans` says; others wait in line."""

    def __init__(self, limits: Limits) -> None:
        self._free = asyncio.Semaphore(limits["arm.plans"])
        self._waiting = limits["arm.plans_waiting"]
        self._most = limits["arm.plans"] + self._waiting
        self._taken: Counter[str] = Counter()

    async def run(self, work: Callable[[], _T], who: str = "", *, begun: bool = False) -> _T:
        """The result of `work`; raises `TooManyPlans` where too many wait. `begun` is work that waits all the same.

        `who` asks for it, and has at most half of the places, so that others get some too; empty: the platform itself.
        A caller that is canceled leaves its work behind, which keeps its turn until it ends.
        """
        # Counted here, not once the task runs: many requests may come before any task does.
        is_full = self._taken.total() >= self._most or (who and self._taken[who] >= max(self._most // 2, 1))
        if is_full and not begun:
            raise TooManyPlans(self._waiting, RETRY_SECONDS)
        self._taken[who] += 1
        return await asyncio.shield(asyncio.ensure_future(self._in_turn(work, who)))

    async def _in_turn(self, work: Callable[[], _T], who: str) -> _T:
        try:
            async with self._free:
                return await asyncio.to_thread(work)
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
