"""Managed identities for processes on this machine: user-assigned identities as resources, and the local endpoints.

Sources: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token and
https://learn.microsoft.com/azure/app-service/overview-managed-identity#connect-to-azure-services-in-app-code
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.core.secretbox import hash_secret, new_secret, verify_secret
from lurewire.identity.tables import workloads

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.principal import Principal
    from lurewire.identity.directory import Directory

USER_ASSIGNED = "Microsoft.ManagedIdentity/userAssignedIdentities"


class ManagedIdentities:
    """User-assigned identities, and which local process may ask for whose tokens."""

    def __init__(self, db: Database, clock: Clock, directory: Directory, tenant_id: str) -> None:
        self._db = db
        self._clock = clock
        self._directory = directory
        self._tenant_id = tenant_id
        self.resource_type = ResourceType(USER_ASSIGNED, self._prepare, self._applied, self._deleted)

    async def add_header(self, principal: Principal) -> str:
        """A value of `X-IDENTITY-HEADER` for tokens of an identity; it is in the answer and nowhere else."""
        value = new_secret()
        row = {
            "hash": hash_secret(value),
            "object_id": principal.object_id,
            "created_at": self._clock.now().timestamp(),
        }
        await self._db.write(lambda conn: conn.execute(sa.insert(workloads).values(row)))
        return value

    def by_header(self, value: str) -> Principal | None:
        """Whose tokens a header's value gives, or None."""
        rows = self._db.read(lambda conn: conn.execute(sa.select(workloads.c.hash, workloads.c.object_id)).all())
        for row in rows:
            if verify_secret(value, row.hash):
                return self._directory.principal(row.object_id)
        return None

    async def _prepare(self, change: Change) -> dict[str, Any]:
        principal = await self._directory.managed_identity_for(change.id)
        properties = {
            "tenantId": self._tenant_id,
            "principalId": principal.object_id,
            "clientId": principal.app_id,
        }
        return change.body | {"properties": properties}

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        """Nothing follows: the identity was made when the resource was prepared."""

    async def _deleted(self, resource_id: ResourceId) -> None:
        principal = self._directory.managed_identity(resource_id)
        if principal is not None:
            gone = sa.delete(workloads).where(workloads.c.object_id == principal.object_id)
            await self._db.write(lambda conn: conn.execute(gone))
        await self._directory.delete_managed_identity(resource_id)
