"""The events that wait to be sent, in batches whose composition is fixed on disk before the first try.

A batch is named by the id of its first row. A retry after a crash therefore sends the same bytes under the same
request id, and a receiver that folds repeats sees each event once.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lurewire.sensor.tables import outbox, rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.database import Database
    from lurewire.core.limits import Limits
    from lurewire.sensor.events import EventKind

_REQUESTS = uuid.UUID("6f0a1c8e-5d1b-5f5e-9a3c-1f6b8f0d2c47")


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one kind in the order in which they were stored."""

    id: int
    kind: EventKind
    event_uuids: tuple[str, ...]
    events: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        """The JSON array of the events."""
        return b"[" + b",".join(self.events) + b"]"

    def request_id(self, stream: str) -> str:
        """The `x-ms-client-request-id` for these events on `stream`: the same for the same events."""
        return str(uuid.uuid5(_REQUESTS, "\n".join((stream, *self.event_uuids))))


class Outbox:
    """Events of one kind, first in first out."""

    def __init__(self, db: Database, kind: EventKind, limits: Limits) -> None:
        self._db = db
        self._kind = kind
        self._limits = limits

    async def next_batch(self) -> Batch | None:
        """The oldest batch not yet delivered, else one of all that waits (up to the limits); None where nothing does."""
        return await self._db.write(self._next)

    async def delivered(self, batch: Batch) -> None:
        """Forget `batch`: the receiver has it."""
        await self._db.write(lambda conn: _drop(conn, batch))

    async def split(self, batch: Batch) -> None:
        """Make two batches of one that the receiver refuses, to find the event that it refuses."""
        await self._db.write(lambda conn: self._halve(conn, batch))

    async def set_aside(self, batch: Batch, status: int, error: str, at: int) -> None:
        """Move the events of `batch` to `sensor_rejected`; `at` is the time in microseconds since 1970."""

        def work(conn: sa.Connection) -> None:
            for event_uuid, event in zip(batch.event_uuids, batch.events, strict=True):
                conn.execute(
                    sa.insert(rejected),
                    {
                        "stream": batch.kind,
                        "event_uuid": event_uuid,
                        "event": event,
                        "status": status,
                        "error": error,
                        "rejected": at,
                    },
                )
            _drop(conn, batch)

        await self._db.write(work)

    def _next(self, conn: sa.Connection) -> Batch | None:
        fixed = conn.execute(
            sa.select(sa.func.min(outbox.c.batch)).where(outbox.c.stream == self._kind, outbox.c.batch.is_not(None))
        ).scalar_one()
        if fixed is None:
            fixed = self._fix(conn)
        if fixed is None:
            return None
        rows = conn.execute(
            sa.select(outbox.c.event_uuid, outbox.c.event)
            .where(outbox.c.stream == self._kind, outbox.c.batch == fixed)
            .order_by(outbox.c.id)
        ).all()
        return Batch(fixed, self._kind, tuple(row.event_uuid for row in rows), tuple(row.event for row in rows))

    def _fix(self, conn: sa.Connection) -> int | None:
        waiting = conn.execute(
            sa.select(outbox.c.id, outbox.c.size)
            .where(outbox.c.stream == self._kind, outbox.c.batch.is_(None), outbox.c.held.is_(False))
            .order_by(outbox.c.id)
            .limit(self._limits["sensor.batch_events"])
        ).all()
        ids: list[int] = []
        total = 2  # the brackets
        for row in waiting:
            total += row.size + 1
            if ids and total > self._limits["sensor.batch_bytes"]:
                break
            ids.append(row.id)
        if not ids:
            return None
        _assign(conn, ids)
        return ids[0]

    def _halve(self, conn: sa.Connection, batch: Batch) -> None:
        ids = (
            conn.execute(
                sa.select(outbox.c.id)
                .where(outbox.c.stream == self._kind, outbox.c.batch == batch.id)
                .order_by(outbox.c.id)
            )
            .scalars()
            .all()
        )
        _assign(conn, ids[len(ids) // 2 :])


def _assign(conn: sa.Connection, ids: Sequence[int]) -> None:
    conn.execute(
        sa.update(outbox).where(outbox.c.id == sa.bindparam("row")).values(batch=ids[0]),
        [{"row": row} for row in ids],
    )


def _drop(conn: sa.Connection, batch: Batch) -> None:
    conn.execute(sa.delete(outbox).where(outbox.c.stream == batch.kind, outbox.c.batch == batch.id))
