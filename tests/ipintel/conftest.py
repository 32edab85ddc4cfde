from __future__ import annotations

import asyncio
import socket
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import uvicorn

from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.http import build_app
from lurewire.ipintel import DataFolder, IpIntel, Lookup, fetch, routes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lurewire.core.http import Audience
    from lurewire.core.principal import Principal


@pytest.fixture(scope="session")
def folder() -> DataFolder:
    """The user's data folder, fetched for real where nothing is there; without a network that is a failure."""
    fetch()
    return DataFolder.default()


@pytest.fixture(scope="session")
def lookup(folder: DataFolder) -> Iterator[Lookup]:
    found = Lookup(folder)
    yield found
    found.close()


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    """A lookup without any fetched data."""
    return Lookup(DataFolder(tmp_path_factory.mktemp("no-data")))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 2, 20, 12, tzinfo=UTC))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "control.db")
    database.open()
    yield database
    database.close()


@pytest.fixture
def service(db: Database, clock: ManualClock, folder: DataFolder) -> Iterator[IpIntel]:
    room = IpIntel(db, clock, folder)
    yield room
    room.close()


class NoTokens:
    """Stands in for identity: the room's only route is public, so that nothing may ask it."""

    def authenticate(self, authorization: str | None, audience: Audience) -> Principal:
        raise AssertionError

    def allows(self, principal: Principal, action: str, scope: str, *, data: bool) -> bool:
        raise AssertionError


@pytest.fixture
def url(service: IpIntel) -> Iterator[str]:
    """The lookup's URL on a real server on loopback."""
    app = build_app([routes(service)], NoTokens())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: server.run([listener]))
        thread.start()
        # The socket listens already: a request that comes early waits in its queue.
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1/lookup"
        server.should_exit = True
        thread.join()


@pytest.fixture
def key(service: IpIntel) -> str:
    return asyncio.run(service.create_key("test"))
