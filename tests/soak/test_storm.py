"""A storm of touches: nothing answered is lost, nothing comes twice, memory stays bounded, both processes live on."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from lurewire.demo.attackers import Decoys, http_request, ssh_logins

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.demo.api import Api
    from lurewire.supervisor import Running, Supervisor

REQUESTS = int(os.environ.get("LUREWIRE_STORM_REQUESTS", "5000"))
LOGINS = REQUESTS // 10
AT_ONCE = 40
SENSOR_MEMORY = 400 * 2**20
CORE_MEMORY = 1_500 * 2**20
FAILED = (OSError, asyncssh.Error, asyncio.IncompleteReadError, IndexError, ValueError)


def resident(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads a process's memory from /proc")
async def test_a_storm(
    supervisor: Supervisor,
    now: Running,
    api: Api,
    tor_addresses: list[str],
    eventually: Callable[..., Awaitable[None]],
) -> None:
    decoys = Decoys("127.0.0.1", now.ssh_port or 0, now.http_port or 0)
    answered: Counter[str] = Counter()
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(index: int) -> None:
        source = tor_addresses[index % len(tor_addresses)]
        async with slots:
            try:
                if index % 11 == 10 and index // 11 < LOGINS:
                    answered[source] += await ssh_logins(decoys, source, [("root", f"guess{index}")])
                else:
                    answered[source] += await http_request(decoys, source, "GET", f"/page/{index}") > 0
            except FAILED:
                return

    await asyncio.gather(*(one(index) for index in range(REQUESTS + LOGINS)))
    assert answered.total() >= (REQUESTS + LOGINS) * 0.99, "the decoys refused more than their caps explain"

    async def settled() -> bool:
        (row,) = await api.query("TrapEye_Interactions_CL | count")
        incidents = [i for i in await api.incidents() if i["properties"]["severity"] == "High"]
        return int(row["Count"]) >= answered.total() and len(incidents) >= len(answered)

    await eventually(settled, 600)
    rows = await api.query("TrapEye_Interactions_CL | summarize rows = count() by interaction_uuid, source_ip")
    assert {row["rows"] for row in rows} == {1}
    stored = Counter(row["source_ip"] for row in rows)
    assert all(stored[source] >= replies for source, replies in answered.items())
    threats = await api.query("TrapEye_Threats_CL | summarize rows = count() by source_ip")
    assert {row["rows"] for row in threats} == {1}
    again = supervisor.running()
    assert (again.core_pid, again.sensor_pid) == (now.core_pid, now.sensor_pid)
    assert resident(again.core_pid) < CORE_MEMORY
    assert resident(again.sensor_pid or 0) < SENSOR_MEMORY
