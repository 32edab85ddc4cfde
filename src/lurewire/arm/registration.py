"""Which resource providers the subscription is registered for.

Source: https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-register-resource-provider
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.arm.errors import MissingSubscriptionRegistration
from lurewire.arm.tables import registrations

if TYPE_CHECKING:
    from lurewire.core.database import Database

_ALWAYS = frozenset({"microsoft.resources", "microsoft.authorization", "microsoft.management"})
"""Azure Resource Manager's own providers, which nobody registers."""


class Registrations:
    """Registered providers; where `register_first` is off, every one is until somebody unregisters it."""

    def __init__(self, db: Database, *, register_first: bool) -> None:
        self._db = db
        self._register_first = register_first

    def state(self, namespace: str) -> str:
        """`Registered`, `NotRegistered` or `Unregistered`."""
        key = namespace.lower()
        if key in _ALWAYS:
            return "Registered"
        query = sa.select(registrations.c.state).where(registrations.c.namespace == key)
        found: str | None = self._db.read(lambda conn: conn.execute(query).scalar())
        return found or ("NotRegistered" if self._register_first else "Registered")

    async def put(self, namespace: str, state: str) -> None:
        """Register a provider (`Registered`), or end that (`Unregistered`)."""
        row = {"namespace": namespace.lower(), "state": state}
        upsert = insert(registrations).values(row)
        upsert = upsert.on_conflict_do_update(index_elements=["namespace"], set_=row)
        await self._db.write(lambda conn: conn.execute(upsert))

    async def check(self, namespace: str) -> None:
        """Before a resource of a provider is put; raises `MissingSubscriptionRegistration`.

        Where nobody has to register first, the use of a provider registers it.
        """
        if self._register_first and self.state(namespace) != "Registered":
            raise MissingSubscriptionRegistration(namespace)
        await self.ensure(namespace)

    async def ensure(self, namespace: str) -> None:
        """Register a provider that is not."""
        if self.state(namespace) != "Registered":
            await self.put(namespace, "Registered")
