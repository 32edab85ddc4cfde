"""The tenant's directory: app registrations with their secrets, and managed identities."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lurewire.core.principal import Principal
from lurewire.core.secretbox import hash_secret, new_secret, verify_secret
from lurewire.identity.errors import ExpiredSecret, InvalidSecret, UnknownApp
from lurewire.identity.models import AppRegistration, AppSecret, NewSecret
from lurewire.identity.tables import apps, managed_identities, secrets

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.resources import ResourceId

DEFAULT_SECRET_LIFETIME = timedelta(days=180)
"""What Entra's portal recommends.
Source: https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials?tabs=client-secret"""


class Directory:
    """Reads and writes the directory; every answer is what is stored, nothing is cached."""

    def __init__(self, db: Database, clock: Clock, tenant_id: str) -> None:
        self._db = db
        self._clock = clock
        self._tenant_id = tenant_id

    async def create_app(self, name: str, app_id: str | None = None) -> AppRegistration:
        """Register an application with its service principal; `app_id` is made where none is given."""
        row: dict[str, Any] = {
            "app_id": app_id or str(uuid.uuid4()),
            "object_id": str(uuid.uuid4()),
            "name": name,
            "created_at": self._clock.now().timestamp(),
        }
        await self._db.write(lambda conn: conn.execute(sa.insert(apps).values(row)))
        registration = self.app(row["app_id"])
        assert registration is not None
        return registration

    def apps(self) -> list[AppRegistration]:
        """All registrations, oldest first."""
        every = sa.select(apps).order_by(apps.c.created_at, apps.c.app_id)
        return self._db.read(lambda conn: [_registration(conn, row) for row in conn.execute(every).mappings()])

    def app(self, app_id: str) -> AppRegistration | None:
        """The registration with this application id."""
        one = sa.select(apps).where(apps.c.app_id == app_id.lower())

        def work(conn: sa.Connection) -> AppRegistration | None:
            row = conn.execute(one).mappings().one_or_none()
            return None if row is None else _registration(conn, row)

        return self._db.read(work)

    async def delete_app(self, app_id: str) -> bool:
        """Delete a registration with its secrets; False where there was none. Issued tokens live until they expire."""
        gone = sa.delete(apps).where(apps.c.app_id == app_id.lower())
        return await self._db.write(lambda conn: conn.execute(gone).rowcount) > 0

    async def add_secret(self, app_id: str, lifetime: timedelta = DEFAULT_SECRET_LIFETIME, name: str = "") -> NewSecret:
        """Make a secret; its value is in the answer and nowhere else. Raises `UnknownApp`."""
        if self.app(app_id) is None:
            raise UnknownApp(app_id=app_id, tenant=self._tenant_id)
        now, value = self._clock.now(), new_secret()
        row: dict[str, Any] = {
            "key_id": str(uuid.uuid4()),
            "app_id": app_id.lower(),
            "name": name,
            "hint": value[:3],
            "hash": hash_secret(value),
            "created_at": now.timestamp(),
            "expires_at": (now + lifetime).timestamp(),
        }
        await self._db.write(lambda conn: conn.execute(sa.insert(secrets).values(row)))
        return NewSecret(row["key_id"], now + lifetime, value)

    async def remove_secret(self, app_id: str, key_id: str) -> bool:
        """Remove a secret; False where the app has none with this id."""
        gone = sa.delete(secrets).where(secrets.c.app_id == app_id.lower(), secrets.c.key_id == key_id.lower())
        return await self._db.write(lambda conn: conn.execute(gone).rowcount) > 0

    def app_principal(self, app_id: str) -> Principal:
        """The service principal of an app; raises `UnknownApp`."""
        app = self.app(app_id)
        if app is None:
            raise UnknownApp(app_id=app_id, tenant=self._tenant_id)
        return Principal(app.object_id, app.app_id, self._tenant_id, "app", app.name)

    def authenticate_app(self, app_id: str, secret: str) -> Principal:
        """The service principal of an app that proves itself; raises `UnknownApp`, `InvalidSecret`, `ExpiredSecret`."""
        principal = self.app_principal(app_id)
        held = sa.select(secrets.c.hash, secrets.c.expires_at).where(secrets.c.app_id == principal.app_id)
        now = self._clock.now().timestamp()
        rows = self._db.read(lambda conn: conn.execute(held).all())
        matching = [row for row in rows if verify_secret(secret, row.hash)]
        if not matching:
            raise InvalidSecret(app_id=principal.app_id)
        if all(row.expires_at <= now for row in matching):
            raise ExpiredSecret(app_id=principal.app_id)
        return principal

    async def managed_identity_for(self, resource_id: ResourceId) -> Principal:
        """The system-assigned identity of a resource, made where there is none.

        Its ids follow from tenant, resource and how many identities the resource had before: a resource that is
        deleted and made again is another principal, which the roles of the first do not reach, as in Azure.
        """
        existing = self.managed_identity(resource_id)
        if existing is not None:
            return existing
        await self._db.write(lambda conn: self._create_managed_identity(conn, resource_id))
        made = self.managed_identity(resource_id)
        assert made is not None
        return made

    def managed_identity(self, resource_id: ResourceId) -> Principal | None:
        """The system-assigned identity of a resource, where it has one."""
        live = sa.select(managed_identities).where(
            managed_identities.c.resource_key == resource_id.key, managed_identities.c.deleted.is_(False)
        )
        row = self._db.read(lambda conn: conn.execute(live).mappings().one_or_none())
        return None if row is None else self._managed(row)

    async def delete_managed_identity(self, resource_id: ResourceId) -> bool:
        """Delete the system-assigned identity of a resource; False where it had none."""
        gone = (
            sa.update(managed_identities)
            .where(managed_identities.c.resource_key == resource_id.key, managed_identities.c.deleted.is_(False))
            .values(deleted=True)
        )
        return await self._db.write(lambda conn: conn.execute(gone).rowcount) > 0

    def principal(self, object_id: str) -> Principal | None:
        """The service principal with this object id: an app's or a managed identity."""
        key = object_id.lower()
        app = sa.select(apps).where(apps.c.object_id == key)
        managed = sa.select(managed_identities).where(
            managed_identities.c.object_id == key, managed_identities.c.deleted.is_(False)
        )

        def work(conn: sa.Connection) -> Principal | None:
            row = conn.execute(app).mappings().one_or_none()
            if row is not None:
                return Principal(row["object_id"], row["app_id"], self._tenant_id, "app", row["name"])
            row = conn.execute(managed).mappings().one_or_none()
            return None if row is None else self._managed(row)

        return self._db.read(work)

    def resource_of(self, principal: Principal) -> str | None:
        """The resource id that a managed identity belongs to."""
        query = sa.select(managed_identities.c.resource_id).where(managed_identities.c.object_id == principal.object_id)
        return self._db.read(lambda conn: conn.execute(query).scalar())

    def _managed(self, row: Any) -> Principal:
        name = row["resource_id"].rpartition("/")[2]
        return Principal(row["object_id"], row["app_id"], self._tenant_id, "managed_identity", name)

    def _create_managed_identity(self, conn: sa.Connection, resource_id: ResourceId) -> None:
        mine = managed_identities.c.resource_key == resource_id.key
        if conn.execute(
            sa.select(sa.literal(1)).where(mine, managed_identities.c.deleted.is_(False))
        ).first():  # two at once: the first one made it
            return
        generation = conn.execute(sa.select(sa.func.count()).select_from(managed_identities).where(mine)).scalar_one()
        namespace = uuid.UUID(self._tenant_id)
        conn.execute(
            sa.insert(managed_identities).values(
                object_id=str(uuid.uuid5(namespace, f"{resource_id.key}#{generation}#object")),
                app_id=str(uuid.uuid5(namespace, f"{resource_id.key}#{generation}#app")),
                resource_key=resource_id.key,
                resource_id=str(resource_id),
                generation=generation,
                deleted=False,
            )
        )


def _registration(conn: sa.Connection, row: Any) -> AppRegistration:
    held = sa.select(secrets).where(secrets.c.app_id == row["app_id"]).order_by(secrets.c.created_at)
    return AppRegistration(
        row["app_id"],
        row["object_id"],
        row["name"],
        _time(row["created_at"]),
        tuple(
            AppSecret(s["key_id"], s["name"], s["hint"], _time(s["created_at"]), _time(s["expires_at"]))
            for s in conn.execute(held).mappings()
        ),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
