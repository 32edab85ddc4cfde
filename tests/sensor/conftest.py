from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.clock import Clock, SystemClock
from lurewire.sensor import SensorConfig, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

ENTITY = "0e28f730-18c1-429a-821e-5282cf641dd4"


@dataclass(slots=True)
class Sensor:
    """A sensor that runs in the test's process, with its file open beside it."""

    folder: Path
    ports: Mapping[str, int]

    @property
    def ssh(self) -> int:
        return self.ports["ssh"]

    @property
    def http(self) -> int:
        return self.ports["http"]

    async def http_bytes(self, *chunks: bytes, end: bool = False, source: str = "127.0.0.1") -> bytes:
        """Send `chunks` to the HTTP decoy, each in a segment of its own; all that comes back."""
        return await exchange(self.http, *chunks, end=end, source=source)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return rows(self.folder, query)

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return events(self.folder, *kinds)

    async def recorded(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The interactions of `kind`, once there are `count` (what follows no reply is recorded beside it)."""
        async with asyncio.timeout(5):
            while len(found := self.events(kind)) < count:
                await asyncio.sleep(0.005)
        return found


async def exchange(port: int, *chunks: bytes, end: bool = False, source: str = "127.0.0.1") -> bytes:
    """Send `chunks`, each in a segment of its own, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(f"file:{folder / 'sensor.db'}?mode=ro", uri=True)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def events(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """The interaction events on disk, in order; all of them, or those of `kinds`."""
    found = [json.loads(row[0]) for row in rows(folder, "select event from sensor_interactions order by id")]
    return [event for event in found if not kinds or event["interaction_type"] in kinds]


@asynccontextmanager
async def running(folder: Path, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Sensor]:
    stop = asyncio.Event()
    listening: asyncio.Future[Mapping[str, int]] = asyncio.get_running_loop().create_future()
    config = SensorConfig(folder=str(folder), entity_uuid=ENTITY, **settings)
    task = asyncio.create_task(run(config, clock or SystemClock(), stop, listening.set_result))
    await asyncio.wait((task, asyncio.ensure_future(listening)), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield Sensor(folder, await listening)
    finally:
        stop.set()
        await task


@pytest.fixture
def start_sensor(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Sensor]]:
    """`async with start_sensor(**settings) as sensor`, in a fresh folder."""
    return lambda **settings: running(tmp_path / "sensor", **settings)


@pytest.fixture
async def sensor(tmp_path: Path) -> AsyncIterator[Sensor]:
    async with running(tmp_path / "sensor") as started:
        yield started
