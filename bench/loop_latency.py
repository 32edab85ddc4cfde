"""From the first packet on a decoy to an enriched incident of severity High.

200 touches from new source addresses, half of them SSH password attempts, half HTTP logins; one at a time, then 20 at
once. TLS and syncs are on, the client runs on the same machine. A touch ends when the incidents API, polled, shows its
incident High and its comments API the comment. Two limits are raised, because 400 touches in a few minutes are more than
Sentinel would let through: 150 alerts a rule and run, 600 lookups an hour. The documented sum for the same rule in Azure is 5 to 10 minutes
(ingestion 20 s to 3 min, a rule every 5 min with a built-in delay of 5 min).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import finish, percentile
from lurewire.demo.api import Api
from lurewire.demo.attackers import PROXY, Decoys, http_request, ssh_logins
from lurewire.demo.run import lookup_data, target_for
from lurewire.ipintel import addresses
from lurewire.settings import Settings
from lurewire.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

TOUCHES = 200
AT_ONCE = 20
AZURE_SECONDS = (300.0, 600.0)
GOAL = {"one_p95_s": 1.0, "twenty_p95_s": 3.0}
POLL_SECONDS = 0.02
WAIT_SECONDS = 60.0


class Finish:
    """Polls the incidents for all touches under way: one poller, however many wait."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._done: dict[str, asyncio.Future[float]] = {}
        self._escalated: set[str] = set()

    async def wait(self, source: str) -> float:
        self._done[source] = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(self._done[source], WAIT_SECONDS)

    async def poll(self) -> None:
        while True:
            if any(not future.done() for future in self._done.values()):
                path = f"{self._api.sentinel}/incidents"
                newest = await self._api.get(path, **{"$top": "50", "$orderby": "properties/createdTimeUtc desc"})
                for incident in newest["value"]:
                    await self._look(incident)
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, incident: dict) -> None:  # type: ignore[type-arg]
        source = incident["properties"]["title"].rsplit(" ", 1)[1]
        future = self._done.get(source)
        if future is None or future.done() or incident["properties"]["severity"] != "High":
            return
        if await self._api.comments(incident["id"]):
            future.set_result(time.perf_counter())


async def touch(decoys: Decoys, finish_line: Finish, index: int, source: str) -> float:
    start = time.perf_counter()
    ended = asyncio.create_task(finish_line.wait(source))
    if index % 2:
        await ssh_logins(decoys, source, [("root", f"password{index}")])
    else:
        await http_request(decoys, source, "POST", "/login", {"username": "admin", "password": f"guess{index}"})
    return await ended - start


async def measure(decoys: Decoys, finish_line: Finish, sources: Sequence[str], at_once: int) -> list[float]:
    slots = asyncio.Semaphore(at_once)

    async def one(index: int, source: str) -> float:
        async with slots:
            return await touch(decoys, finish_line, index, source)

    return await asyncio.gather(*(one(index, source) for index, source in enumerate(sources)))


async def main() -> int:
    settings = Settings(
        {
            "server.port": 0,
            "sensor.ssh_port": 0,
            "sensor.http_port": 0,
            "sensor.proxy_from": [PROXY],
            "log.level": "warning",
            "limits": {"ipintel.lookups_per_hour": 1_000_000, "analytics.alerts_per_run": 1_000_000},
        }
    )
    data = lookup_data(settings)
    sources = addresses(data, "tor", count=2 * TOUCHES + 5)
    data.close()
    with tempfile.TemporaryDirectory(prefix="lurewire-bench-", ignore_cleanup_errors=True) as folder:
        supervisor = Supervisor(Path(folder), settings, logs=True)
        now = await supervisor.start()
        decoys = Decoys("127.0.0.1", now.ssh_port or 0, now.http_port or 0)
        try:
            async with Api(await target_for(now, "bench")) as api:
                finish_line = Finish(api)
                poller = asyncio.create_task(finish_line.poll())
                await measure(decoys, finish_line, sources[2 * TOUCHES :], 1)
                one = await measure(decoys, finish_line, sources[:TOUCHES], 1)
                twenty = await measure(decoys, finish_line, sources[TOUCHES : 2 * TOUCHES], AT_ONCE)
                poller.cancel()
        finally:
            await supervisor.stop()
    figures: dict[str, float] = {}
    print(f"{TOUCHES} touches each   p50      p95      p99      Azure's documented sum / p95")
    for name, label, values in (("one", "one at a time", one), ("twenty", f"{AT_ONCE} at once", twenty)):
        p50, p95, p99 = (percentile(values, p) for p in (50, 95, 99))
        figures |= {f"{name}_p50_s": p50, f"{name}_p95_s": p95, f"{name}_p99_s": p99}
        low, high = (seconds / p95 for seconds in AZURE_SECONDS)
        print(f"{label:<17} {p50:6.3f} s {p95:6.3f} s {p99:6.3f} s  {low:,.0f} to {high:,.0f} times")
    return finish("loop_latency", figures, GOAL)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
