"""API keys: 256 random bits, shown once, stored as their SHA-256.

A guess at a random key of that length is hopeless at any speed, so that the hash needs neither salt nor slowness, and
a key is found by its hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lurewire.core.secretbox import new_secret
from lurewire.ipintel.errors import InvalidKey, KeyExistsError, MissingKey
from lurewire.ipintel.tables import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What is kept of a key; times are ISO 8601 UTC, `revoked_at` None while the key is in force."""

    id: int
    name: str
    created_at: str
    revoked_at: str | None


class Keys:
    """The keys of the lookup API, in the control database."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def create(self, name: str) -> str:
        """Make a key and give its text, which nothing can show again.

        Raises `KeyExistsError` where a key of that name is in force.
        """
        text = new_secret()
        row = {"name": name, "sha256": _digest(text), "created_at": self._now()}

        def write(conn: sa.Connection) -> None:
            try:
                conn.execute(keys.insert().values(row))
            except sa.exc.IntegrityError:
                raise KeyExistsError(f"an API key named '{name}' is in force already; revoke it first") from None

        await self._db.write(write)
        return text

    async def revoke(self, name: str) -> bool:
        """Take the key of that name out of force, at once; False where there is none."""
        statement = keys.update().where(keys.c.name == name, keys.c.revoked_at.is_(None)).values(revoked_at=self._now())
        return await self._db.write(lambda conn: conn.execute(statement).rowcount) > 0

    def all(self) -> list[KeyInfo]:
        """Every key ever made, oldest first."""
        statement = sa.select(keys.c.id, keys.c.name, keys.c.created_at, keys.c.revoked_at).order_by(keys.c.id)
        return [KeyInfo(*row) for row in self._db.read(lambda conn: conn.execute(statement).all())]

    def check(self, presented: Sequence[str]) -> int:
        """The id of the key in the request's `X-API-Key` headers; raises `MissingKey` or `InvalidKey`."""
        if not any(presented):
            raise MissingKey("The X-API-Key header is missing.")
        if len(presented) > 1:
            raise InvalidKey("The request has more than one X-API-Key header.")
        statement = sa.select(keys.c.id).where(keys.c.sha256 == _digest(presented[0]), keys.c.revoked_at.is_(None))
        found: int | None = self._db.read(lambda conn: conn.execute(statement).scalar())
        if found is None:
            raise InvalidKey("The API key is unknown or revoked.")
        return found

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="seconds")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
