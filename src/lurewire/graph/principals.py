"""What Microsoft Graph's requests do to service principals: those of applications, and managed identities.

Source: https://learn.microsoft.com/graph/api/resources/serviceprincipal
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.graph.errors import GraphBadRequest, ObjectExists, ObjectNotFound
from lurewire.graph.objects import SERVICE_PRINCIPAL, managed_identity, service_principal
from lurewire.graph.passwords import Passwords
from lurewire.graph.values import check_rest, display_name

if TYPE_CHECKING:
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.identity import AppRegistration, Identity


class ServicePrincipals:
    """The tenant's service principals, each named by its object id. Errors are those of `errors`."""

    kind = SERVICE_PRINCIPAL

    def __init__(self, identity: Identity, limits: Limits) -> None:
        self._identity = identity
        self._limits = limits
        self._passwords = Passwords(identity, limits, of_principals=True)

    def all(self) -> list[dict[str, Any]]:
        """All service principals, without their credentials."""
        tenant = self._identity.tenant_id
        apps = [service_principal(app, tenant) for app in self._identity.apps() if app.has_principal]
        return apps + [self._managed(one) for one in self._identity.managed_identities()]

    def show(self, object_id: str) -> dict[str, Any]:
        """A service principal with the passwords that are its own."""
        principal = self._find(object_id)
        if principal.kind == "managed_identity":
            return self._managed(principal)
        app = self._app(principal)
        own = [secret for secret in app.secrets if secret.of_principal]
        return service_principal(app, self._identity.tenant_id, own)

    def id_of(self, app_id: str) -> str:
        """The object id of the service principal with this `appId`."""
        app = self._identity.app(app_id)
        if app is not None and app.has_principal:
            return app.object_id
        for managed in self._identity.managed_identities():
            if managed.app_id == app_id.lower():
                return managed.object_id
        raise ObjectNotFound(app_id)

    async def create(self, body: dict[str, Any]) -> str:
        """Make the service principal of an application of this tenant; gives its object id."""
        app_id = body.get("appId")
        if not isinstance(app_id, str):
            raise GraphBadRequest("A value is required for property 'appId' of resource 'ServicePrincipal'.")
        check_rest(body, self.kind.name, ("appId",))
        app = self._identity.app(app_id)
        if app is None:
            raise GraphBadRequest(
                f"The appId '{app_id[:100]}' of the service principal does not reference a valid application object."
            )
        if app.has_principal:
            raise ObjectExists(
                "The service principal cannot be created, updated, or restored because the service principal name "
                f"{app.app_id} is already in use."
            )
        return (await self._identity.create_principal(app.app_id)).object_id

    async def update(self, object_id: str, body: dict[str, Any]) -> None:
        """Change the name of a service principal, which is its application's, too."""
        app = self._app(self._find(object_id))
        check_rest(body, self.kind.name, ("displayName",))
        if "displayName" in body:
            name = display_name(body, "ServicePrincipal", self._limits["graph.display_name"])
            await self._identity.rename_app(app.app_id, name)

    async def delete(self, object_id: str) -> None:
        """Delete the service principal of an application, which stays."""
        await self._identity.delete_principal(self._app(self._find(object_id)).app_id)

    async def add_password(self, object_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make a password; `secretText` is in the answer and nowhere else."""
        return await self._passwords.add(self._app(self._find(object_id)), body)

    async def remove_password(self, object_id: str, body: dict[str, Any]) -> None:
        """Remove a password."""
        await self._passwords.remove(self._app(self._find(object_id)), body)

    def _find(self, object_id: str) -> Principal:
        principal = self._identity.principal(object_id)
        if principal is None:
            raise ObjectNotFound(object_id)
        return principal

    def _app(self, principal: Principal) -> AppRegistration:
        if principal.kind == "managed_identity":
            raise GraphBadRequest("A managed identity's service principal changes and goes with its resource only.")
        app = self._identity.app(principal.app_id)
        if app is None:
            raise ObjectNotFound(principal.object_id)  # deleted since it was found
        return app

    def _managed(self, principal: Principal) -> dict[str, Any]:
        return managed_identity(principal, self._identity.resource_of(principal))
