from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
import structlog.testing

from lurewire.core.database import Database
from lurewire.core.outbox import MAX_ATTEMPTS, Message, Outbox, messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from lurewire.core.clock import ManualClock

CRASHING_RECEIVER = """
import asyncio, pathlib, sys
import sqlalchemy as sa
from lurewire.core.clock import SystemClock
from lurewire.core.database import Database, metadata
from lurewire.core.outbox import Outbox

effects = sa.Table("effects", metadata, sa.Column("key", sa.String, primary_key=True), sa.Column("tries", sa.Integer))
db = Database(pathlib.Path(sys.argv[1]))
db.open()
outbox = Outbox(db, SystemClock())

async def receive(message):
    # The effect and its idempotency key are one row; the message is marked delivered in a later transaction.
    await db.write(lambda c: c.exec_driver_sql("insert or ignore into effects values (?, 1)", (message.key,)))
    print(message.key, flush=True)

async def main():
    outbox.subscribe("t", receive, concurrency=4)
    await outbox.start()
    if len(sys.argv) > 2:
        await db.write(lambda c: [outbox.put(c, "t", f"m{n}", {"n": n}) for n in range(int(sys.argv[2]))])
    await outbox.drained()
    await outbox.stop()

asyncio.run(main())
db.close()
"""


@pytest.fixture
async def outbox(database: Database, clock: ManualClock) -> AsyncIterator[Outbox]:
    box = Outbox(database, clock)
    yield box
    await box.stop()


async def put(db: Database, outbox: Outbox, *keys: str, topic: str = "alerts", payload: Any = None) -> None:
    def work(conn: sa.Connection) -> None:
        for key in keys:
            outbox.put(conn, topic, key, payload)

    await db.write(work)


def states(db: Database) -> dict[str, str]:
    return db.read(lambda c: {r.key: r.state for r in c.execute(sa.select(messages.c.key, messages.c.state))})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


class Receiver:
    """Counts what it gets; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.got: list[Message] = []
        self.failures = failures

    async def __call__(self, message: Message) -> None:
        self.got.append(message)
        if self.failures:
            self.failures -= 1
            msg = f"try {len(self.got)}"
            raise ConnectionError(msg)


async def test_a_message_arrives_with_its_payload(database: Database, outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.subscribe("alerts", receiver)
    await outbox.start()
    await put(database, outbox, "k", payload={"ip": "192.0.2.1", "list": [1, 2.5, None, "ü\x00"]})
    await until(lambda: states(database) == {"k": "delivered"})
    (message,) = receiver.got
    assert (message.topic, message.key, message.attempts) == ("alerts", "k", 0)
    assert message.payload == {"ip": "192.0.2.1", "list": [1, 2.5, None, "ü\x00"]}


async def test_the_same_name_is_one_message_also_after_delivery(database: Database, outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.subscribe("alerts", receiver)
    await outbox.start()
    await put(database, outbox, "k", "k")
    await put(database, outbox, "k")
    await until(lambda: states(database) == {"k": "delivered"})
    await put(database, outbox, "k")
    await outbox.drained()
    assert len(receiver.got) == 1


async def test_a_message_of_a_failed_transaction_is_not_sent(database: Database, outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.subscribe("alerts", receiver)
    await outbox.start()

    def work(conn: sa.Connection) -> None:
        outbox.put(conn, "alerts", "never", None)
        msg = "no"
        raise LookupError(msg)

    with pytest.raises(LookupError):
        await database.write(work)
    await put(database, outbox, "real")
    await outbox.drained()
    assert [m.key for m in receiver.got] == ["real"]


async def test_a_failure_is_retried_with_growing_pauses(database: Database, outbox: Outbox, clock: ManualClock) -> None:
    receiver = Receiver(failures=4)
    outbox.subscribe("alerts", receiver)
    await outbox.start()
    await put(database, outbox, "k")
    for tries, pause in ((1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6)):
        await until_tried(database, tries)
        clock.advance(pause - 0.001)
        await asyncio.sleep(0.01)
        assert len(receiver.got) == tries, "not before its pause is over"
        clock.advance(0.001)
    await until(lambda: states(database) == {"k": "delivered"})
    assert [m.attempts for m in receiver.got] == [0, 1, 2, 3, 4]


async def until_tried(db: Database, times: int) -> None:
    """Wait until the one message's failures are recorded."""
    attempts = sa.select(messages.c.attempts)
    await until(lambda: db.read(lambda c: c.execute(attempts).scalar_one()) == times)


