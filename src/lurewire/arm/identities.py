"""The identities of a resource: its own, and user-assigned ones that are resources themselves.

Source: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview; who assigns an identity
needs the right to it too: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/identity
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lurewire.arm.errors import (
    FailedIdentityOperation,
    InvalidIdentityValues,
    LinkedInvalidPropertyId,
    MissingIdentityIds,
    UnsupportedIdentity,
)
from lurewire.core.errors import LinkedAuthorizationFailed
from lurewire.core.resources import InvalidResourceId, ResourceId

if TYPE_CHECKING:
    from lurewire.core.principal import Principal

_USER_ASSIGNED = "microsoft.managedidentity/userassignedidentities"
_ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
_SHOWN = {
    frozenset({"none"}): "None",
    frozenset({"systemassigned"}): "SystemAssigned",
    frozenset({"userassigned"}): "UserAssigned",
    frozenset({"systemassigned", "userassigned"}): "SystemAssigned, UserAssigned",
}
"""The types of identities as Azure writes them, by their parts in lower case."""

_READ_ONLY = frozenset({"principalId", "clientId"})


class ManagedIdentities(Protocol):
    """Who gives resources their identities, and says who may assign them: the identity room."""

    async def managed_identity_for(self, resource_id: ResourceId) -> Principal:
        """The identity of the resource, made where there is none."""
        ...

    def managed_identity(self, resource_id: ResourceId) -> Principal | None:
        """The identity of the resource, where it has or is one."""
        ...

    async def delete_managed_identity(self, resource_id: ResourceId) -> bool:
        """Delete the identity of the resource; False where it had none."""
        ...

    def allows(self, principal: Principal, action: str, scope: str, *, data: bool) -> bool:
        """Whether the principal may do `action` at `scope`."""
        ...


def identities_of(body: dict[str, Any]) -> frozenset[str]:
    """The kinds of identities that a body names, and the ids of the user-assigned ones, all in lower case."""
    raw = body.get("identity") or {}
    identity = raw if isinstance(raw, dict) else {"type": raw}
    assigned = identity.get("userAssignedIdentities")
    ids = assigned if isinstance(assigned, dict) else {}
    named = {one.lower().rstrip("/") for one, value in ids.items() if value is not None}
    return frozenset(_parts(str(identity.get("type", ""))) - {"none", ""} | named)


def _parts(kind: str) -> set[str]:
    return {part.strip().lower() for part in kind.split(",")}


async def settle(
    identities: ManagedIdentities,
    resource_id: ResourceId,
    body: dict[str, Any],
    existing: dict[str, Any] | None,
    assigner: Principal | None,
) -> None:
    """Complete the `identity` of a body to store, and give the resource its own or take it away.

    `assigner` is whose right to the user-assigned ones counts, None: nobody's. Raises `LinkedAuthorizationFailed` and
    the `ArmError`s of identities.
    """
    identity = body.get("identity") or {}
    wanted = str(identity.get("type", "None") if isinstance(identity, dict) else identity)
    kind = _SHOWN.get(frozenset(_parts(wanted)))
    if kind is None:
        known = "', '".join(dict.fromkeys(_SHOWN.values()))
        raise UnsupportedIdentity(f"The identity type '{wanted[:100]}' is not one of '{known}'.")
    if kind != "None" and resource_id.type.lower() == _USER_ASSIGNED:
        raise UnsupportedIdentity(f"The resource '{resource_id}' is an identity and has none itself.")
    given = identity.get("userAssignedIdentities") if isinstance(identity, dict) else None
    assigned = _assigned(identities, resource_id, given or {}, assigner) if "UserAssigned" in kind else {}
    if "UserAssigned" in kind and not assigned:
        raise MissingIdentityIds(f"The identity ids must not be null or empty for '{kind}' identity type.")
    if "UserAssigned" not in kind and given:
        raise InvalidIdentityValues(f"The identity type '{kind}' has no 'userAssignedIdentities'.")
    shown: dict[str, Any] = {"type": kind}
    if "SystemAssigned" in kind:
        own = await identities.managed_identity_for(resource_id)
        shown |= {"principalId": own.object_id, "tenantId": own.tenant_id}
    elif existing is not None and (existing.get("identity") or {}).get("principalId"):
        await identities.delete_managed_identity(resource_id)
    if kind != "None":
        body["identity"] = shown | ({"userAssignedIdentities": assigned} if assigned else {})


def _assigned(
    identities: ManagedIdentities, resource_id: ResourceId, given: Any, assigner: Principal | None
) -> dict[str, dict[str, str]]:
    if not isinstance(given, dict):
        raise InvalidIdentityValues("'identity.userAssignedIdentities' must be an object with an id for each identity.")
    found: dict[str, dict[str, str]] = {}
    for text, value in given.items():
        if value is None:  # how a PATCH takes one away
            continue
        if not isinstance(value, dict) or set(value) - _READ_ONLY:
            raise InvalidIdentityValues(
                f"Invalid value for the identity '{text[:300]}'. The 'userAssignedIdentities' property keys should only "
                "be empty json objects, null or the resource existing property."
            )
        identity_id = _parsed(text)
        if assigner is not None and not identities.allows(assigner, _ASSIGN, str(identity_id), data=False):
            raise LinkedAuthorizationFailed(assigner, f"{resource_id.type}/write", _ASSIGN, str(identity_id))
        principal = identities.managed_identity(identity_id)
        if principal is None:
            raise FailedIdentityOperation(
                f"Identity operation for resource '{resource_id}' failed with error 'Failed to perform resource "
                f"identity operation. Resource '{identity_id}' was not found.'"
            )
        found[text] = {"principalId": principal.object_id, "clientId": principal.app_id}
    return found


def _parsed(text: str) -> ResourceId:
    try:
        identity_id = ResourceId.parse(text)
        if identity_id.type.lower() == _USER_ASSIGNED:
            return identity_id
    except InvalidResourceId:
        pass
    raise LinkedInvalidPropertyId(
        f"Property id '{text[:300]}' at path 'identity.userAssignedIdentities' is invalid. Expect the fully qualified "
        "resource id of a user-assigned identity."
    )
