"""One attacker's connection to one decoy, as the decoy sees it: whose it is, and where its actions are recorded."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from lurewire.core.log import get_logger
from lurewire.sensor.store import Login, Recorded, Touch

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from lurewire.core.limits import Limits
    from lurewire.sensor.events import Endpoint
    from lurewire.sensor.evidence import Detail
    from lurewire.sensor.store import Store


_log = get_logger("sensor.session")


class TooManyInteractionsError(Exception):
    """The connection has used up `interactions_per_connection`; close it."""


class Session:
    """Records the actions of one connection, in order."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        endpoint: Endpoint,
        decoy: str,
        protocol: str,
        tasks: set[asyncio.Task[None]],
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.decoy = decoy
        self._protocol = protocol
        self._store = store
        self._uuid = str(uuid.uuid4())
        self._left = limits["sensor.interactions_per_connection"]
        self._tasks = tasks
        self.recorded = 0

    async def record(
        self, interaction_type: str, details: Mapping[str, Detail], *, login: Login | None = None
    ) -> Recorded:
        """Keep one interaction; return once it is on disk. Only then may the decoy answer.

        Raises `TooManyInteractionsError`, or what the database raises: in either case the decoy says nothing more.
        """
        if self._left <= 0:
            raise TooManyInteractionsError
        self._left -= 1
        recorded = await self._store.record(
            Touch(self.endpoint, self._uuid, self.decoy, self._protocol, interaction_type, details, login)
        )
        self.recorded += 1
        return recorded

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside the connection; a failure is logged, and never reaches another connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def report(self, error: BaseException) -> None:
        """Log what ended this connection."""
        if isinstance(error, TooManyInteractionsError):
            _log.info("connection used up its interactions", decoy=self.decoy, source_ip=self.endpoint.source_ip)
        else:
            _log.error("a connection failed", decoy=self.decoy, source_ip=self.endpoint.source_ip, exc_info=error)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.report(error)
