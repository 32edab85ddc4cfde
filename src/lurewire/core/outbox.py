"""Messages between rooms: put in the transaction of their cause, delivered at least once.

A message is named by topic and key, and the same name is one message, also after its delivery, for as long as delivered
ones are kept (90 days): the receiver's effect is made once by an idempotency key of its own, so that a kill at any point
changes nothing. Dead messages, which failed 20 times, are kept until somebody revives them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from lurewire.core.database import after_commit, metadata
from lurewire.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database

MAX_ATTEMPTS = 20
_MAX_BACKOFF = 60.0
_DATABASE_PAUSE = 1.0
_STOP_GRACE = 5.0
KEEP_DELIVERED = timedelta(days=90)
_FORGET_SECONDS = 3600.0
_FORGET_AT_ONCE = 1_000  # in one write: others wait for it

messages = sa.Table(
    "core_outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("topic", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String, nullable=False),  # waiting, delivered, dead
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", sa.Float, nullable=False, default=0.0),
    sa.Column("put_at", sa.Float, nullable=False),
    sa.Column("error", sa.String),
    sa.UniqueConstraint("topic", "key"),
    sa.Index("core_outbox_waiting", "state", "topic", "id", "not_before"),
)

_log = get_logger("outbox")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `payload` is JSON, `attempts` counts earlier tries."""

    id: int
    topic: str
    key: str
    payload: Any
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that nobody tries any more: when it was put (Unix seconds), how often it was tried, and its last error."""

    topic: str
    key: str
    put_at: float
    attempts: int
    error: str


@dataclass(slots=True)
class _Subscription:
    handler: Callable[[Message], Awaitable[None]]
    concurrency: int
    in_flight: dict[int, asyncio.Task[None]] = field(default_factory=dict)


class Outbox:
    """The durable queue between rooms, in the control database; delivered messages are forgotten after `keep`."""

    def __init__(self, db: Database, clock: Clock, keep: timedelta = KEEP_DELIVERED) -> None:
        self._keep = keep
        self._db = db
        self._clock = clock
        self._subscriptions: dict[str, _Subscription] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dispatcher: asyncio.Task[None] | None = None
        self._forgetter: asyncio.Task[None] | None = None
        self._stopping = False

    def put(self, conn: sa.Connection, topic: str, key: str, payload: Any) -> None:
        """Add a message to the transaction of `conn`; the same topic and key again changes nothing."""
        conn.execute(
            sqlite_insert(messages)
            .values(
                topic=topic,
                key=key,
                payload=msgspec.json.encode(payload),
                state="waiting",
                attempts=0,
                not_before=0.0,
                put_at=self._clock.now().timestamp(),
            )
            .on_conflict_do_nothing(index_elements=["topic", "key"])
        )
        after_commit(conn, self._wake_from_any_thread)

    def subscribe(self, topic: str, handler: Callable[[Message], Awaitable[None]], *, concurrency: int = 8) -> None:
        """Deliver messages of `topic` to `handler`, at most `concurrency` at once; one handler a topic."""
        if topic in self._subscriptions:
            msg = f"topic {topic!r} has its handler already"
            raise ValueError(msg)
        self._subscriptions[topic] = _Subscription(handler, concurrency)

    async def start(self) -> None:
        """Start to deliver, first what an earlier process left."""
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._dispatcher = asyncio.create_task(self._dispatch(), name="outbox")
        self._forgetter = asyncio.create_task(self._forget_in_time(), name="outbox forgets")

    async def stop(self) -> None:
        """Stop; what is being handled is cancelled and delivered again by the next start.

        A handler that does not end within 5 s of its cancellation is reported in the log and left behind.
        """
        self._stopping = True
        tasks = [task for s in self._subscriptions.values() for task in s.in_flight.values()]
        tasks += [task for task in (self._dispatcher, self._forgetter) if task is not None]
        self._dispatcher = self._forgetter = None
        for task in tasks:
            task.cancel()
        if tasks and (late := (await asyncio.wait(tasks, timeout=_STOP_GRACE))[1]):
            _log.error("handlers did not stop", tasks=sorted(task.get_name() for task in late))

    def dead(self) -> list[DeadMessage]:
        """The messages that are not tried any more, oldest first."""
        rows = self._db.read(lambda c: c.execute(_dead).all())
        return [DeadMessage(row.topic, row.key, row.put_at, row.attempts, row.error or "") for row in rows]

    async def revive(self, topic: str | None = None) -> int:
        """Try the dead messages of a topic, or of all, again from the start; returns how many they are."""
        values = {"of_topic": topic}
        revived: int = await self._db.write(lambda c: c.execute(_revive, values).rowcount)
        self._wake.set()
        return revived

    async def forget(self) -> int:
        """Delete the delivered messages that were put longer ago than they are kept; returns how many they were."""
        before = (self._clock.now() - self._keep).timestamp()
        forgotten = 0
        while True:
            oldest = self._db.read(lambda c: c.execute(_oldest).all())
            ids = [row.id for row in oldest if row.put_at < before]
            if not ids:
                return forgotten
            await self._db.write(lambda c, ids=ids: c.execute(_forget, {"ids": ids}))  # type: ignore[misc]
            forgotten += len(ids)

    async def drained(self) -> None:
        """Return when nothing that has a handler waits or is in flight (dead messages do not count)."""
        while any(s.in_flight for s in self._subscriptions.values()) or self._waiting():
            self._idle.clear()
            await self._idle.wait()

    def _waiting(self) -> int:
        values = {"topics": list(self._subscriptions)}
        return self._db.read(lambda c: c.execute(_waiting_count, values).scalar_one())

    def _wake_from_any_thread(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _forget_in_time(self) -> None:
        while True:
            try:
                await self.forget()
            except sa.exc.DatabaseError as error:
                _log.error("delivered messages cannot be forgotten", exc_info=error)
            await self._clock.sleep(_FORGET_SECONDS)

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock.now().timestamp()
            try:
                for topic, subscription in list(self._subscriptions.items()):
                    self._start_due(topic, subscription, now)
                await self._wait_for_work(now)
            except sa.exc.DatabaseError as error:
                _log.error("the outbox cannot be read", exc_info=error)
                await self._clock.sleep(_DATABASE_PAUSE)

    def _start_due(self, topic: str, subscription: _Subscription, now: float) -> None:
        free = subscription.concurrency - len(subscription.in_flight)
        if free <= 0:
            return
        values = {"topic": topic, "now": now, "in_flight": list(subscription.in_flight), "free": free}
        for row in self._db.read(lambda c: c.execute(_due, values).all()):
            message = Message(row.id, row.topic, row.key, msgspec.json.decode(row.payload), row.attempts)
            subscription.in_flight[row.id] = asyncio.create_task(
                self._deliver(subscription, message), name=f"outbox {row.topic} {row.key}"
            )

    async def _wait_for_work(self, now: float) -> None:
        # A topic without a free slot needs no alarm: the next handler that ends wakes the dispatcher.
        topics = [t for t, s in self._subscriptions.items() if len(s.in_flight) < s.concurrency]
        next_due = self._db.read(lambda c: c.execute(_next_due, {"now": now, "topics": topics}).scalar())

        async def alarm() -> None:
            # The time left is read where it is slept: a clock that was moved in between is not missed.
            due = next_due or now + 3600.0
            await self._clock.sleep(due - self._clock.now().timestamp())

        sleeper = asyncio.create_task(alarm())
        waker = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    async def _deliver(self, subscription: _Subscription, message: Message) -> None:
        try:
            failure: BaseException | None = None
            try:
                await subscription.handler(message)
            except asyncio.CancelledError as error:
                if self._stopping:
                    raise
                failure = error  # something in the handler was cancelled, not the handler
            except Exception as error:  # noqa: BLE001 - whatever it is, the message is tried again
                failure = error
            try:
                if failure is None:
                    await self._db.write(lambda c: c.execute(_delivered, {"row": message.id}))
                else:
                    await self._failed(message, failure)
            except sa.exc.DatabaseError as error:
                _log.error("the outbox cannot be written", topic=message.topic, key=message.key, exc_info=error)
                await self._clock.sleep(_DATABASE_PAUSE)
        finally:
            subscription.in_flight.pop(message.id, None)
            self._wake.set()
            self._idle.set()

    async def _failed(self, message: Message, error: BaseException) -> None:
        attempts = message.attempts + 1
        dead = attempts >= MAX_ATTEMPTS
        log = _log.error if dead else _log.warning
        log(
            "message is dead" if dead else "message failed",
            topic=message.topic,
            key=message.key,
            attempts=attempts,
            error=repr(error),
            exc_info=error,
        )
        delay = timedelta(seconds=min(0.1 * 2**attempts, _MAX_BACKOFF))
        values = {
            "row": message.id,
            "new_state": "dead" if dead else "waiting",
            "new_attempts": attempts,
            "due": (self._clock.now() + delay).timestamp(),
            "text": repr(error)[:2000],
        }
        await self._db.write(lambda c: c.execute(_retry, values))


_of_topics = sa.and_(messages.c.state == "waiting", messages.c.topic.in_(sa.bindparam("topics", expanding=True)))
_waiting_count = sa.select(sa.func.count()).where(_of_topics)
_next_due = sa.select(sa.func.min(messages.c.not_before)).where(_of_topics, messages.c.not_before > sa.bindparam("now"))
_due = (
    sa.select(messages.c.id, messages.c.topic, messages.c.key, messages.c.payload, messages.c.attempts)
    .where(
        messages.c.state == "waiting",
        messages.c.topic == sa.bindparam("topic"),
        messages.c.not_before <= sa.bindparam("now"),
        messages.c.id.not_in(sa.bindparam("in_flight", expanding=True)),
    )
    .order_by(messages.c.id)
    .limit(sa.bindparam("free"))
)
_delivered = (
    sa.update(messages)
    .where(messages.c.id == sa.bindparam("row"))
    .values(state="delivered", payload=b"null", error=None)
)
_retry = (
    sa.update(messages)
    .where(messages.c.id == sa.bindparam("row"))
    .values(
        state=sa.bindparam("new_state"),
        attempts=sa.bindparam("new_attempts"),
        not_before=sa.bindparam("due"),
        error=sa.bindparam("text"),
    )
)
_dead = (
    sa.select(messages.c.topic, messages.c.key, messages.c.put_at, messages.c.attempts, messages.c.error)
    .where(messages.c.state == "dead")
    .order_by(messages.c.id)
)
_revive = (
    sa.update(messages)
    .where(
        messages.c.state == "dead",
        sa.or_(sa.bindparam("of_topic", type_=sa.String).is_(None), messages.c.topic == sa.bindparam("of_topic")),
    )
    .values(state="waiting", attempts=0, not_before=0.0, error=None)
)
# The plus keeps SQLite from its index over states: in the order of ids the oldest delivered ones are the first.
_oldest = (
    sa.select(messages.c.id, messages.c.put_at)
    .where(sa.literal_column("+state") == "delivered")
    .order_by(messages.c.id)
    .limit(_FORGET_AT_ONCE)
)
_forget = sa.delete(messages).where(messages.c.id.in_(sa.bindparam("ids", expanding=True)))