async def test_a_message_that_never_succeeds_is_dead_and_reported(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    receiver = Receiver(failures=10**6)
    outbox.subscribe("alerts", receiver)
    await outbox.start()
    with structlog.testing.capture_logs() as lines:
        await put(database, outbox, "k")
        for tries in range(1, MAX_ATTEMPTS + 1):
            await until_tried(database, tries)
            clock.advance(60)
        await outbox.drained()
    assert states(database) == {"k": "dead"}
    assert len(receiver.got) == MAX_ATTEMPTS == 20
    clock.advance(10**6)
    await asyncio.sleep(0.01)
    assert len(receiver.got) == MAX_ATTEMPTS
    dead = [line for line in lines if line["log_level"] == "error"]
    assert [(line["event"], line["topic"], line["key"], line["attempts"]) for line in dead] == [
        ("message is dead", "alerts", "k", 20)
    ]
    assert "try 20" in dead[0]["error"]


async def test_a_cancellation_inside_a_handler_is_a_failure_like_any_other(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    tries = 0

    async def handler(_message: Message) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncio.CancelledError

    outbox.subscribe("alerts", handler)
    await outbox.start()
    await put(database, outbox, "k")
    await until_tried(database, 1)
    await asyncio.sleep(0.01)
    assert tries == 1, "no hot loop"
    clock.advance(1)
    await until(lambda: states(database) == {"k": "delivered"})


async def test_no_more_than_the_stated_number_at_once_and_in_order(database: Database, outbox: Outbox) -> None:
    gate, running, most, order = asyncio.Semaphore(0), 0, 0, list[str]()

    async def handler(message: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(message.key)
        await gate.acquire()
        running -= 1

    outbox.subscribe("alerts", handler, concurrency=3)
    await outbox.start()
    await put(database, outbox, *(f"{n:03}" for n in range(100)))
    await until(lambda: running == 3)
    for _ in range(100):
        gate.release()
    await outbox.drained()
    assert most == 3
    assert order == sorted(order)


async def test_a_stuck_topic_with_many_messages_does_not_hold_up_another(database: Database, outbox: Outbox) -> None:
    async def stuck(_message: Message) -> None:
        await asyncio.Event().wait()

    receiver = Receiver()
    outbox.subscribe("stuck", stuck)
    outbox.subscribe("alerts", receiver)
    await outbox.start()
    await put(database, outbox, *(f"s{n}" for n in range(1000)), topic="stuck")
    await put(database, outbox, *(f"a{n}" for n in range(20)))
    await until(lambda: len(receiver.got) == 20)


async def test_a_topic_has_one_handler(outbox: Outbox) -> None:
    outbox.subscribe("alerts", Receiver())
    with pytest.raises(ValueError, match="'alerts' has its handler already"):
        outbox.subscribe("alerts", Receiver())


async def test_what_was_in_flight_at_stop_is_delivered_by_the_next_start(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    entered = asyncio.Event()

    async def hang(_message: Message) -> None:
        entered.set()
        await asyncio.Event().wait()

    outbox.subscribe("alerts", hang)
    await outbox.start()
    await put(database, outbox, "k", payload=1)
    await entered.wait()
    async with asyncio.timeout(2):
        await outbox.stop()
    assert states(database) == {"k": "waiting"}
    second, receiver = Outbox(database, clock), Receiver()
    second.subscribe("alerts", receiver)
    await second.start()
    await second.drained()
    await second.stop()
    assert [(m.key, m.payload, m.attempts) for m in receiver.got] == [("k", 1, 0)]


async def test_a_handler_that_ignores_its_cancellation_cannot_hold_up_stop(
    database: Database, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lurewire.core.outbox._STOP_GRACE", 0.05)
    entered, release = asyncio.Event(), asyncio.Event()

    async def stubborn(_message: Message) -> None:
        entered.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    outbox.subscribe("alerts", stubborn)
    await outbox.start()
    await put(database, outbox, "k")
    await entered.wait()
    with structlog.testing.capture_logs() as lines:
        async with asyncio.timeout(5):
            await outbox.stop()
    assert [(line["event"], line["tasks"]) for line in lines] == [("handlers did not stop", ["outbox alerts k"])]
    release.set()
    await until(lambda: states(database) == {"k": "delivered"})


async def test_a_message_without_a_handler_waits_for_one(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    await outbox.start()
    await put(database, outbox, "k", topic="later")
    await outbox.drained()
    assert states(database) == {"k": "waiting"}
    await outbox.stop()
    receiver, second = Receiver(), Outbox(database, clock)
    second.subscribe("later", receiver)
    await second.start()
    await second.drained()
    await second.stop()
    assert [m.key for m in receiver.got] == ["k"]


async def test_delivery_survives_a_database_that_refuses_for_a_while(
    database: Database, outbox: Outbox, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    receiver = Receiver()
    outbox.subscribe("alerts", receiver)
    await put(database, outbox, "k")
    await database.write(
        lambda c: c.exec_driver_sql(
            "create trigger refuse before update on core_outbox begin select raise(abort, 'refused'); end"
        )
    )
    await outbox.start()
    await until(lambda: len(receiver.got) == 1)
    await asyncio.sleep(0.05)
    assert len(receiver.got) == 1, "no hot loop while the outcome cannot be written"
    await database.write(lambda c: c.exec_driver_sql("drop trigger refuse"))
    clock.advance(1)
    await until(lambda: states(database) == {"k": "delivered"})


async def test_five_thousand_messages_are_delivered_once_each(database: Database, outbox: Outbox) -> None:
    receiver = Receiver()
    outbox.subscribe("alerts", receiver)
    await outbox.start()
    await put(database, outbox, *(str(n) for n in range(5000)))
    await outbox.drained()
    assert len(receiver.got) == len({m.key for m in receiver.got}) == 5000


def test_kill_9_between_effect_and_delivery_mark_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path, count, printed = tmp_path / "control.db", 400, list[str]()

    def run(*arguments: str, kill_after: int | None) -> None:
        command = [sys.executable, "-c", CRASHING_RECEIVER, str(path), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout, 1):
                printed.append(line.strip())
                if number == kill_after:
                    process.send_signal(signal.SIGKILL)

    run(str(count), kill_after=50)
    for _ in range(2):
        run(kill_after=50)
    run(kill_after=None)
    assert set(printed) == {f"m{n}" for n in range(count)}
    db = Database(path)
    db.open()
    assert db.read(lambda c: c.exec_driver_sql("select count(*) from effects").scalar_one()) == count
    assert set(states(db).values()) == {"delivered"}
    db.close()


async def test_handlers_may_put_messages_themselves(database: Database, outbox: Outbox) -> None:
    receiver = Receiver()

    async def forward(message: Message) -> None:
        await put(database, outbox, f"{message.key}'", topic="second")

    handlers: dict[str, Callable[[Message], Awaitable[None]]] = {"first": forward, "second": receiver}
    for topic, handler in handlers.items():
        outbox.subscribe(topic, handler)
    await outbox.start()
    await put(database, outbox, "a", "b", topic="first")
    await outbox.drained()
    assert sorted(m.key for m in receiver.got) == ["a'", "b'"]


async def test_delivered_messages_are_kept_for_their_time_and_dead_ones_for_ever(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    receiver: list[str] = []

    async def receive(message: Message) -> None:
        receiver.append(message.key)
        if message.key == "bad":
            raise ValueError(message.key)

    outbox.subscribe("alerts", receive)
    await outbox.start()
    await put(database, outbox, "good", "bad")
    async with asyncio.timeout(20):
        while states(database) != {"good": "delivered", "bad": "dead"}:
            clock.advance(120)
            await asyncio.sleep(0.005)
    clock.advance(80 * 86_400)
    assert await outbox.forget() == 0
    await put(database, outbox, "good", "young")
    await until(lambda: states(database)["young"] == "delivered")
    assert receiver.count("good") == 1, "as long as it is kept, the same name is the same message"
    clock.advance(20 * 86_400)
    await until(lambda: states(database) == {"bad": "dead", "young": "delivered"})
    await put(database, outbox, "good")
    await until(lambda: receiver.count("good") == 2)


async def test_dead_messages_are_revived(database: Database, outbox: Outbox, clock: ManualClock) -> None:
    broken, seen = True, 0

    async def receive(_: Message) -> None:
        nonlocal seen
        seen += 1
        if broken:
            raise ValueError("broken")

    outbox.subscribe("alerts", receive)
    outbox.subscribe("runs", receive)
    await outbox.start()
    await put(database, outbox, "a")
    await put(database, outbox, "b", topic="runs")
    async with asyncio.timeout(20):
        while len(outbox.dead()) < 2:
            clock.advance(120)
            await asyncio.sleep(0.005)
    assert [(dead.topic, dead.key, dead.attempts, dead.error) for dead in outbox.dead()] == [
        ("alerts", "a", MAX_ATTEMPTS, "ValueError('broken')"),
        ("runs", "b", MAX_ATTEMPTS, "ValueError('broken')"),
    ]
    broken, seen = False, 0
    assert await outbox.revive("nothing") == 0
    assert await outbox.revive("runs") == 1
    await outbox.drained()
    assert states(database) == {"a": "dead", "b": "delivered"}
    assert await outbox.revive() == 1
    await outbox.drained()
    assert states(database) == {"a": "delivered", "b": "delivered"}
    assert seen == 2
