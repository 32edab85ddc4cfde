from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lurewire.core.clock import ManualClock
from lurewire.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.ingestion.cloud import Cloud
else:
    from ingestion.cloud import Cloud

CUSTOMER = "0f0e0d0c-1111-4222-8333-444455556666"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
async def workspace(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Workspace]:
    made = Workspace(tmp_path / "ws", clock, customer_id=CUSTOMER)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("state"))
    made.start()
    yield made
    made.stop()
