"""The query workers: a bounded number of threads in two classes, so that no query stalls the loop.

Rules come before people, and one worker is theirs alone. A query is interrupted when its caller goes away or its time is
over. Source of the limits: https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.workspace.engine import Engine

T = TypeVar("T")

QueryClass = Literal["rules", "people"]

_INTERRUPT_AGAIN = 0.02
_READY_AGAIN = 0.02


class TooManyQueries(Exception):
    """The queue of a class is full."""


class QueryTimeout(Exception):
    """The query did not end in its time."""


class QueryStopped(Exception):
    """The query was stopped."""


class _Job:
    """One query: waits, runs with a cursor, may be stopped at any moment of both."""

    def __init__(
        self, work: Callable[[Any], Any], interrupt: Callable[[], None] | None, ready: Callable[[], bool] | None
    ) -> None:
        self.work = work
        self.ready = ready
        self._further = interrupt
        self.future: Future[Any] = Future()
        self._lock = threading.Lock()
        self._cursor: Any = None
        self._stopped = False

    def run(self, engine: Engine) -> None:
        """Run on the calling thread."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._run(engine.cursor()))
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, who gets it
            engine.examine(error)
            self.future.set_exception(error)

    def _run(self, cursor: Any) -> Any:
        try:
            with self._lock:
                if self._stopped:
                    raise QueryStopped("the query was stopped before it ran")
                self._cursor = cursor
            return self.work(cursor)
        finally:
            with self._lock:
                self._cursor = None
            cursor.close()

    def interrupt(self) -> bool:
        """Stop the query; False once there is nothing left to stop. The engine forgets an interrupt that comes too early."""
        with self._lock:
            self._stopped = True
            if self._cursor is not None:
                self._cursor.interrupt()
                if self._further is not None:
                    self._further()
            return not self.future.done()


class QueryPool:
    """`workers` threads over one engine; at most `queue` queries of a class wait."""

    def __init__(self, engine: Engine, *, workers: int, queue: int) -> None:
        self._engine = engine
        self._workers = max(2, workers)
        self._queue = queue
        self._waiting: dict[QueryClass, deque[_Job]] = {"rules": deque(), "people": deque()}
        self._wake = threading.Condition()
        self._running: set[_Job] = set()
        self._stop = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        for number in range(self._workers):
            thread = threading.Thread(target=self._work, args=(number == 0,), name=f"query-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    async def run(
        self,
        work: Callable[[Any], T],
        cls: QueryClass,
        seconds: float,
        interrupt: Callable[[], None] | None = None,
        ready: Callable[[], bool] | None = None,
    ) -> T:
        """Run `work(cursor)` on a worker. Raises `TooManyQueries`, `QueryTimeout` and what `work` raises.

        Cancelling the caller interrupts the query; `interrupt`, called from any thread, what it runs elsewhere. A query of
        people for which `ready` is false lets others pass.
        """
        job = _Job(work, interrupt, ready)
        with self._wake:
            if self._stop:
                raise RuntimeError("the workspace is closed")
            if len(self._waiting[cls]) >= self._queue:
                raise TooManyQueries(f"{self._queue} queries are waiting already")
            self._waiting[cls].append(job)
            self._wake.notify_all()
        waiter = asyncio.wrap_future(job.future)
        waiter.add_done_callback(_seen)
        try:
            done, _ = await asyncio.wait([waiter], timeout=seconds)
            if done:
                return cast("T", waiter.result())
        except asyncio.CancelledError:
            await asyncio.shield(self._interrupt(job))
            raise
        await self._interrupt(job)
        raise QueryTimeout(f"the query did not end in {seconds:g} seconds")

    def stop(self) -> None:
        """Interrupt what runs, drop what waits, end the threads."""
        with self._wake:
            self._stop = True
            for jobs in self._waiting.values():
                for job in jobs:
                    job.future.cancel()
                jobs.clear()
            self._wake.notify_all()
        for job in list(self._running):
            while job.interrupt():
                wait([job.future], _INTERRUPT_AGAIN)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    async def _interrupt(self, job: _Job) -> None:
        with self._wake:
            for jobs in self._waiting.values():
                if job in jobs:
                    jobs.remove(job)
                    job.future.cancel()
        ended = asyncio.wrap_future(job.future)
        ended.add_done_callback(_seen)
        while job.interrupt():
            await asyncio.wait([ended], timeout=_INTERRUPT_AGAIN)

    def _work(self, rules_only: bool) -> None:
        while True:
            with self._wake:
                job = self._next(rules_only)
                while job is None and not self._stop:
                    self._wake.wait(None if rules_only or not self._waiting["people"] else _READY_AGAIN)
                    job = self._next(rules_only)
                if job is None:
                    return
                self._running.add(job)
            job.run(self._engine)
            with self._wake:
                self._running.discard(job)

    def _next(self, rules_only: bool) -> _Job | None:
        """The next job for a worker; the caller holds the lock."""
        if self._waiting["rules"]:
            return self._waiting["rules"].popleft()
        people = () if rules_only else self._waiting["people"]
        job = next((one for one in people if one.ready is None or one.ready()), None)
        if job is not None:
            self._waiting["people"].remove(job)
        return job


def _seen(waiter: asyncio.Future[Any]) -> None:
    """A stopped query's error is nobody's: take it, so that asyncio does not report it."""
    if not waiter.cancelled():
        waiter.exception()
