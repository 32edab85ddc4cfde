"""So many templates are evaluated at a time, so many wait, and who comes then is told when to come again."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from lurewire.arm import LIMITS, ArmError
from lurewire.arm.deployments.turns import Turns
from lurewire.core.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from tests.arm.house import House, Server
    from tests.arm.templates import GROUP, GROUP_ID, body, template, widget
else:
    from arm.house import House, Server
    from arm.templates import GROUP, GROUP_ID, body, template, widget


class Work:
    """Pieces of work that end when they are told to."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self._lock = threading.Lock()
        self.begun, self.end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.begun.set()
        self.end.wait(20)
        with self._lock:
            self.running -= 1
        return "done"


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_turns_are_taken_waited_for_and_refused() -> None:
    turns, work = Turns(Limits(LIMITS, {"arm.plans": 2, "arm.plans_waiting": 1})), Work()
    waiting = [asyncio.create_task(turns.run(work)) for _ in range(3)]
    await settled()
    with pytest.raises(ArmError) as raised:
        await turns.run(work)
    assert (raised.value.status, raised.value.code) == (429, "SubscriptionRequestsThrottled")
    assert raised.value.headers == {"Retry-After": "10"}
    begun = asyncio.create_task(turns.run(work, begun=True))  # what runs already is not refused half-way
    waiting[0].cancel()  # its work keeps the turn until it ends
    await settled()
    assert work.running == 2
    work.end.set()
    assert await asyncio.gather(*waiting[1:], begun) == ["done"] * 3
    assert work.most == 2
    assert await turns.run(work) == "done"


async def test_a_burst_is_counted_before_any_of_it_runs() -> None:
    turns, work = Turns(Limits(LIMITS, {"arm.plans": 1, "arm.plans_waiting": 1})), Work()
    burst = asyncio.gather(*(turns.run(work) for _ in range(5)), return_exceptions=True)
    await settled()
    work.end.set()
    assert sorted(str(one)[:4] for one in await burst) == ["Too ", "Too ", "Too ", "done", "done"]


async def test_nobody_has_more_than_half_of_the_places() -> None:
    turns, work = Turns(Limits(LIMITS, {"arm.plans": 1, "arm.plans_waiting": 3})), Work()
    running = [asyncio.create_task(turns.run(work, "greedy")) for _ in range(2)]
    await settled()
    with pytest.raises(ArmError, match="half of the places are one caller's"):
        await turns.run(work, "greedy")
    running.append(asyncio.create_task(turns.run(work, "greedy", begun=True)))
    running.append(asyncio.create_task(turns.run(work, "modest")))
    await settled()
    with pytest.raises(ArmError, match="there may be 3"):
        await turns.run(work, "third")
    work.end.set()
    assert await asyncio.gather(*running) == ["done"] * 4
    assert await turns.run(work, "greedy") == "done"


async def test_work_that_fails_gives_its_turn_back() -> None:
    turns = Turns(Limits(LIMITS, {"arm.plans": 1}))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await turns.run(lambda: 1 // 0)


async def test_deployments_take_turns(tmp_path: Path) -> None:
    house = House(tmp_path, {"arm.plans": 1, "arm.plans_waiting": 0})
    await house.open()
    slow = body(
        template(widget("w", {"x": "[length(map(range(0, 5000), lambda('i', string(lambdaVariables('i')))))]"}))
    )
    first = asyncio.create_task(house.deployments.validate(GROUP_ID, "d1", slow))
    await settled()
    for call in (house.deployments.validate, house.deployments.deploy, house.deployments.what_if):
        with pytest.raises(ArmError, match="Please try again after '10' seconds"):
            await call(GROUP_ID, "d2", body(template()))
    await first
    await house.deployments.validate(GROUP_ID, "d2", body(template()))
    house.db.close()


def test_the_answer_over_http(tmp_path: Path) -> None:
    server = Server(House(tmp_path, {"arm.plans": 1, "arm.plans_waiting": 0}))
    server.start()
    try:
        owner = server.token("owner", ("Owner", "/"))
        path = f"{GROUP}/providers/Microsoft.Resources/deployments/d1/validate"
        work = Work()
        held = asyncio.run_coroutine_threadsafe(server.house.deployments.turns.run(work), server.loop)
        assert work.begun.wait(20)
        answer = server.call("POST", path, owner, json=body(template()))
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
        assert answer.json()["error"]["code"] == "SubscriptionRequestsThrottled"
        work.end.set()
        assert held.result(20) == "done"
        assert server.call("POST", path, owner, json=body(template())).status_code == 200
    finally:
        server.stop()
