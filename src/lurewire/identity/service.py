"""The identity room's face: a tenant that issues tokens, and the gatekeeper of every room's routes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lurewire.core.limits import Limits
from lurewire.identity.access import RoleIndex
from lurewire.identity.app_roles import DIRECTORY, AppRoles
from lurewire.identity.assignments import RoleAssignments
from lurewire.identity.audiences import Audiences
from lurewire.identity.certificates import ASSERTION_TYPE, Certificates
from lurewire.identity.definitions import RoleDefinitions
from lurewire.identity.directory import DEFAULT_SECRET_LIFETIME, Directory
from lurewire.identity.errors import (
    InvalidScope,
    MissingCredential,
    MissingParameter,
    UnknownResource,
    UnknownTenant,
    UnsupportedGrant,
)
from lurewire.identity.keyring import Keyring
from lurewire.identity.limits import LIMITS
from lurewire.identity.managed import ManagedIdentities
from lurewire.identity.management_groups import ManagementGroups
from lurewire.identity.roles import ROLES
from lurewire.identity.scopes import Scopes, scope_key
from lurewire.identity.throttle import TokenThrottle
from lurewire.identity.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.http import Audience
    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId, ResourceType
    from lurewire.core.secretbox import SecretBox
    from lurewire.identity.models import AppRegistration, IssuedToken, NewSecret

_DEFAULT_SCOPE = "/.default"
_ASSERTION_AUDIENCES = ("/oauth2/v2.0/token", "/oauth2/token", "/v2.0")


class Identity:
    """One tenant: its directory, its token service, and who may do what.

    `base_url` is the server's own URL, asked for at each use because the port may be known late; `names` are further
    host names it is reached by; `rotate_after` is the age at which a new signing key takes an old one's place (None:
    never). `start` comes before anything that has to do with tokens. Implements `lurewire.core.http.Gatekeeper`.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        secret_box: SecretBox,
        tenant_id: str,
        base_url: Callable[[], str],
        *,
        names: Sequence[str] = (),
        limits: Limits | None = None,
        rotate_after: timedelta | None = None,
    ) -> None:
        self.tenant_id = tenant_id
        self.base_url = base_url
        self.limits = limits or Limits(LIMITS)
        self.clock = clock
        self._names = tuple(names)
        self._directory = Directory(db, clock, tenant_id)
        self._throttle = TokenThrottle(clock, self.limits["identity.token_requests_per_minute"])
        self.app_roles = AppRoles(db, clock)
        self.managed = ManagedIdentities(db, clock, self._directory, tenant_id)
        self.certificates = Certificates(db, clock, self.limits["identity.clock_skew"])
        self._roles = RoleIndex(ROLES, Scopes(tenant_id))
        self._assignments = RoleAssignments(self._roles, self._directory, clock, tenant_id)
        self.role_definitions = RoleDefinitions(self._roles, clock, self.limits)
        self.management_groups = ManagementGroups(self._roles, clock, tenant_id, self.limits)
        self._audiences_of: tuple[str, Audiences] | None = None
        self._keys = Keyring(
            db,
            clock,
            secret_box,
            grace=self.limits["identity.access_token_lifetime"] + self.limits["identity.clock_skew"],
            lead=self.limits["identity.key_lead"],
        )
        self._rotate_after = rotate_after
        self._rotation: asyncio.Task[None] | None = None
        self._tokens: Tokens | None = None

    async def start(self) -> None:
        """Load the signing keys, of which the first start makes one, and rotate them where that was asked for."""
        await self._directory.complete()
        await self._keys.load()
        if self._rotate_after is not None:
            self._rotation = asyncio.create_task(self._keys.keep_fresh(self._rotate_after))
        self._tokens = Tokens(
            self._keys,
            self._directory,
            self.clock,
            self._audiences,
            lambda principal: [role.value for role in self.app_roles.of(principal.object_id)],
            tenant_id=self.tenant_id,
            lifetime=self.limits["identity.access_token_lifetime"],
            skew=self.limits["identity.clock_skew"],
        )

    async def stop(self) -> None:
        """Rotate keys no more."""
        if self._rotation is not None:
            self._rotation.cancel()
            await asyncio.gather(self._rotation, return_exceptions=True)

    async def rotate_keys(self, *, revoke: bool = False) -> str:
        """Sign with a new key from now on, and return its id.

        The keys before it are published and accepted until every token that they signed has expired; `revoke` drops
        them, and so those tokens, at once.
        """
        key = await self._keys.rotate(revoke=revoke)
        if revoke:
            self._token_service().forget()
        return key.kid

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """What `arm` stores for this room."""
        return (
            *self.management_groups.resource_types,
            self.role_definitions.resource_type,
            self._assignments.resource_type,
            self.managed.resource_type,
        )

    # The directory.

    async def create_app(self, name: str, app_id: str | None = None, *, with_principal: bool = True) -> AppRegistration:
        """Register an application, with its service principal or without; `app_id` is made where none is given."""
        return await self._directory.create_app(name, app_id, with_principal=with_principal)

    def apps(self) -> list[AppRegistration]:
        """All app registrations, oldest first, without their secrets."""
        return self._directory.apps()

    def app(self, app_id: str) -> AppRegistration | None:
        """The app registration with this application id."""
        return self._directory.app(app_id)

    def app_object(self, object_id: str) -> AppRegistration | None:
        """The app registration whose application object has this id."""
        return self._directory.app_object(object_id)

    async def rename_app(self, app_id: str, name: str) -> None:
        """Give an app and its service principal another display name."""
        await self._directory.rename_app(app_id, name)

    async def delete_app(self, app_id: str) -> bool:
        """Delete an app registration with its secrets; False where there was none."""
        return await self._directory.delete_app(app_id)

    async def create_principal(self, app_id: str) -> AppRegistration:
        """Make the service principal of an app that has none. Raises `UnknownApp`."""
        return await self._directory.create_principal(app_id)

    async def delete_principal(self, app_id: str) -> bool:
        """Delete the service principal of an app; False where there was none."""
        return await self._directory.delete_principal(app_id)

    async def add_secret(
        self,
        app_id: str,
        lifetime: timedelta = DEFAULT_SECRET_LIFETIME,
        name: str = "",
        *,
        expires_at: datetime | None = None,
        of_principal: bool = False,
    ) -> NewSecret:
        """Make a secret, good for `lifetime` or until `expires_at`; its value is in the answer and nowhere else.

        `of_principal` adds it to the service principal instead of the application. Raises `UnknownApp`.
        """
        return await self._directory.add_secret(
            app_id, lifetime, name, expires_at=expires_at, of_principal=of_principal
        )

    async def remove_secret(self, app_id: str, key_id: str) -> bool:
        """Remove a secret; False where the app has none with this id."""
        return await self._directory.remove_secret(app_id, key_id)

    def managed_identities(self) -> list[Principal]:
        """All managed identities, by the name of their resource."""
        return self._directory.managed_identities()

    def principal(self, object_id: str) -> Principal | None:
        """The service principal with this object id: an app's, or a managed identity."""
        return self._directory.principal(object_id)

    async def managed_identity_for(self, resource_id: ResourceId) -> Principal:
        """The system-assigned identity of a resource, made where there is none."""
        return await self._directory.managed_identity_for(resource_id)

    def managed_identity(self, resource_id: ResourceId) -> Principal | None:
        """The system-assigned identity of a resource, where it has one."""
        return self._directory.managed_identity(resource_id)

    async def delete_managed_identity(self, resource_id: ResourceId) -> bool:
        """Delete the system-assigned identity of a resource; False where it had none."""
        return await self._directory.delete_managed_identity(resource_id)

    # Tokens.

    def count_token_request(self, form: Mapping[str, str], address: str) -> None:
        """Count a request for a token against its app's limit; raises `Throttled`."""
        self._throttle.check(form.get("client_id", ""), address)

    def client_credentials(self, tenant: str, form: Mapping[str, str], endpoint: str) -> IssuedToken:
        """Answer a token request of version 2.0 with `grant_type=client_credentials`; raises the `TokenError`s of `errors`.

        `endpoint` is the URL at which the client asked, for which an assertion must be made.
        Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#get-a-token
        """
        principal = self._client(tenant, form, "scope", endpoint)
        scopes = form["scope"].split()
        if len(scopes) != 1 or not scopes[0].endswith(_DEFAULT_SCOPE):
            raise InvalidScope(scope=form["scope"])
        # One `/.default` comes off and no more: `https://x//.default` means the audience `https://x/`.
        return self._issue(principal, scopes[0].removesuffix(_DEFAULT_SCOPE), form)

    def client_credentials_v1(self, tenant: str, form: Mapping[str, str], endpoint: str) -> IssuedToken:
        """The same of version 1.0, where a `resource` stands in the place of the scope.

        Source: https://learn.microsoft.com/previous-versions/azure/active-directory/azuread-dev/v1-oauth2-client-creds-grant-flow
        """
        return self._issue(self._client(tenant, form, "resource", endpoint), form["resource"], form)

    def _client(self, tenant: str, form: Mapping[str, str], target: str, endpoint: str) -> Principal:
        """The app that a form proves to come from."""
        if not self.is_tenant(tenant):
            raise UnknownTenant(tenant=tenant)
        for parameter in ("grant_type", "client_id", target):
            if not form.get(parameter):
                raise MissingParameter(parameter=parameter)
        if form["grant_type"] != "client_credentials":
            raise UnsupportedGrant(grant=form["grant_type"])
        if form.get("client_assertion"):
            return self._client_by_assertion(form, endpoint)
        if not form.get("client_secret"):
            raise MissingCredential
        return self._directory.authenticate_app(form["client_id"], form["client_secret"])

    def _client_by_assertion(self, form: Mapping[str, str], endpoint: str) -> Principal:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise MissingParameter(parameter="client_assertion_type")
        principal = self._directory.app_principal(form["client_id"])
        base = self.base_url()
        # Clients take the endpoint from the metadata, which may name the other version, or the issuer.
        audiences = {endpoint, *(f"{base}/{self.tenant_id}{path}" for path in _ASSERTION_AUDIENCES)}
        self.certificates.check(principal.app_id, form["client_assertion"], audiences)
        return principal

    def _issue(self, principal: Principal, resource: str, form: Mapping[str, str]) -> IssuedToken:
        if not self._audiences().known(resource):
            raise UnknownResource(resource=resource, tenant=self.tenant_id)
        return self._token_service().issue(principal, resource, proved_by="2" if form.get("client_assertion") else "1")

    def token_for(self, principal: Principal, resource: str) -> str:
        """A token for a principal that runs inside the platform, such as a playbook's identity; good for 5 minutes or more.

        No route leads here: who calls it must have established by itself whom it acts for.
        """
        return self._token_service().reusable(principal, resource)

    def managed_token(self, principal: Principal, resource: str) -> IssuedToken:
        """A token for a managed identity, for a process that its endpoint has checked. Raises `UnknownResource`."""
        if not self._audiences().known(resource):
            raise UnknownResource(resource=resource, tenant=self.tenant_id)
        return self._token_service().issue(principal, resource)

    def resource_of(self, principal: Principal) -> str | None:
        """The ARM id of the resource that a managed identity belongs to."""
        return self._directory.resource_of(principal)

    def jwks(self) -> dict[str, Any]:
        """The public signing keys (RFC 7517)."""
        return self._token_service().jwks()

    def is_tenant(self, text: str) -> bool:
        """Whether a path's tenant is this one."""
        return text.lower() == self.tenant_id.lower()

    # The gatekeeper.

    def authenticate(self, authorization: str | None, audience: Audience) -> Principal:
        """The principal of an `Authorization` header; raises `Unauthenticated`."""
        return self._token_service().verify(authorization, audience)

    def allows(self, principal: Principal, action: str, scope: str, *, data: bool) -> bool:
        """Whether some role assignment at `scope` or above allows `action`.

        At the scope `DIRECTORY`: whether some Microsoft Graph permission does.
        """
        if scope == DIRECTORY:
            return self.app_roles.allow(principal.object_id, action)
        return self._roles.allows(principal.object_id, action, scope, data=data)

    def covers(self, outer: str, inner: str) -> bool:
        """Whether the scope `inner` is `outer` or inside it, by its text or through management groups."""
        return self._roles.scopes.covers(scope_key(outer), scope_key(inner))

    def sees(self, principal: Principal, scope: str) -> bool:
        """Whether the principal has any role at, above or inside `scope`."""
        return self._roles.sees(principal.object_id, scope)

    def _token_service(self) -> Tokens:
        if self._tokens is None:
            msg = "Identity.start was not called"
            raise RuntimeError(msg)
        return self._tokens

    def _audiences(self) -> Audiences:
        base = self.base_url()
        if self._audiences_of is None or self._audiences_of[0] != base:
            self._audiences_of = (base, Audiences(base, self._names))
        return self._audiences_of[1]
