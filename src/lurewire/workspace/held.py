"""Memory of answers, from the start of their query until their readers have taken them: bounded over all users and for each.

The bounds are our own: Azure documents none. A reader that is slow holds memory here, not there.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING

from lurewire.workspace.errors import Throttled

if TYPE_CHECKING:
    from lurewire.core.limits import Limits

_BUSY_SECONDS = 5


class HeldAnswers:
    """What all answers hold; a `Hold` is one answer's part of it.

    A query that runs counts as the largest answer that it may make, then as the one that it made. Of what
    `workspace.answers_bytes` allows, one user's queries and answers take at most half, so that no user's readers stop all
    others; a single query has room always, whatever the limits are.
    """

    def __init__(self, limits: Limits) -> None:
        self.largest = limits["workspace.query_bytes"]
        self._most = max(limits["workspace.answers_bytes"], self.largest)
        self._most_of_user = max(self._most // 2, self.largest)
        self._patience = float(limits["workspace.query_queue_seconds"])
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def taken(self) -> int:
        """Bytes of all queries that run and of all answers."""
        with self._lock:
            return self._taken.total()

    async def begin(self, user: str) -> Hold:
        """Wait until the readers of other answers have left room for one of `user`. Raises `Throttled` where that takes too long."""
        try:
            async with asyncio.timeout(self._patience):
                while not self._fits(self._finished, user):
                    freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.append(freed)
                    try:
                        await freed
                    finally:
                        if freed in self._waiting:
                            self._waiting.remove(freed)
        except TimeoutError:
            message = f"The query waited for more than {self._patience:g} seconds for readers to take earlier answers."
            raise Throttled(message, retry_after=_BUSY_SECONDS) from None
        return Hold(self, user)

    def reserve(self, user: str) -> bool:
        """Room for the largest answer, where there is some now; called on any thread."""
        with self._lock:
            fits = self._fits(self._taken, user)
            if fits:
                self._taken[user] += self.largest
            return fits

    def change(self, user: str, *, taken: int, finished: int) -> None:
        """What a user's part is more than before, or less."""
        with self._lock:
            for counter, more in ((self._taken, taken), (self._finished, finished)):
                counter[user] += more
                if not counter[user]:
                    del counter[user]
        for freed in self._waiting:
            if not freed.done():
                freed.set_result(None)

    def _fits(self, counter: Counter[str], user: str) -> bool:
        most, of_user = self._most - self.largest, self._most_of_user - self.largest
        return counter.total() <= most and counter[user] <= of_user


class Hold:
    """What one answer holds, from the start of its query until its reader has it; belongs to the event loop."""

    def __init__(self, held: HeldAnswers, user: str) -> None:
        self._held = held
        self._user = user
        self._taken = 0
        self._finished = 0

    def ready(self) -> bool:
        """Whether the query may start now: there is room for its answer, which is taken. Called on a worker, once it is so."""
        if not self._taken and self._held.reserve(self._user):
            self._taken = self._held.largest
        return self._taken > 0

    def settle(self, size: int) -> None:
        """The query has ended, and its answer has so many bytes."""
        self._change(size, size)

    def release(self) -> None:
        """Hold nothing any more: the answer is sent, or nobody will read it. Twice is once."""
        self._change(0, 0)

    def _change(self, taken: int, finished: int) -> None:
        more, ended = taken - self._taken, finished - self._finished
        self._taken, self._finished = taken, finished
        if more or ended:
            self._held.change(self._user, taken=more, finished=ended)
