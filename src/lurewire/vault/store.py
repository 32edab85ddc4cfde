"""The secrets at rest: every version encrypted, found by vault and name."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.vault.errors import SecretDisabled, SecretNotFound
from lurewire.vault.models import NewVersion, SecretVersion
from lurewire.vault.tables import secrets

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.resources import ResourceId
    from lurewire.core.secretbox import SecretBox


class SecretStore:
    """Reads and writes secrets; who may is asked before."""

    def __init__(self, db: Database, clock: Clock, secret_box: SecretBox) -> None:
        self._db = db
        self._clock = clock
        self._box = secret_box

    async def add(self, vault: ResourceId, name: str, new: NewVersion, version: str | None = None) -> SecretVersion:
        """Make a version the current one; one that exists already by this id is left as it is."""
        made = SecretVersion(
            name,
            version or uuid.uuid4().hex,
            new.content_type,
            new.tags,
            new.enabled,
            new.not_before,
            new.expires,
            int(self._clock.now().timestamp()),
            new.value,
        )
        row = {
            "vault_key": vault.key,
            "name_key": name.lower(),
            "name": name,
            "version": made.version,
            "sealed": self._box.encrypt(made.value.encode("utf-8")),
            "content_type": made.content_type,
            "tags": msgspec.json.encode(made.tags),
            "enabled": made.enabled,
            "not_before": made.not_before,
            "expires": made.expires,
            "created": made.created,
        }
        await self._db.write(lambda conn: conn.execute(insert(secrets).values(row).on_conflict_do_nothing()))
        return made

    def get(self, vault: ResourceId, name: str, version: str = "") -> SecretVersion:
        """A version, the current one where none is named; raises `SecretNotFound`, `SecretDisabled`.

        A secret before its `nbf` or past its `exp` can be read: these are notes for its users. Source:
        https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations
        """
        query = sa.select(secrets).where(secrets.c.vault_key == vault.key, secrets.c.name_key == name.lower())
        if version:
            query = query.where(secrets.c.version == version.lower())
        query = query.order_by(secrets.c.seq.desc()).limit(1)
        row = self._db.read(lambda conn: conn.execute(query).mappings().one_or_none())
        if row is None:
            raise SecretNotFound(f"{name}/{version}" if version else name)
        found = self._version(row)
        if not found.enabled:
            raise SecretDisabled("Operation get is not allowed on a disabled secret.")
        return found

    async def delete_vault(self, vault: ResourceId) -> None:
        """Delete all secrets of a vault."""
        await self._delete(secrets.c.vault_key == vault.key)

    async def delete_secret(self, vault: ResourceId, name: str) -> None:
        """Delete all versions of a secret."""
        await self._delete(sa.and_(secrets.c.vault_key == vault.key, secrets.c.name_key == name.lower()))

    async def _delete(self, which: sa.ColumnElement[bool]) -> None:
        await self._db.write(lambda conn: conn.execute(sa.delete(secrets).where(which)))

    def _version(self, row: Any) -> SecretVersion:
        return SecretVersion(
            row["name"],
            row["version"],
            row["content_type"],
            msgspec.json.decode(row["tags"]),
            row["enabled"],
            row["not_before"],
            row["expires"],
            row["created"],
            self._box.decrypt(row["sealed"]).decode("utf-8"),
        )
