"""Interactions and threats, kept in `sensor.db`.

One transaction holds an interaction, its threat and the events that tell of both; it is on disk before `record`
returns, and a decoy answers only after that. Interactions from one address belong to one threat; a touch later than
`threat_idle_seconds` after the last one opens a new threat.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lurewire.core.database import after_commit
from lurewire.core.log import get_logger
from lurewire.sensor.events import NEW_INTERACTION, NEW_THREAT, EventKind, interaction_event, threat_event
from lurewire.sensor.evidence import canonical, details_json
from lurewire.sensor.tables import interactions, outbox, rejected, threats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.limits import Limits
    from lurewire.sensor.events import Endpoint, Origin
    from lurewire.sensor.evidence import Detail, Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PRUNE_EVERY = 3600.0
_PRUNE_ROWS = 500

_log = get_logger("sensor.store")


@dataclass(frozen=True, slots=True)
class Login:
    """A login that the store decides on: the count of a source's failed logins is kept with its threat."""

    weak: bool
    """Whether these credentials are let in at once."""
    after_failures: int
    """The source is let in once it has failed this many times; 0 for never."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One action of an attacker, before it is an event."""

    endpoint: Endpoint
    session_uuid: str
    decoy: str
    protocol: str
    interaction_type: str
    details: Mapping[str, Detail]
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a touch; `accepted` is the decision on its login."""

    threat_uuid: str
    interaction_uuid: str
    accepted: bool


def microseconds(moment: datetime) -> int:
    """`moment` as microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class Store:
    """Records touches.

    `stored` is called, on the writer thread, with each kind of event that became durable in the outbox; without it there
    is no outbox. With `opened` a threat's event is held back there for its reverse lookup, and `opened` is called with
    the threat's UUID and address.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        origin: Origin,
        limits: Limits,
        *,
        stored: Callable[[EventKind], None] | None = None,
        opened: Callable[[str, str], None] | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._origin = origin
        self._limits = limits
        self._stored = stored
        self._opened = opened

    async def record(self, touch: Touch) -> Recorded:
        """Keep `touch`; return once it is on disk. Raises what the database raises (disk full)."""
        at = self._clock.now()
        return await self._db.write(lambda conn: self._keep(conn, touch, at))

    async def prune_forever(self) -> None:
        """Drop what is older than `retention_days`, once an hour, in small transactions."""
        while True:
            oldest = microseconds(self._clock.now() - timedelta(days=self._limits["sensor.retention_days"]))
            try:
                while await self._db.write(lambda conn, oldest=oldest: _prune(conn, oldest)):  # type: ignore[misc]
                    pass
            except sa.exc.SQLAlchemyError:
                _log.exception("old interactions could not be dropped; trying again in an hour")
            await self._clock.sleep(_PRUNE_EVERY)

    def _keep(self, conn: sa.Connection, touch: Touch, at: datetime) -> Recorded:
        threat_uuid, failed_logins = self._threat(conn, touch, at)
        accepted = False
        details = dict(touch.details)
        if touch.login is not None:
            needed = touch.login.after_failures
            accepted = touch.login.weak or (needed > 0 and failed_logins >= needed)
            details["accepted"] = accepted
            if not accepted:
                conn.execute(
                    sa.update(threats)
                    .where(threats.c.threat_uuid == threat_uuid)
                    .values(failed_logins=threats.c.failed_logins + 1)
                )
        interaction_uuid = str(uuid.uuid4())
        event = canonical(
            interaction_event(
                self._origin,
                touch.endpoint,
                threat_uuid=threat_uuid,
                interaction_uuid=interaction_uuid,
                session_uuid=touch.session_uuid,
                decoy=touch.decoy,
                protocol=touch.protocol,
                interaction_type=touch.interaction_type,
                at=at,
                additional_data=self._shown(details),
            )
        )
        conn.execute(
            sa.insert(interactions),
            {
                "interaction_uuid": interaction_uuid,
                "threat_uuid": threat_uuid,
                "occurred": microseconds(at),
                "interaction_type": touch.interaction_type,
                "event": event,
            },
        )
        self._put(conn, NEW_INTERACTION, interaction_uuid, event, held=False)
        return Recorded(threat_uuid, interaction_uuid, accepted)

    def _threat(self, conn: sa.Connection, touch: Touch, at: datetime) -> tuple[str, int]:
        """The UUID and the failed logins of the source's open threat, opened where there is none."""
        source, now = touch.endpoint.source_ip, microseconds(at)
        last = conn.execute(
            sa.select(threats.c.threat_uuid, threats.c.last_interaction, threats.c.failed_logins)
            .where(threats.c.source_ip == source)
            .order_by(threats.c.id.desc())
            .limit(1)
        ).one_or_none()
        if last is not None and now - last.last_interaction <= self._limits["sensor.threat_idle_seconds"] * 1_000_000:
            conn.execute(
                sa.update(threats)
                .where(threats.c.threat_uuid == last.threat_uuid)
                .values(
                    last_interaction=sa.func.max(threats.c.last_interaction, now),
                    interactions=threats.c.interactions + 1,
                )
            )
            return last.threat_uuid, last.failed_logins
        threat_uuid = str(uuid.uuid4())
        conn.execute(
            sa.insert(threats),
            {
                "threat_uuid": threat_uuid,
                "source_ip": source,
                "first_interaction": now,
                "last_interaction": now,
                "interactions": 1,
                "failed_logins": 0,
            },
        )
        event = canonical(threat_event(self._origin, threat_uuid=threat_uuid, source_ip=source, at=at))
        self._put(conn, NEW_THREAT, threat_uuid, event, held=self._opened is not None)
        if self._opened is not None:
            after_commit(conn, partial(self._opened, threat_uuid, source))
        return threat_uuid, 0

    def _put(self, conn: sa.Connection, kind: EventKind, event_uuid: str, event: bytes, *, held: bool) -> None:
        if self._stored is None:
            return
        conn.execute(
            sa.insert(outbox),
            {"stream": kind, "event_uuid": event_uuid, "event": event, "size": len(event), "held": held},
        )
        if not held:
            after_commit(conn, partial(self._stored, kind))

    def _shown(self, details: Mapping[str, Detail]) -> dict[str, Json]:
        return details_json(
            details, value_bytes=self._limits["sensor.value_bytes"], total_bytes=self._limits["sensor.details_bytes"]
        )


def _prune(conn: sa.Connection, oldest: int) -> int:
    dropped = 0
    for table, column in (
        (interactions, interactions.c.occurred),
        (threats, threats.c.last_interaction),
        (rejected, rejected.c.rejected),
    ):
        old = sa.select(table.c.id).where(column < oldest).limit(_PRUNE_ROWS)
        dropped += conn.execute(sa.delete(table).where(table.c.id.in_(old))).rowcount
    return dropped
