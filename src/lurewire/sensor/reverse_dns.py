"""Reverse DNS of attackers' addresses: off by default, for it tells an attacker's name server of the sensor."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lurewire.core.log import get_logger
from lurewire.sensor.evidence import canonical
from lurewire.sensor.tables import outbox
from lurewire.sensor.worker import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.core.database import Database
    from lurewire.core.limits import Limits

_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_MAX_HOST_NAME = 253
_THREADS = 4

_log = get_logger("sensor.reverse_dns")


def resolve(address: str) -> str:
    """The host name of `address` by the system's resolver; `""` where there is none or it is not a host name.

    The name is the word of whoever owns the address: one with any other character in it is not passed on.
    """
    try:
        name = socket.gethostbyaddr(address)[0]
    except OSError:
        return ""
    return name if len(name) <= _MAX_HOST_NAME and _HOST_NAME.fullmatch(name) else ""


class ReverseLookups:
    """Releases each held `new_threat` event with its `reverse_lookup`, or without one after the time limit."""

    def __init__(
        self,
        db: Database,
        limits: Limits,
        released: Callable[[], None],
        resolver: Callable[[str], str] = resolve,
    ) -> None:
        self._db = db
        self._limits = limits
        self._released = released
        self._resolver = resolver
        self._workers = Workers("reverse-dns", _THREADS)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Look up again what an earlier process left held."""
        held = self._db.read(
            lambda conn: conn.execute(sa.select(outbox.c.event_uuid, outbox.c.event).where(outbox.c.held)).all()
        )
        for row in held:
            self._begin(row.event_uuid, json.loads(row.event)["source_ip"])

    def request(self, threat_uuid: str, address: str) -> None:
        """Begin a lookup; called on any thread."""
        self._loop.call_soon_threadsafe(self._begin, threat_uuid, address)

    async def stop(self) -> None:
        """End what is under way; it stays held and is looked up at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._workers.stop()

    def _begin(self, threat_uuid: str, address: str) -> None:
        task = self._loop.create_task(self._look_up(threat_uuid, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, threat_uuid: str, address: str) -> None:
        name = ""
        if len(self._tasks) <= self._limits["sensor.reverse_dns_pending"]:
            try:
                async with asyncio.timeout(self._limits["sensor.reverse_dns_seconds"]):
                    name = await self._workers.run(self._resolver, address)
            except TimeoutError:
                _log.info("no answer to a reverse lookup", address=address)
        try:
            await self._db.write(lambda conn: _release(conn, threat_uuid, name))
        except sa.exc.SQLAlchemyError:
            _log.exception("a reverse lookup could not be stored", threat_uuid=threat_uuid)
            return
        self._released()


def _release(conn: sa.Connection, threat_uuid: str, name: str) -> None:
    row = conn.execute(
        sa.select(outbox.c.id, outbox.c.event).where(outbox.c.event_uuid == threat_uuid, outbox.c.held)
    ).one_or_none()
    if row is None:
        return
    event = canonical({**json.loads(row.event), "reverse_lookup": name})
    conn.execute(sa.update(outbox).where(outbox.c.id == row.id).values(event=event, size=len(event), held=False))
