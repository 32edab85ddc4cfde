"""Role assignments: a resource type of `arm`'s store, from which the index of `access` is kept.

Source: https://learn.microsoft.com/rest/api/authorization/role-assignments/create
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.identity.role_errors import (
    InvalidRoleAssignment,
    InvalidRoleAssignmentId,
    PrincipalNotFound,
    RoleAssignmentExists,
    RoleAssignmentUpdateNotPermitted,
    RoleDefinitionDoesNotExist,
)
from lurewire.identity.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.core.clock import Clock
    from lurewire.core.principal import Principal
    from lurewire.identity.access import RoleIndex
    from lurewire.identity.directory import Directory
    from lurewire.identity.roles import Role

NAMESPACE = "Microsoft.Authorization"
ASSIGNMENTS = f"{NAMESPACE}/roleAssignments"
_PRINCIPAL_TYPES = ("ServicePrincipal", "User", "Group", "ForeignGroup", "Device")
_ROLES_BY_NAME = {role.name.lower(): role for role in ROLES}


def role_assignment(
    scope: ResourceId | None, principal: Principal, role_name: str
) -> tuple[ResourceId, dict[str, Any]]:
    """Id and body of the assignment that gives `principal` the built-in role `role_name` at `scope`; None: the tenant.

    The id follows from the three, so that putting it again changes nothing. Raises `RoleDefinitionDoesNotExist`.
    """
    role = _role(role_name)
    name = str(
        uuid.uuid5(uuid.UUID(principal.tenant_id), f"{scope.key if scope else ''}|{principal.object_id}|{role.id}")
    )
    properties = {
        "roleDefinitionId": role_definition_id(scope.subscription if scope else None, role.id),
        "principalId": principal.object_id,
        "principalType": "ServicePrincipal",
    }
    return role_assignment_id(str(scope or ""), name), {"properties": properties}


def check_roles(names: Iterable[str]) -> None:
    """Raises `RoleDefinitionDoesNotExist` for the first name that is no built-in role's."""
    for name in names:
        _role(name)


def _role(name: str) -> Role:
    role = _ROLES_BY_NAME.get(name.lower())
    if role is None:
        names = ", ".join(r.name for r in ROLES)
        raise RoleDefinitionDoesNotExist(f"There is no built-in role '{name}' here; there are {names}.")
    return role


def role_assignment_id(scope: str, name: str) -> ResourceId:
    """The id of the assignment `name` at `scope`; an empty scope is the tenant."""
    return ResourceId(scope, NAMESPACE, ("roleAssignments",), (name,))


def role_definition_id(subscription: str | None, role_id: str) -> str:
    """The ARM id of a role definition, as seen from a subscription or from the tenant."""
    prefix = f"/subscriptions/{subscription}" if subscription else ""
    return f"{prefix}/providers/{NAMESPACE}/roleDefinitions/{role_id}"


class RoleAssignments:
    """Validates assignments, and keeps the index in step with what is stored."""

    def __init__(self, index: RoleIndex, directory: Directory, clock: Clock, tenant_id: str) -> None:
        self._index = index
        self._directory = directory
        self._clock = clock
        self._tenant_id = tenant_id
        self.resource_type = ResourceType(ASSIGNMENTS, self._prepare, self._applied, self._deleted)

    async def _prepare(self, change: Change) -> dict[str, Any]:
        if guid(change.id.name) is None:
            message = f"The role assignment ID '{change.id.name}' is not valid. The role assignment ID must be a GUID."
            raise InvalidRoleAssignmentId(message)
        properties = change.body.get("properties")
        if not isinstance(properties, dict):
            raise InvalidRoleAssignment("The request body lacks 'properties'.")
        scope = change.id.scope or "/"
        role_id = self._assignable_role(properties.get("roleDefinitionId"), scope)
        principal_id = guid(properties.get("principalId"))
        if principal_id is None:
            raise InvalidRoleAssignment("'properties.principalId' must be the GUID of a principal.")
        self._check_principal(principal_id, properties.get("principalType"))
        if properties.get("condition") is not None:
            # A condition only ever narrows a role: to ignore it would give more than was asked for.
            raise InvalidRoleAssignment(
                "'properties.condition' is not supported: this Lurewire evaluates no conditions."
            )
        self._check_unique(change, principal_id, role_id, scope)
        now = self._clock.now().isoformat().replace("+00:00", "Z")
        actor = change.principal.object_id if change.principal else ""
        old = (change.existing or {}).get("properties", {})
        return change.body | {
            "properties": {
                "roleDefinitionId": properties["roleDefinitionId"],
                "principalId": principal_id,
                "principalType": properties.get("principalType") or "ServicePrincipal",
                "scope": scope,
                "condition": None,
                "conditionVersion": None,
                "description": properties.get("description"),
                "createdOn": old.get("createdOn", now),
                "updatedOn": now,
                "createdBy": old.get("createdBy", actor),
                "updatedBy": actor,
                "delegatedManagedIdentityResourceId": None,
            }
        }

    def _check_principal(self, principal_id: str, principal_type: object) -> None:
        if principal_type is not None and principal_type not in _PRINCIPAL_TYPES:
            raise InvalidRoleAssignment(f"'properties.principalType' must be one of {', '.join(_PRINCIPAL_TYPES)}.")
        if principal_type is None and self._directory.principal(principal_id) is None:
            message = (
                f"Principal {principal_id.replace('-', '')} does not exist in the directory {self._tenant_id}. Check "
                "that you have the correct principal ID. If you have just created this principal, set the role "
                "assignment's principalType property."
            )
            raise PrincipalNotFound(message)

    def _check_unique(self, change: Change, principal_id: str, role_id: str, scope: str) -> None:
        if change.existing is not None:
            old = change.existing["properties"]
            if old["principalId"] != principal_id or _last_guid(old["roleDefinitionId"]) != role_id:
                message = "Tenant ID, application ID, principal ID, role and scope are not allowed to be updated."
                raise RoleAssignmentUpdateNotPermitted(message)
            return
        if self._index.find(principal_id, role_id, scope) not in (None, change.id.key):
            raise RoleAssignmentExists("The role assignment already exists.")

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        properties = body["properties"]
        role_id = _last_guid(properties["roleDefinitionId"]) or ""
        self._index.put(resource_id.key, properties["principalId"], role_id, properties["scope"])

    async def _deleted(self, resource_id: ResourceId) -> None:
        self._index.remove(resource_id.key)

    def _assignable_role(self, definition_id: object, scope: str) -> str:
        role = self._index.role(_last_guid(definition_id) or "")
        if role is None:
            raise RoleDefinitionDoesNotExist(f"The specified role definition with ID '{definition_id}' does not exist.")
        if not self._index.assignable(role, scope):
            message = f"The role definition with ID '{definition_id}' cannot be assigned at '{scope}': it is no assignable scope."
            raise RoleDefinitionDoesNotExist(message)
        return role.id


def guid(value: object) -> str | None:
    """`value` in the usual form of a GUID, None where it is none."""
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _last_guid(definition_id: object) -> str | None:
    return guid(str(definition_id).rpartition("/")[2])
