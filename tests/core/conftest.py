from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.outbox import messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 8, 30, tzinfo=UTC))


@pytest.fixture
def tables() -> sa.MetaData:
    """Two tables of this test's own, and the outbox's."""
    metadata = sa.MetaData()
    sa.Table(
        "notes",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("text", sa.String, nullable=False, unique=True),
    )
    messages.to_metadata(metadata)
    return metadata


@pytest.fixture
def notes(tables: sa.MetaData) -> sa.Table:
    return tables.tables["notes"]


@pytest.fixture
def database(tmp_path: Path, tables: sa.MetaData) -> Iterator[Database]:
    db = Database(tmp_path / "control.db", tables)
    db.open()
    yield db
    db.close()
