"""What an install is: its tenant, its subscription, what it has set up already. Kept in the control database."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.core.database import metadata

if TYPE_CHECKING:
    from lurewire.core.database import Database

_facts = sa.Table(
    "app_facts",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)


class Facts:
    """Text by name."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, name: str) -> str | None:
        """The value, or None."""
        query = sa.select(_facts.c.value).where(_facts.c.name == name)
        return self._db.read(lambda conn: conn.execute(query).scalar())

    async def put(self, name: str, value: str) -> None:
        """Set a value."""
        statement = insert(_facts).values(name=name, value=value)
        statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
        await self._db.write(lambda conn: conn.execute(statement))

    async def guid(self, name: str) -> str:
        """The GUID of that name, made at first use."""
        found = self.get(name)
        if found is None:
            found = str(uuid.uuid4())
            await self.put(name, found)
        return found
