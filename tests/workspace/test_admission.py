"""How many queries a user may send and have running."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import requests

from lurewire.core.limits import Limits
from lurewire.workspace import LIMITS
from lurewire.workspace.admission import Admission
from lurewire.workspace.errors import Throttled

if TYPE_CHECKING:
    from tests.ingestion.cloud import LOGS, WORKSPACE, Cloud

    from lurewire.core.clock import ManualClock
else:
    from ingestion.cloud import LOGS, WORKSPACE, Cloud


def admission(clock: ManualClock, **limits: int) -> Admission:
    return Admission(clock, Limits(LIMITS, {f"workspace.{name}": value for name, value in limits.items()}))


def test_queries_in_a_window(clock: ManualClock) -> None:
    gate = admission(clock)
    for _ in range(200):
        gate.count("u")
    clock.advance(10.5)
    with pytest.raises(Throttled, match="200 queries in 30 seconds") as caught:
        gate.count("u")
    assert caught.value.headers == {"Retry-After": "20"}
    gate.count("another")
    clock.advance(19.5)
    gate.count("u")


async def test_queries_at_once_wait_in_order(clock: ManualClock) -> None:
    gate = admission(clock, user_queries_at_once=2, query_queue=3)
    entered: list[int] = []
    leave = [asyncio.Event() for _ in range(6)]

    async def query(number: int, user: str = "u") -> None:
        async with gate.turn(user):
            entered.append(number)
            await leave[number].wait()

    tasks = [asyncio.ensure_future(query(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert entered == [0, 1]
    with pytest.raises(Throttled, match="3 queries of the user are waiting"):
        await query(5)
    async with gate.turn("another"):
        pass
    tasks[2].cancel()
    await asyncio.gather(tasks[2], return_exceptions=True)
    leave[0].set()
    await tasks[0]
    await asyncio.sleep(0)
    assert entered == [0, 1, 3], "the one that went away has no turn"
    for event in leave:
        event.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert entered == [0, 1, 3, 4]
    async with gate.turn("u"), gate.turn("u"):
        assert gate._users["u"].running == 2, "all places are free again"


async def test_a_turn_that_comes_as_its_query_goes_away_is_passed_on(clock: ManualClock) -> None:
    gate = admission(clock, user_queries_at_once=1)
    holder = gate.turn("u")
    await holder.__aenter__()

    async def query() -> None:
        async with gate.turn("u"):
            pass

    first, second = asyncio.ensure_future(query()), asyncio.ensure_future(query())
    await asyncio.sleep(0)
    await holder.__aexit__(None, None, None)
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert gate._users["u"].running == 0


async def test_nobody_waits_for_ever(clock: ManualClock) -> None:
    gate = admission(clock, user_queries_at_once=1, query_queue_seconds=0)
    async with gate.turn("u"):
        with pytest.raises(Throttled, match="waited for more than 0 seconds"):
            async with gate.turn("u"):
                pass
    async with gate.turn("u"):
        pass


def test_over_the_wire(tmp_path_factory: pytest.TempPathFactory) -> None:
    small = Cloud(tmp_path_factory.mktemp("small"), {"workspace.user_queries": 3})
    small.start()
    try:
        token = small.token("reader", ("Log Analytics Reader", WORKSPACE), resource=LOGS)
        url = f"{small.url()}/v1/workspaces/{small.workspace().customer_id}/query"
        headers = {"Authorization": f"Bearer {token}"}
        answers = [
            requests.post(url, json={"query": "print 1"}, headers=headers, verify=small.ca, timeout=30)
            for _ in range(4)
        ]
    finally:
        small.stop()
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["error"]["code"] == "ThrottledError"
    assert 0 < int(answers[3].headers["Retry-After"]) <= 30
