"""The secrets at rest: every version encrypted, found by vault and name. A secret in the bin is not there (`bin`)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.vault.errors import SecretDisabled, SecretExists, SecretIsDeleted, SecretNotFound
from lurewire.vault.models import NewVersion, SecretVersion
from lurewire.vault.tables import deleted_secrets, secret_updates, secrets, template_versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.resources import ResourceId
    from lurewire.core.secretbox import SecretBox
    from lurewire.vault.models import Page

VERSIONS = sa.select(
    *(column for column in secrets.c if column.name != "sealed"),
    sa.func.coalesce(secret_updates.c.updated, secrets.c.created).label("updated"),
).select_from(secrets.outerjoin(secret_updates, secret_updates.c.seq == secrets.c.seq))
"""Every version without its value."""

OF_DELETED = sa.and_(
    deleted_secrets.c.vault_key == secrets.c.vault_key, deleted_secrets.c.name_key == secrets.c.name_key
)
"""Whether a version is of the secret that a row of `deleted_secrets` names."""

IN_BIN = sa.exists().where(OF_DELETED)
"""Whether a version is of a secret that was deleted."""


def of_secret(vault: ResourceId, name: str) -> sa.ColumnElement[bool]:
    """Whether a version is one of the secret."""
    return sa.and_(secrets.c.vault_key == vault.key, secrets.c.name_key == name.lower())


def newest(*which: sa.ColumnElement[bool], count: int) -> sa.Select[Any]:
    """The numbers of the current versions of the first `count` secrets, by name, of those `which`."""
    each = sa.select(sa.func.max(secrets.c.seq)).where(*which).group_by(secrets.c.name_key)
    return each.order_by(secrets.c.name_key).limit(count).correlate(None)


def version_of(row: Any, value: str = "") -> SecretVersion:
    """The version that a row of `VERSIONS` is."""
    return SecretVersion(
        row["name"],
        row["version"],
        row["content_type"],
        msgspec.json.decode(row["tags"]),
        row["enabled"],
        row["not_before"],
        row["expires"],
        row["created"],
        row["updated"],
        row["seq"],
        value,
    )


class SecretStore:
    """Reads and writes secrets; who may is asked before."""

    def __init__(self, db: Database, clock: Clock, secret_box: SecretBox) -> None:
        self._db = db
        self._clock = clock
        self._box = secret_box

    async def add(self, vault: ResourceId, name: str, new: NewVersion) -> SecretVersion:
        """Make a version the current one; raises `SecretIsDeleted`."""
        version = uuid.uuid4().hex
        await self._db.write(lambda conn: self._insert(conn, vault, name, new, version))
        return self.find(vault, name, version)

    async def add_once(self, vault: ResourceId, name: str, new: NewVersion, version: str) -> None:
        """Make the version that a template has named, unless it was made before: it may be deleted or purged since."""
        mark = insert(template_versions).values(vault_key=vault.key, version=version).on_conflict_do_nothing()

        def work(conn: sa.Connection) -> None:
            if conn.execute(mark).rowcount:
                self._insert(conn, vault, name, new, version)

        await self._db.write(work)

    def get(self, vault: ResourceId, name: str, version: str = "") -> SecretVersion:
        """A version with its value, the current one where none is named; raises `SecretNotFound`, `SecretDisabled`.

        A secret before its `nbf` or past its `exp` can be read: these are notes for its users. Source:
        https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations
        """
        found = self.find(vault, name, version)
        if not found.enabled:
            raise SecretDisabled("Operation get is not allowed on a disabled secret.")
        return found

    def find(self, vault: ResourceId, name: str, version: str = "") -> SecretVersion:
        """`get`, of a disabled one too; raises `SecretNotFound`."""
        query = VERSIONS.add_columns(secrets.c.sealed).where(of_secret(vault, name), ~IN_BIN)
        if version:
            query = query.where(secrets.c.version == version.lower())
        query = query.order_by(secrets.c.seq.desc()).limit(1)
        row = self._db.read(lambda conn: conn.execute(query).mappings().one_or_none())
        if row is None:
            raise SecretNotFound(f"{name}/{version}" if version else name)
        return version_of(row, self._open(row["sealed"]))

    def current(self, vault: ResourceId, page: Page) -> list[SecretVersion]:
        """The current versions of the vault's secrets behind the name `page.after`, by name; without values."""
        behind = (secrets.c.vault_key == vault.key, secrets.c.name_key > page.after)
        query = VERSIONS.where(secrets.c.seq.in_(newest(*behind, ~IN_BIN, count=page.count)))
        query = query.order_by(secrets.c.name_key)
        return self._versions(query)

    def versions(self, vault: ResourceId, name: str, page: Page) -> list[SecretVersion]:
        """The versions of a secret behind number `page.after`, oldest first; without values. Raises `SecretNotFound`."""
        query = VERSIONS.where(of_secret(vault, name), ~IN_BIN, secrets.c.seq > int(page.after or 0))
        found = self._versions(query.order_by(secrets.c.seq).limit(page.count))
        if not found and not page.after:
            raise SecretNotFound(name)
        return found

    def whole(self, vault: ResourceId, name: str, most: int) -> list[SecretVersion]:
        """Up to `most` versions of a secret with their values, oldest first; raises `SecretNotFound`."""
        query = VERSIONS.add_columns(secrets.c.sealed).where(of_secret(vault, name), ~IN_BIN)
        query = query.order_by(secrets.c.seq).limit(most)
        rows = self._db.read(lambda conn: conn.execute(query).mappings().all())
        if not rows:
            raise SecretNotFound(name)
        return [version_of(row, self._open(row["sealed"])) for row in rows]

    async def update(self, vault: ResourceId, name: str, version: str, changes: dict[str, Any]) -> SecretVersion:
        """Change fields of `NewVersion` in a version, the current one where none is named; raises `SecretNotFound`."""
        values = {name: msgspec.json.encode(value) if name == "tags" else value for name, value in changes.items()}
        now = int(self._clock.now().timestamp())
        found = self.find(vault, name, version)
        stamp = insert(secret_updates).values(seq=found.seq, updated=now)
        stamp = stamp.on_conflict_do_update(index_elements=["seq"], set_={"updated": now})

        def work(conn: sa.Connection) -> None:
            live = sa.select(secrets.c.seq).where(secrets.c.seq == found.seq, ~IN_BIN)
            if conn.execute(live).first() is None:
                raise SecretNotFound(name)  # deleted meanwhile
            if values:
                conn.execute(sa.update(secrets).where(secrets.c.seq == found.seq).values(values))
            conn.execute(stamp)

        await self._db.write(work)
        return self.find(vault, name, found.version)

    async def restore(self, vault: ResourceId, versions: Sequence[SecretVersion]) -> None:
        """Store the versions of a secret as they were; raises `SecretIsDeleted` and `SecretExists`."""
        name = versions[0].name
        rows = [self._row(vault, one) for one in versions]
        there = sa.select(secrets.c.seq).where(of_secret(vault, name)).limit(1)

        def work(conn: sa.Connection) -> None:
            self.check_free(conn, vault, name)
            if conn.execute(there).first() is not None:
                raise SecretExists(name)
            for row, one in zip(rows, versions, strict=True):
                made = conn.execute(insert(secrets).values(row).returning(secrets.c.seq)).scalar_one()
                conn.execute(insert(secret_updates).values(seq=made, updated=one.updated))

        await self._db.write(work)

    def check_free(self, conn: sa.Connection, vault: ResourceId, name: str) -> None:
        """Raise `SecretIsDeleted` where a secret of that name is in the bin; one whose time is over is purged."""
        mark = sa.and_(deleted_secrets.c.vault_key == vault.key, deleted_secrets.c.name_key == name.lower())
        purges = conn.execute(sa.select(deleted_secrets.c.purges).where(mark)).scalar_one_or_none()
        if purges is None:
            return
        if purges > int(self._clock.now().timestamp()):
            raise SecretIsDeleted(name)
        conn.execute(sa.delete(secrets).where(of_secret(vault, name)))
        conn.execute(sa.delete(deleted_secrets).where(mark))

    def _insert(self, conn: sa.Connection, vault: ResourceId, name: str, new: NewVersion, version: str) -> None:
        self.check_free(conn, vault, name)
        now = int(self._clock.now().timestamp())
        made = SecretVersion(
            name, version, new.content_type, new.tags, new.enabled, new.not_before, new.expires, now, now, 0, new.value
        )
        conn.execute(insert(secrets).values(self._row(vault, made)).on_conflict_do_nothing())

    def _row(self, vault: ResourceId, one: SecretVersion) -> dict[str, Any]:
        return {
            "vault_key": vault.key,
            "name_key": one.name.lower(),
            "name": one.name,
            "version": one.version,
            "sealed": self._box.encrypt(one.value.encode("utf-8")),
            "content_type": one.content_type,
            "tags": msgspec.json.encode(one.tags),
            "enabled": one.enabled,
            "not_before": one.not_before,
            "expires": one.expires,
            "created": one.created,
        }

    def _open(self, sealed: bytes) -> str:
        return self._box.decrypt(sealed).decode("utf-8")

    def _versions(self, query: sa.Select[Any]) -> list[SecretVersion]:
        return [version_of(row) for row in self._db.read(lambda conn: conn.execute(query).mappings().all())]
