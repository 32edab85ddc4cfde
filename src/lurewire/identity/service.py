"""The identity room's face: a tenant that issues tokens, and the gatekeeper of every room's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.limits import Limits
from lurewire.identity.access import RoleIndex
from lurewire.identity.assignments import RoleAssignments
from lurewire.identity.audiences import Audiences
from lurewire.identity.certificates import ASSERTION_TYPE, Certificates
from lurewire.identity.directory import DEFAULT_SECRET_LIFETIME, Directory
from lurewire.identity.errors import (
    InvalidScope,
    MissingCredential,
    MissingParameter,
    UnknownResource,
    UnknownTenant,
    UnsupportedGrant,
)
from lurewire.identity.keys import load_signing_keys
from lurewire.identity.limits import LIMITS
from lurewire.identity.managed import ManagedIdentities
from lurewire.identity.roles import ROLES
from lurewire.identity.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

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
    host names it is reached by. `start` comes before anything that has to do with tokens. Implements
    `lurewire.core.http.Gatekeeper`.
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
    ) -> None:
        self.tenant_id = tenant_id
        self.base_url = base_url
        self.limits = limits or Limits(LIMITS)
        self.clock = clock
        self._db = db
        self._box = secret_box
        self._names = tuple(names)
        self._directory = Directory(db, clock, tenant_id)
        self.managed = ManagedIdentities(db, clock, self._directory, tenant_id)
        self.certificates = Certificates(db, clock, self.limits["identity.clock_skew"])
        self._roles = RoleIndex(ROLES)
        self._assignments = RoleAssignments(self._roles, self._directory, clock, tenant_id)
        self._audiences_of: tuple[str, Audiences] | None = None
        self._tokens: Tokens | None = None

    async def start(self) -> None:
        """Load the signing key; the first start makes it."""
        self._tokens = Tokens(
            await load_signing_keys(self._db, self.clock, self._box),
            self._directory,
            self.clock,
            self._audiences,
            tenant_id=self.tenant_id,
            lifetime=self.limits["identity.access_token_lifetime"],
            skew=self.limits["identity.clock_skew"],
        )

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """What `arm` stores for this room."""
        return (self._assignments.resource_type, self.managed.resource_type)

    # The directory.

    async def create_app(self, name: str, app_id: str | None = None) -> AppRegistration:
        """Register an application with its service principal; `app_id` is made where none is given."""
        return await self._directory.create_app(name, app_id)

    def apps(self) -> list[AppRegistration]:
        """All app registrations, oldest first."""
        return self._directory.apps()

    def app(self, app_id: str) -> AppRegistration | None:
        """The app registration with this application id."""
        return self._directory.app(app_id)

    async def delete_app(self, app_id: str) -> bool:
        """Delete an app registration with its secrets; False where there was none."""
        return await self._directory.delete_app(app_id)

    async def add_secret(self, app_id: str, lifetime: timedelta = DEFAULT_SECRET_LIFETIME, name: str = "") -> NewSecret:
        """Make a secret for an app; its value is in the answer and nowhere else. Raises `UnknownApp`."""
        return await self._directory.add_secret(app_id, lifetime, name)

    async def remove_secret(self, app_id: str, key_id: str) -> bool:
        """Remove a secret; False where the app has none with this id."""
        return await self._directory.remove_secret(app_id, key_id)

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
        """Whether some role assignment at `scope` or above allows `action`."""
        return self._roles.allows(principal.object_id, action, scope, data=data)

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
