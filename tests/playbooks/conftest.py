from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.playbooks.rig import Rig, Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def _first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder after its first start: keys made, group, workspace, vault and connection there."""
    folder = tmp_path_factory.mktemp("first-start")

    async def start() -> None:
        rig = Rig(folder)
        await rig.open()
        await rig.close()

    asyncio.run(start())
    return folder


@pytest.fixture
def folder(_first_start: Path, tmp_path: Path) -> Path:
    return shutil.copytree(_first_start, tmp_path / "state")


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    server = Web()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def rig(folder: Path) -> AsyncIterator[Rig]:
    made = Rig(folder)
    await made.open()
    yield made
    await made.close()
