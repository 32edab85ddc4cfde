"""Deleted vaults: as they were, with their secrets, until their time is over, or until somebody purges or recovers them.

What Resource Manager had on and in them is gone: role assignments, locks, diagnostic settings. Sources:
https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview and
https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/list-deleted
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.core.resources import ResourceId
from lurewire.vault.errors import SoftDeletedVaultDoesNotExist, VaultIsDeleted
from lurewire.vault.retention import recovery_of
from lurewire.vault.tables import deleted_secrets, deleted_vaults, secrets, template_versions

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database

_NOWHERE = "local"
"""Where a vault is that was put without a location."""


@dataclass(frozen=True, slots=True)
class DeletedVault:
    """A vault as it was, when it was deleted and when it is purged (seconds since 1970, UTC)."""

    id: ResourceId
    body: dict[str, Any]
    deleted: int
    purges: int

    @property
    def location(self) -> str:
        """Where it is."""
        return str(self.body.get("location") or _NOWHERE)

    @property
    def purgeable(self) -> bool:
        """Whether it may be purged before its time is over."""
        return recovery_of(self.body["properties"]).purgeable

    def shown(self) -> dict[str, Any]:
        """The deleted vault as Resource Manager answers it."""
        return {
            "id": f"/subscriptions/{self.id.subscription}/providers/Microsoft.KeyVault/locations/{self.location}/"
            f"deletedVaults/{self.id.name}",
            "name": self.id.name,
            "type": "Microsoft.KeyVault/deletedVaults",
            "properties": {
                "vaultId": str(self.id),
                "location": self.location,
                "tags": self.body.get("tags") or {},
                "deletionDate": _iso(self.deleted),
                "scheduledPurgeDate": _iso(self.purges),
                "purgeProtectionEnabled": True if not self.purgeable else None,
            },
        }


class DeletedVaults:
    """What was deleted; what is past its time is not here for anybody, whether `purge_due` has come by or not."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def put(self, vault: ResourceId, body: dict[str, Any]) -> None:
        """Keep a vault that is being deleted; its secrets stay where they are."""
        now = self._now()
        row = {
            "name_key": vault.name.lower(),
            "body": msgspec.json.encode(body),
            "deleted": now,
            "purges": now + recovery_of(body["properties"]).seconds,
        }
        keep = insert(deleted_vaults).values(row)
        keep = keep.on_conflict_do_update(index_elements=["name_key"], set_=row)
        await self._db.write(lambda conn: conn.execute(keep))

    def get(self, name: str) -> DeletedVault | None:
        """The deleted vault of that name."""
        found = self._vaults(deleted_vaults.c.name_key == name.lower(), deleted_vaults.c.purges > self._now())
        return found[0] if found else None

    def all(self) -> list[DeletedVault]:
        """All deleted vaults, by name."""
        return self._vaults(deleted_vaults.c.purges > self._now())

    def take_out(self, conn: sa.Connection, vault: ResourceId) -> None:
        """Recover a vault in the transaction that stores it; raises `SoftDeletedVaultDoesNotExist`, as after a purge."""
        kept = self._there(conn, vault.name)
        if kept is None or kept.id != vault or kept.purges <= self._now():
            raise SoftDeletedVaultDoesNotExist(str(vault))
        conn.execute(sa.delete(deleted_vaults).where(deleted_vaults.c.name_key == vault.name.lower()))

    def check_free(self, conn: sa.Connection, name: str) -> None:
        """Raise `VaultIsDeleted` where a deleted vault has the name; one whose time is over is purged."""
        kept = self._there(conn, name)
        if kept is None:
            return
        if kept.purges > self._now():
            raise VaultIsDeleted
        _purge(conn, kept)

    async def drop(self, vault: ResourceId) -> None:
        """Know that a vault is there: its deletion did not come to its end."""
        mine = deleted_vaults.c.name_key == vault.name.lower()
        if self._vaults(mine):
            await self._db.write(lambda conn: conn.execute(sa.delete(deleted_vaults).where(mine)))

    async def purge(self, deleted: DeletedVault) -> bool:
        """Delete a vault for good, with its secrets; False where it was recovered or purged meanwhile."""
        return await self._db.write(lambda conn: _purge(conn, deleted))

    async def purge_due(self) -> None:
        """Delete for good what is past its time."""
        due = self._vaults(deleted_vaults.c.purges <= self._now())
        for one in due:
            await self.purge(one)

    def _vaults(self, *conditions: sa.ColumnElement[bool]) -> list[DeletedVault]:
        query = sa.select(deleted_vaults).where(*conditions).order_by(deleted_vaults.c.name_key)
        return [_deleted(row) for row in self._db.read(lambda conn: conn.execute(query).all())]

    @staticmethod
    def _there(conn: sa.Connection, name: str) -> DeletedVault | None:
        row = conn.execute(sa.select(deleted_vaults).where(deleted_vaults.c.name_key == name.lower())).one_or_none()
        return None if row is None else _deleted(row)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _purge(conn: sa.Connection, one: DeletedVault) -> bool:
    mine = sa.and_(deleted_vaults.c.name_key == one.id.name.lower(), deleted_vaults.c.deleted == one.deleted)
    if not conn.execute(sa.delete(deleted_vaults).where(mine)).rowcount:
        return False  # recovered, or purged, meanwhile
    for table in (secrets, deleted_secrets, template_versions):
        conn.execute(sa.delete(table).where(table.c.vault_key == one.id.key))
    return True


def _deleted(row: Any) -> DeletedVault:
    body = msgspec.json.decode(row.body)
    return DeletedVault(ResourceId.parse(body["id"]), body, row.deleted, row.purges)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
