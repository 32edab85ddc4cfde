"""The tenant's directory: app registrations with their secrets, and managed identities."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lurewire.core.principal import Principal
from lurewire.core.secretbox import hash_secret, new_secret, verify_secret
from lurewire.identity.errors import ExpiredSecret, InvalidSecret, MissingPrincipal, UnknownApp
from lurewire.identity.models import AppRegistration, AppSecret, NewSecret
from lurewire.identity.tables import app_roles, applications, apps, managed_identities, principal_secrets, secrets

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

    async def complete(self) -> None:
        """Give every app the rows that it lacks because it is older than their table."""
        known = sa.select(applications.c.app_id)
        older = sa.select(apps.c.app_id).where(apps.c.app_id.not_in(known))

        def work(conn: sa.Connection) -> None:
            for app_id in conn.execute(older).scalars().all():
                row = {"app_id": app_id, "id": str(uuid.uuid4()), "has_principal": True}
                conn.execute(sa.insert(applications).values(row))

        await self._db.write(work)

    async def create_app(self, name: str, app_id: str | None = None, *, with_principal: bool = True) -> AppRegistration:
        """Register an application, with its service principal or without; `app_id` is made where none is given."""
        row: dict[str, Any] = {
            "app_id": app_id or str(uuid.uuid4()),
            "object_id": str(uuid.uuid4()),
            "name": name,
            "created_at": self._clock.now().timestamp(),
        }
        more = {"app_id": row["app_id"], "id": str(uuid.uuid4()), "has_principal": with_principal}

        def work(conn: sa.Connection) -> None:
            conn.execute(sa.insert(apps).values(row))
            conn.execute(sa.insert(applications).values(more))

        await self._db.write(work)
        return self._registered(row["app_id"])

    def apps(self) -> list[AppRegistration]:
        """All registrations, oldest first, without their secrets."""
        every = _JOINED.order_by(apps.c.created_at, apps.c.app_id)
        return self._db.read(lambda conn: [_registration(row, ()) for row in conn.execute(every).mappings()])

    def app(self, app_id: str) -> AppRegistration | None:
        """The registration with this application id."""
        return self._one(apps.c.app_id == app_id.lower())

    def app_object(self, object_id: str) -> AppRegistration | None:
        """The registration whose application object has this id."""
        return self._one(applications.c.id == object_id.lower())

    def _one(self, which: sa.ColumnElement[bool]) -> AppRegistration | None:
        def work(conn: sa.Connection) -> AppRegistration | None:
            row = conn.execute(_JOINED.where(which)).mappings().one_or_none()
            return None if row is None else _registration(row, _secrets(conn, row["app_id"]))

        return self._db.read(work)

    def _registered(self, app_id: str) -> AppRegistration:
        registration = self.app(app_id)
        if registration is None:
            raise UnknownApp(app_id=app_id, tenant=self._tenant_id)
        return registration

    async def rename_app(self, app_id: str, name: str) -> None:
        """Give an app and its principal another display name."""
        change = sa.update(apps).where(apps.c.app_id == app_id.lower()).values(name=name)
        await self._db.write(lambda conn: conn.execute(change))

    async def delete_app(self, app_id: str) -> bool:
        """Delete a registration with its secrets; False where there was none. Issued tokens live until they expire."""
        gone = sa.delete(apps).where(apps.c.app_id == app_id.lower())

        def work(conn: sa.Connection) -> bool:
            conn.execute(_permissions_gone(app_id))
            return conn.execute(gone).rowcount > 0

        return await self._db.write(work)

    async def create_principal(self, app_id: str) -> AppRegistration:
        """Make the service principal of an app that has none: another one than it had before. Raises `UnknownApp`."""
        app = self._registered(app_id)
        if not app.has_principal:
            fresh = sa.update(apps).where(apps.c.app_id == app.app_id).values(object_id=str(uuid.uuid4()))

            def work(conn: sa.Connection) -> None:
                if conn.execute(_set_principal(app.app_id, present=True)).rowcount:
                    conn.execute(fresh)

            await self._db.write(work)
        return self._registered(app_id)

    async def delete_principal(self, app_id: str) -> bool:
        """Delete the service principal of an app, with the secrets that are its own; False where there was none."""
        own = sa.select(principal_secrets.c.key_id)
        gone = sa.delete(secrets).where(secrets.c.app_id == app_id.lower(), secrets.c.key_id.in_(own))

        def work(conn: sa.Connection) -> bool:
            conn.execute(gone)
            conn.execute(_permissions_gone(app_id))
            return conn.execute(_set_principal(app_id, present=False)).rowcount > 0

        return await self._db.write(work)

    async def add_secret(
        self,
        app_id: str,
        lifetime: timedelta = DEFAULT_SECRET_LIFETIME,
        name: str = "",
        *,
        expires_at: datetime | None = None,
        of_principal: bool = False,
    ) -> NewSecret:
        """Make a secret; its value is in the answer and nowhere else. Raises `UnknownApp`."""
        self._registered(app_id)
        now, value = self._clock.now(), new_secret()
        made = NewSecret(str(uuid.uuid4()), name, now, expires_at or now + lifetime, value)
        row: dict[str, Any] = {
            "key_id": made.key_id,
            "app_id": app_id.lower(),
            "name": name,
            "hint": value[:3],
            "hash": hash_secret(value),
            "created_at": now.timestamp(),
            "expires_at": made.expires_at.timestamp(),
        }

        def work(conn: sa.Connection) -> None:
            conn.execute(sa.insert(secrets).values(row))
            if of_principal:
                conn.execute(sa.insert(principal_secrets).values(key_id=made.key_id))

        await self._db.write(work)
        return made

    async def remove_secret(self, app_id: str, key_id: str) -> bool:
        """Remove a secret; False where the app has none with this id."""
        gone = sa.delete(secrets).where(secrets.c.app_id == app_id.lower(), secrets.c.key_id == key_id.lower())
        return await self._db.write(lambda conn: conn.execute(gone).rowcount) > 0

    def app_principal(self, app_id: str) -> Principal:
        """The service principal of an app; raises `UnknownApp` and `MissingPrincipal`."""
        app = self._registered(app_id)
        if not app.has_principal:
            raise MissingPrincipal(app_id=app.app_id, tenant=self._tenant_id)
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
        app = _JOINED.where(apps.c.object_id == key, applications.c.has_principal)
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

    def managed_identities(self) -> list[Principal]:
        """All managed identities, by the name of their resource."""
        every = sa.select(managed_identities).where(managed_identities.c.deleted.is_(False))
        every = every.order_by(managed_identities.c.resource_key)
        return self._db.read(lambda conn: [self._managed(row) for row in conn.execute(every).mappings()])

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


_JOINED = sa.select(apps, applications.c.id, applications.c.has_principal).join_from(apps, applications)


def _permissions_gone(app_id: str) -> sa.Delete:
    principal = sa.select(apps.c.object_id).where(apps.c.app_id == app_id.lower())
    return sa.delete(app_roles).where(app_roles.c.object_id.in_(principal))


def _set_principal(app_id: str, *, present: bool) -> sa.Update:
    one = (applications.c.app_id == app_id.lower(), applications.c.has_principal.is_not(present))
    return sa.update(applications).where(*one).values(has_principal=present)


def _secrets(conn: sa.Connection, app_id: str) -> tuple[AppSecret, ...]:
    held = (
        sa.select(secrets, principal_secrets.c.key_id.is_not(None).label("of_principal"))
        .join_from(secrets, principal_secrets, isouter=True)
        .where(secrets.c.app_id == app_id)
        .order_by(secrets.c.created_at)
    )
    return tuple(
        AppSecret(
            row["key_id"],
            row["name"],
            row["hint"],
            _time(row["created_at"]),
            _time(row["expires_at"]),
            bool(row["of_principal"]),
        )
        for row in conn.execute(held).mappings()
    )


def _registration(row: Any, held: tuple[AppSecret, ...]) -> AppRegistration:
    return AppRegistration(
        row["app_id"],
        row["object_id"],
        row["name"],
        _time(row["created_at"]),
        row["id"],
        bool(row["has_principal"]),
        held,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
