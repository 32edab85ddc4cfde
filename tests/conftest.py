from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from lurewire.demo.api import Api
from lurewire.demo.attackers import PROXY
from lurewire.demo.run import lookup_data, target_for
from lurewire.ipintel import addresses
from lurewire.settings import Settings
from lurewire.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from lurewire.supervisor import Running

# A slow moment of the machine fails no test: as hypothesis has it in CI, of whose profile all the rest is kept.
hypothesis_settings.register_profile(
    "timeless", hypothesis_settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("timeless")

FREE_PORTS = {
    "server.port": 0,
    "sensor.ssh_port": 0,
    "sensor.http_port": 0,
    "sensor.proxy_from": [PROXY],
    "limits": {
        "ipintel.lookups_per_hour": 1_000_000,
        "analytics.alerts_per_run": 1_000_000,
        "workspace.user_queries": 1_000_000,
    },
}


@pytest.fixture
def settings() -> Settings:
    return Settings(FREE_PORTS)


@pytest.fixture
async def supervisor(tmp_path: Path, settings: Settings) -> AsyncIterator[Supervisor]:
    started = Supervisor(tmp_path / "state", settings, logs=True)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def now(supervisor: Supervisor) -> Running:
    return supervisor.running()


@pytest.fixture
async def api(now: Running) -> AsyncIterator[Api]:
    async with Api(await target_for(now, "e2e")) as client:
        yield client


@pytest.fixture
def tor_addresses(settings: Settings) -> list[str]:
    data = lookup_data(settings)
    try:
        return addresses(data, "tor", count=400)
    finally:
        data.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    async def wait(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.05)

    return wait
