"""Deleted secrets: with all their versions until their time is over, or until somebody purges or recovers them.

Source: https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.vault.errors import DeletedSecretNotFound, SecretNotFound
from lurewire.vault.models import DeletedSecret, SecretVersion
from lurewire.vault.store import IN_BIN, OF_DELETED, VERSIONS, newest, of_secret, version_of
from lurewire.vault.tables import deleted_secrets, secrets

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.resources import ResourceId
    from lurewire.vault.models import Page

_DELETED = VERSIONS.add_columns(deleted_secrets.c.deleted, deleted_secrets.c.purges).join(deleted_secrets, OF_DELETED)


class SecretBin:
    """What was deleted from vaults that are there. Who may is asked before.

    What is past its time is not here for anybody, whether `purge_due` has come by or not.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def put(self, vault: ResourceId, name: str, keep_seconds: int) -> DeletedSecret:
        """Delete a secret; raises `SecretNotFound`."""
        now = self._now()
        live = VERSIONS.where(of_secret(vault, name), ~IN_BIN).order_by(secrets.c.seq.desc()).limit(1)
        row = {"vault_key": vault.key, "name_key": name.lower(), "deleted": now, "purges": now + keep_seconds}

        def work(conn: sa.Connection) -> SecretVersion:
            current = conn.execute(live).mappings().one_or_none()
            if current is None:
                raise SecretNotFound(name)
            conn.execute(insert(deleted_secrets).values(row))
            return version_of(current)

        return DeletedSecret(await self._db.write(work), now, now + keep_seconds)

    def get(self, vault: ResourceId, name: str) -> DeletedSecret:
        """A deleted secret; raises `DeletedSecretNotFound`."""
        query = _DELETED.where(of_secret(vault, name), deleted_secrets.c.purges > self._now())
        query = query.order_by(secrets.c.seq.desc()).limit(1)
        row = self._db.read(lambda conn: conn.execute(query).mappings().one_or_none())
        if row is None:
            raise DeletedSecretNotFound(name)
        return _deleted(row)

    def holds(self, vault: ResourceId, name: str) -> bool:
        """Whether a secret of that name is here."""
        try:
            self.get(vault, name)
        except DeletedSecretNotFound:
            return False
        return True

    def list(self, vault: ResourceId, page: Page) -> list[DeletedSecret]:
        """The deleted secrets behind the name `page.after`, by name."""
        behind = (secrets.c.vault_key == vault.key, secrets.c.name_key > page.after)
        here = sa.exists().where(OF_DELETED, deleted_secrets.c.purges > self._now())
        query = _DELETED.where(secrets.c.seq.in_(newest(*behind, here, count=page.count)))
        query = query.order_by(secrets.c.name_key)
        return [_deleted(row) for row in self._db.read(lambda conn: conn.execute(query).mappings().all())]

    async def recover(self, vault: ResourceId, name: str) -> None:
        """Undo the deletion; raises `DeletedSecretNotFound`."""
        await self._db.write(lambda conn: self._take_out(conn, vault, name))

    async def purge(self, vault: ResourceId, name: str) -> None:
        """Delete for good; raises `DeletedSecretNotFound`."""

        def work(conn: sa.Connection) -> None:
            self._take_out(conn, vault, name)
            conn.execute(sa.delete(secrets).where(of_secret(vault, name)))

        await self._db.write(work)

    async def purge_due(self) -> None:
        """Delete for good what is past its time."""
        due = deleted_secrets.c.purges <= self._now()
        anything = sa.select(deleted_secrets.c.name_key).where(due).limit(1)
        if self._db.read(lambda conn: conn.execute(anything).first()) is None:
            return

        def work(conn: sa.Connection) -> None:
            conn.execute(sa.delete(secrets).where(sa.exists().where(OF_DELETED, due)))
            conn.execute(sa.delete(deleted_secrets).where(due))

        await self._db.write(work)

    def _take_out(self, conn: sa.Connection, vault: ResourceId, name: str) -> None:
        gone = sa.delete(deleted_secrets).where(
            deleted_secrets.c.vault_key == vault.key,
            deleted_secrets.c.name_key == name.lower(),
            deleted_secrets.c.purges > self._now(),
        )
        if not conn.execute(gone).rowcount:
            raise DeletedSecretNotFound(name)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _deleted(row: Any) -> DeletedSecret:
    return DeletedSecret(version_of(row), row["deleted"], row["purges"])
