"""Applications and service principals as Microsoft Graph shows them.

Sources: https://learn.microsoft.com/graph/api/resources/application and
https://learn.microsoft.com/graph/api/resources/serviceprincipal
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lurewire.graph.odata import Kind
from lurewire.identity import USER_ASSIGNED, AppRegistration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.principal import Principal
    from lurewire.identity import AppCertificate, AppSecret

SIGN_IN_AUDIENCE = "AzureADMyOrg"
"""Accounts of this tenant alone: there is no other."""


def application(
    app: AppRegistration, secrets: Sequence[AppSecret] = (), certificates: Sequence[AppCertificate] = ()
) -> dict[str, Any]:
    """An application; `secrets` are those of the application, not of its principal."""
    return {
        "id": app.id,
        "deletedDateTime": None,
        "appId": app.app_id,
        "displayName": app.name,
        "createdDateTime": time_text(app.created_at),
        "description": None,
        "identifierUris": [],
        "isFallbackPublicClient": None,
        "notes": None,
        "publisherDomain": None,
        "signInAudience": SIGN_IN_AUDIENCE,
        "tags": [],
        "appRoles": [],
        "requiredResourceAccess": [],
        "keyCredentials": [_key(one) for one in certificates],
        "passwordCredentials": [password(one) for one in secrets],
    }


def service_principal(app: AppRegistration, tenant_id: str, secrets: Sequence[AppSecret] = ()) -> dict[str, Any]:
    """The service principal of an application; `secrets` are the principal's own."""
    return _principal(app.object_id, app.app_id, app.name, tenant_id) | {
        "createdDateTime": time_text(app.created_at),
        "servicePrincipalType": "Application",
        "passwordCredentials": [password(one) for one in secrets],
    }


def managed_identity(principal: Principal, resource: str | None) -> dict[str, Any]:
    """The service principal of a managed identity, which names the resource that it belongs to."""
    whole = _principal(principal.object_id, principal.app_id, principal.name, principal.tenant_id)
    explicit = USER_ASSIGNED.lower() in (resource or "").lower()
    return whole | {"alternativeNames": [f"isExplicit={explicit}", resource or ""]}


def _principal(object_id: str, app_id: str, name: str, tenant_id: str) -> dict[str, Any]:
    return {
        "id": object_id,
        "deletedDateTime": None,
        "accountEnabled": True,
        "alternativeNames": [],
        "appDisplayName": name,
        "appId": app_id,
        "appOwnerOrganizationId": tenant_id,
        "appRoleAssignmentRequired": False,
        "createdDateTime": None,
        "displayName": name,
        "replyUrls": [],
        "servicePrincipalNames": [app_id],
        "servicePrincipalType": "ManagedIdentity",
        "signInAudience": SIGN_IN_AUDIENCE,
        "tags": [],
        "appRoles": [],
        "keyCredentials": [],
        "passwordCredentials": [],
    }


def password(secret: AppSecret) -> dict[str, Any]:
    """A secret without its value."""
    return {
        "customKeyIdentifier": None,
        "displayName": secret.name or None,
        "endDateTime": time_text(secret.expires_at),
        "hint": secret.hint,
        "keyId": secret.key_id,
        "secretText": None,
        "startDateTime": time_text(secret.created_at),
    }


def _key(certificate: AppCertificate) -> dict[str, Any]:
    return {
        "customKeyIdentifier": certificate.thumbprint,
        "displayName": certificate.subject,
        "endDateTime": time_text(certificate.not_after),
        "key": None,
        "keyId": certificate.key_id,
        "startDateTime": time_text(certificate.not_before),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }


def time_text(when: datetime) -> str:
    """A time as Graph writes it."""
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


APPLICATION = Kind(
    "application",
    "applications",
    equals=frozenset({"id", "appId", "displayName"}),
    starts=frozenset({"displayName"}),
    members=frozenset({"identifierUris"}),
    properties=frozenset(
        application(AppRegistration("", "", "", datetime.min.replace(tzinfo=UTC), "", has_principal=True))
    ),
)

SERVICE_PRINCIPAL = Kind(
    "servicePrincipal",
    "servicePrincipals",
    equals=frozenset({"id", "appId", "displayName", "servicePrincipalType"}),
    starts=frozenset({"displayName"}),
    members=frozenset({"servicePrincipalNames", "alternativeNames"}),
    properties=frozenset(_principal("", "", "", "")),
)
