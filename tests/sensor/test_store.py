from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.limits import Limits
from lurewire.sensor.events import Endpoint, Origin
from lurewire.sensor.limits import LIMITS
from lurewire.sensor.reverse_dns import ReverseLookups, resolve
from lurewire.sensor.store import Login, Recorded, Store, Touch
from lurewire.sensor.tables import interactions, metadata, outbox, threats

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = Origin("Lurewire", "Lurewire", "0e28f730-18c1-429a-821e-5282cf641dd4")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "sensor.db", metadata)
    database.open()
    yield database
    database.close()


def touch(source: str = "203.0.113.7", *, login: Login | None = None, kind: str = "login_attempt") -> Touch:
    return Touch(Endpoint(source, 4000, "10.0.0.10", 22), "session", "ssh", "ssh", kind, {"username": b"root"}, login)


def stored(db: Database, table: sa.Table) -> list[Any]:
    return list(db.read(lambda conn: conn.execute(sa.select(table).order_by(table.c.id)).all()))


async def test_interactions_of_one_source_are_one_threat(db: Database) -> None:
    rung: list[str] = []
    store = Store(db, ManualClock(START), ORIGIN, Limits(LIMITS), stored=rung.append)
    first, second = await store.record(touch()), await store.record(touch())
    other = await store.record(touch("203.0.113.8"))
    assert first.threat_uuid == second.threat_uuid != other.threat_uuid
    assert [row.interactions for row in stored(db, threats)] == [2, 1]
    waiting = stored(db, outbox)
    assert [row.stream for row in waiting] == [
        "new_threat",
        "new_interaction",
        "new_interaction",
        "new_threat",
        "new_interaction",
    ]
    assert rung == [row.stream for row in waiting]
    threat = json.loads(waiting[0].event)
    assert threat["threat_uuid"] == first.threat_uuid
    assert threat["first_interaction"] == threat["last_interaction"] == "2026-03-01T12:00:00.000000000Z"
    interaction = json.loads(waiting[1].event)
    assert interaction["interaction_uuid"] == first.interaction_uuid == waiting[1].event_uuid
    assert waiting[1].event == stored(db, interactions)[0].event


async def test_a_touch_after_the_idle_time_is_a_new_threat(db: Database) -> None:
    clock = ManualClock(START)
    store = Store(db, clock, ORIGIN, Limits(LIMITS, {"sensor.threat_idle_seconds": 3600}))
    first = await store.record(touch(login=Login(weak=False, after_failures=1)))
    clock.advance(3600)
    second = await store.record(touch(login=Login(weak=False, after_failures=1)))
    clock.advance(3600.001)
    third = await store.record(touch(login=Login(weak=False, after_failures=1)))
    assert first.threat_uuid == second.threat_uuid != third.threat_uuid
    assert [first.accepted, second.accepted, third.accepted] == [False, True, False]


async def test_logins_are_counted_a_source(db: Database) -> None:
    store = Store(db, ManualClock(START), ORIGIN, Limits(LIMITS))
    login = Login(weak=False, after_failures=2)
    outcomes = [(await store.record(touch(login=login))).accepted for _ in range(4)]
    assert outcomes == [False, False, True, True]
    assert not (await store.record(touch("203.0.113.9", login=login))).accepted
    assert (await store.record(touch("203.0.113.10", login=Login(weak=True, after_failures=0)))).accepted
    recorded = [json.loads(row.event)["additional_data"]["accepted"] for row in stored(db, interactions)]
    assert recorded == [False, False, True, True, False, True]


async def test_without_a_connector_there_is_no_outbox(db: Database) -> None:
    await Store(db, ManualClock(START), ORIGIN, Limits(LIMITS)).record(touch())
    assert stored(db, outbox) == []
    assert len(stored(db, interactions)) == 1


async def test_many_at_once_are_one_threat_and_lose_nothing(db: Database) -> None:
    store = Store(db, ManualClock(START), ORIGIN, Limits(LIMITS), stored=lambda _kind: None)
    results: list[Recorded] = await asyncio.gather(*(store.record(touch()) for _ in range(300)))
    assert len({result.threat_uuid for result in results}) == 1
    assert len({result.interaction_uuid for result in results}) == 300
    assert stored(db, threats)[0].interactions == 300
    assert len(stored(db, outbox)) == 301


async def test_an_undeclared_interaction_type_is_our_own_mistake(db: Database) -> None:
    store = Store(db, ManualClock(START), ORIGIN, Limits(LIMITS))
    with pytest.raises(KeyError):
        await store.record(touch(kind="surprise"))
    assert stored(db, threats) == []


async def test_what_is_old_is_dropped(db: Database) -> None:
    clock = ManualClock(START)
    store = Store(db, clock, ORIGIN, Limits(LIMITS, {"sensor.retention_days": 7}))
    await store.record(touch())
    clock.advance(8 * 86400)
    await store.record(touch("203.0.113.8"))
    pruning = asyncio.create_task(store.prune_forever())
    async with asyncio.timeout(5):
        while len(stored(db, interactions)) > 1 or len(stored(db, threats)) > 1:
            await asyncio.sleep(0)
    pruning.cancel()
    assert stored(db, threats)[0].source_ip == "203.0.113.8"


async def test_a_held_threat_is_released_with_its_name(db: Database) -> None:
    released = asyncio.Event()
    lookups = ReverseLookups(db, Limits(LIMITS), released.set, {"203.0.113.7": "evil.example.net"}.__getitem__)
    store = Store(db, ManualClock(START), ORIGIN, Limits(LIMITS), stored=lambda _kind: None, opened=lookups.request)
    await store.record(touch())
    await asyncio.wait_for(released.wait(), 5)
    threat = stored(db, outbox)[0]
    assert not threat.held
    assert json.loads(threat.event)["reverse_lookup"] == "evil.example.net"
    await lookups.stop()


def late(_address: str) -> str:
    time.sleep(0.05)
    return "late.example"


async def test_a_lookup_that_takes_too_long_is_done_without(db: Database) -> None:
    released = asyncio.Event()
    lookups = ReverseLookups(db, Limits(LIMITS, {"sensor.reverse_dns_seconds": 0}), released.set, late)
    store = Store(db, ManualClock(START), ORIGIN, Limits(LIMITS), stored=lambda _kind: None, opened=lookups.request)
    await store.record(touch())
    await asyncio.wait_for(released.wait(), 5)
    assert json.loads(stored(db, outbox)[0].event)["reverse_lookup"] == ""
    await lookups.stop()


async def test_what_a_crash_left_held_is_looked_up_at_the_next_start(db: Database) -> None:
    store = Store(db, ManualClock(START), ORIGIN, Limits(LIMITS), stored=lambda _kind: None, opened=lambda *_args: None)
    await store.record(touch())
    assert stored(db, outbox)[0].held
    released = asyncio.Event()
    lookups = ReverseLookups(db, Limits(LIMITS), released.set, lambda _address: "name.example")
    lookups.start()
    await asyncio.wait_for(released.wait(), 5)
    assert json.loads(stored(db, outbox)[0].event)["reverse_lookup"] == "name.example"
    await lookups.stop()


def test_only_host_names_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"1": "host-1.example.net", "2": "<script>", "3": "a\x1b[31m.example", "4": "x" * 300}
    monkeypatch.setattr("socket.gethostbyaddr", lambda address: (names[address], [], []))
    assert [resolve(address) for address in names] == ["host-1.example.net", "", "", ""]
