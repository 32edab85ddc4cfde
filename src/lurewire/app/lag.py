"""How long the event loop was held: what every client waits for beside its own work."""

from __future__ import annotations

import asyncio
from time import perf_counter

_TICK_SECONDS = 0.005
MOST_SECONDS = 600.0


async def measure_lag(seconds: float) -> list[float]:
    """Sleep in ticks of 5 ms for so long; how late each one ended, in seconds, in order of time.

    Raises `ValueError` for no time or more than 10 minutes.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(f"the event loop is watched for up to {MOST_SECONDS:g} seconds, not for {seconds:g}")
    late = []
    until = perf_counter() + seconds
    while (before := perf_counter()) < until:
        await asyncio.sleep(_TICK_SECONDS)
        late.append(perf_counter() - before - _TICK_SECONDS)
    return late
