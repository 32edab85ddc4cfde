"""What Microsoft Graph's requests do to applications.

Source: https://learn.microsoft.com/graph/api/resources/application
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.graph.errors import GraphBadRequest, ObjectNotFound
from lurewire.graph.objects import APPLICATION, application
from lurewire.graph.passwords import Passwords
from lurewire.graph.values import check_rest, display_name, key_credentials

if TYPE_CHECKING:
    from lurewire.core.limits import Limits
    from lurewire.identity import AppRegistration, Identity

_CHANGEABLE = ("displayName", "keyCredentials")


class Applications:
    """The tenant's applications, each named by the id of its object. Errors are those of `errors`."""

    kind = APPLICATION

    def __init__(self, identity: Identity, limits: Limits) -> None:
        self._identity = identity
        self._limits = limits
        self._passwords = Passwords(identity, limits, of_principals=False)

    def all(self) -> list[dict[str, Any]]:
        """All applications, without their credentials."""
        return [application(app) for app in self._identity.apps()]

    def show(self, object_id: str) -> dict[str, Any]:
        """An application with its credentials."""
        app = self._find(object_id)
        own = [secret for secret in app.secrets if not secret.of_principal]
        return application(app, own, self._identity.certificates.all(app.app_id))

    def id_of(self, app_id: str) -> str:
        """The object id of the application with this `appId`."""
        app = self._identity.app(app_id)
        if app is None:
            raise ObjectNotFound(app_id)
        return app.id

    async def create(self, body: dict[str, Any]) -> str:
        """Register an application, without a service principal; gives its object id."""
        check_rest(body, self.kind.name, _CHANGEABLE)
        name, keys = self._name(body), key_credentials(body.get("keyCredentials"))
        app = await self._identity.create_app(name, with_principal=False)
        try:
            await self._set_keys(app, *keys)
        except GraphBadRequest:
            await self._identity.delete_app(app.app_id)  # what was refused is not there
            raise
        return app.id

    async def update(self, object_id: str, body: dict[str, Any]) -> None:
        """Change the name or the certificates of an application."""
        app = self._find(object_id)
        check_rest(body, self.kind.name, _CHANGEABLE)
        name = self._name(body) if "displayName" in body else None
        if "keyCredentials" in body:
            await self._set_keys(app, *key_credentials(body["keyCredentials"]))
        if name is not None:
            await self._identity.rename_app(app.app_id, name)

    async def delete(self, object_id: str) -> None:
        """Delete an application with its service principal."""
        await self._identity.delete_app(self._find(object_id).app_id)

    async def add_password(self, object_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make a password; `secretText` is in the answer and nowhere else."""
        return await self._passwords.add(self._find(object_id), body)

    async def remove_password(self, object_id: str, body: dict[str, Any]) -> None:
        """Remove a password."""
        await self._passwords.remove(self._find(object_id), body)

    def _find(self, object_id: str) -> AppRegistration:
        app = self._identity.app_object(object_id)
        if app is None:
            raise ObjectNotFound(object_id)
        return app

    def _name(self, body: dict[str, Any]) -> str:
        return display_name(body, "Application", self._limits["graph.display_name"])

    async def _set_keys(self, app: AppRegistration, fresh: list[bytes], kept: set[str]) -> None:
        before = self._identity.certificates.all(app.app_id)
        for pem in fresh:
            try:
                await self._identity.certificates.add(app.app_id, pem)
            except ValueError as error:
                raise GraphBadRequest(f"Key credential is invalid: {error}.") from None
        for old in before:
            if old.key_id not in kept:
                await self._identity.certificates.remove(app.app_id, old.key_id)
