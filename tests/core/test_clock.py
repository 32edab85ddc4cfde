from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.core.clock import ManualClock, SystemClock

if TYPE_CHECKING:
    from lurewire.core.clock import Clock

START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


async def test_system_clock_is_utc_and_moves() -> None:
    clock: Clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    before = clock.monotonic()
    await clock.sleep(-1)
    await clock.sleep(0.001)
    assert clock.monotonic() > before


def test_manual_clock_wants_an_aware_start_and_gives_utc() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    clock = ManualClock(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


def test_time_does_not_go_back() -> None:
    clock = ManualClock(START)
    with pytest.raises(ValueError, match="go back"):
        clock.advance(-0.001)


async def test_sleepers_wake_in_order_when_their_time_has_come() -> None:
    clock, woken = ManualClock(START), list[str]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name, seconds in (("late", 10), ("early", 5), ("twin of early", 5), ("at once", 0)):
            tasks.create_task(sleeper(name, seconds))
        await asyncio.sleep(0.01)
        assert woken == ["at once"]
        clock.advance(4.999999)
        await asyncio.sleep(0.01)
        assert woken == ["at once"]
        clock.advance(0.000001)
        await asyncio.sleep(0.01)
        assert woken == ["at once", "early", "twin of early"]
        clock.advance(3600)
    assert woken[-1] == "late"
    assert clock.now() == START + timedelta(seconds=3605)
    assert clock.monotonic() == 3605


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock(START)
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    clock.advance(2)
    assert clock.now() == START + timedelta(seconds=2)


@given(st.integers(min_value=1, max_value=10**12), st.integers(min_value=0, max_value=10**9))
async def test_a_sleep_until_a_time_stamp_ends_at_that_time(wait: int, offset: int) -> None:
    """Time stamps are floats: their difference is off by parts of a microsecond, the wake-up must not be."""
    clock = ManualClock(START + timedelta(microseconds=offset))
    due = clock.now() + timedelta(microseconds=wait)
    task = asyncio.create_task(clock.sleep(due.timestamp() - clock.now().timestamp()))
    await asyncio.sleep(0)
    clock.advance((due - clock.now()).total_seconds())
    async with asyncio.timeout(5):
        await task
    assert clock.now() == due
