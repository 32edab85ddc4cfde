"""kill -9 of either process in the middle of a burst: nothing that the decoy answered is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING

import asyncssh
import pytest

from lurewire.demo.attackers import Decoys, http_request, ssh_logins

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.demo.api import Api
    from lurewire.supervisor import Supervisor

ROUNDS = int(os.environ.get("LUREWIRE_CRASH_ROUNDS", "5"))
TOUCHES = 16
#: TypeError: asyncssh raises it where the other side is gone at the moment in which the connection is made.
GONE = (OSError, asyncssh.Error, asyncio.IncompleteReadError, TimeoutError, IndexError, ValueError, TypeError)


async def touch(decoys: Decoys, source: str, index: int) -> int:
    """How many of the source's actions the decoy answered; the connection may die at any point."""
    try:
        if index % 2:
            return await ssh_logins(decoys, source, [("root", f"guess-{index}")])
        return int(await http_request(decoys, source, "POST", "/login", {"username": "admin", "password": "x"}) > 0)
    except GONE:
        return 0


@pytest.mark.timeout(60 + 60 * ROUNDS)
async def test_every_answered_touch_becomes_one_enriched_incident(
    supervisor: Supervisor,
    api: Api,
    tor_addresses: list[str],
    eventually: Callable[..., Awaitable[None]],
) -> None:
    chance = random.Random(7)
    sources = iter(tor_addresses * (1 + ROUNDS * TOUCHES // len(tor_addresses)))
    answered: Counter[str] = Counter()
    for crash in range(ROUNDS):
        now = supervisor.running()
        assert now.ssh_port
        assert now.http_port
        assert now.sensor_pid
        decoys = Decoys("127.0.0.1", now.ssh_port, now.http_port)
        burst = [(next(sources), index) for index in range(TOUCHES)]
        attacks = [asyncio.create_task(touch(decoys, source, index)) for source, index in burst]
        await asyncio.sleep(chance.uniform(0.02, 0.6))
        victim = now.sensor_pid if crash % 2 else now.core_pid
        os.kill(victim, signal.SIGKILL)
        for (source, _), replies in zip(burst, await asyncio.gather(*attacks), strict=True):
            answered[source] += replies
        await restarted(supervisor, victim, eventually)
    touched = {source for source, replies in answered.items() if replies}
    assert len(touched) >= ROUNDS, "the bursts touched too little to prove anything"

    async def settled() -> bool:
        done = {
            incident["properties"]["title"].rsplit(" ", 1)[1]
            for incident in await api.incidents()
            if incident["properties"]["severity"] == "High"
            and incident["properties"]["additionalData"]["commentsCount"]
        }
        # Threats and interactions have a connection each, and pauses of its own after a failure.
        kept = await api.query("TrapEye_Interactions_CL | summarize rows = count() by source_ip")
        stored = {row["source_ip"]: row["rows"] for row in kept}
        return touched <= done and all(stored.get(source, 0) >= answered[source] for source in touched)

    await eventually(settled, 90)
    threats = Counter(row["source_ip"] for row in await api.query("TrapEye_Threats_CL | project source_ip"))
    assert {source: threats[source] for source in touched} == dict.fromkeys(touched, 1)
    assert max(threats.values()) == 1
    interactions = await api.query("TrapEye_Interactions_CL | summarize rows = count() by interaction_uuid, source_ip")
    assert {row["rows"] for row in interactions} == {1}
    incidents = await api.incidents()
    titles = Counter(incident["properties"]["title"].rsplit(" ", 1)[1] for incident in incidents)
    assert max(titles.values()) == 1
    for incident in incidents:
        assert len(await api.comments(incident["id"])) == 1, incident["properties"]["title"]
    enriched = await api.query("IPInsights_CL | summarize rows = count() by ip_s")
    assert {row["rows"] for row in enriched} == {1}


async def restarted(supervisor: Supervisor, victim: int, eventually: Callable[..., Awaitable[None]]) -> None:
    async def up() -> bool:
        now = supervisor.running()
        return victim not in (now.core_pid, now.sensor_pid) and supervisor.healthy()

    await eventually(up, 30)
