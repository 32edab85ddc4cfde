"""Custom roles: a resource type of `arm`'s store, from which the index of `access` is kept.

Sources: https://learn.microsoft.com/rest/api/authorization/role-definitions/create-or-update and
https://learn.microsoft.com/azure/role-based-access-control/custom-roles
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, InvalidResourceId, ResourceId, ResourceType
from lurewire.identity.assignments import NAMESPACE, guid, role_definition_id
from lurewire.identity.role_errors import (
    BuiltInRole,
    InvalidAction,
    InvalidAssignableScope,
    InvalidRoleDefinition,
    InvalidRoleDefinitionId,
    RoleDefinitionExists,
    RoleDefinitionHasAssignments,
    RoleDefinitionLimitExceeded,
)
from lurewire.identity.roles import Role
from lurewire.identity.scopes import scope_key

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.identity.access import RoleIndex

DEFINITIONS = f"{NAMESPACE}/roleDefinitions"
_LISTS = ("actions", "notActions", "dataActions", "notDataActions")
_ACTION = re.compile(r"[A-Za-z0-9*][A-Za-z0-9.*_\-]*(/[A-Za-z0-9.*_\-$]+)*")
_NAME_LENGTH, _DESCRIPTION_LENGTH, _ACTION_LENGTH = 512, 2048, 256
_ASSIGNABLE = ("Microsoft.Resources/subscriptions", "Microsoft.Resources/resourceGroups")
_MANAGEMENT_GROUPS = "microsoft.management/managementgroups"


class RoleDefinitions:
    """Validates custom roles, and keeps the index in step with what is stored."""

    def __init__(self, index: RoleIndex, clock: Clock, limits: Limits) -> None:
        self._index = index
        self._clock = clock
        self._limits = limits
        self.resource_type = ResourceType(DEFINITIONS, self._prepare, self._applied, self._deleted)

    def all(self) -> list[Role]:
        """Every role of the tenant."""
        return self._index.roles()

    def find(self, name: str) -> Role | None:
        """The role with this GUID."""
        return self._index.role(name)

    def stored_as(self, name: str) -> ResourceId:
        """The id under which the custom role `name` is stored: the one of its first PUT, else the tenant's."""
        role_id = guid(name)
        key = self._index.role_key(role_id) if role_id else None
        return ResourceId.parse(key) if key else ResourceId("", NAMESPACE, ("roleDefinitions",), (role_id or name,))

    def assignable(self, role: Role, scope: str) -> bool:
        """Whether the role may be given at `scope`."""
        return self._index.assignable(role, scope)

    def is_at(self, role: Role, scope: str) -> bool:
        """Whether `scope` has the role: it may be given there, or somewhere inside.

        The id of a role that is for some resource groups names their subscription.
        """
        place = scope_key(scope)
        inside = any(self._index.scopes.covers(place, scope_key(one)) for one in role.assignable_scopes)
        return inside or self.assignable(role, scope)

    def check_deletable(self, role: Role, principal: Principal) -> None:
        """Raise the error of a role that `principal` cannot delete now."""
        self._check_custom(role.id)
        self._index.require(principal, f"{DEFINITIONS}/delete", role.assignable_scopes)
        if self._index.is_assigned(role.id):
            raise RoleDefinitionHasAssignments(
                f"There are existing role assignments referencing the role '{role.name}': delete them first."
            )

    async def _prepare(self, change: Change) -> dict[str, Any]:
        role_id = guid(change.id.name)
        if role_id is None:
            raise InvalidRoleDefinitionId(f"The role definition ID '{change.id.name}' must be a GUID.")
        self._check_custom(role_id)
        self._check_place(change, role_id)
        properties = change.body.get("properties")
        if not isinstance(properties, dict):
            raise InvalidRoleDefinition("The request body lacks 'properties'.")
        self._check_name(role_id, properties)
        scopes = self._scopes(properties.get("assignableScopes"))
        old = (change.existing or {}).get("properties", {})
        if change.principal is not None:
            # Who could change a role where it is already in use, but not there, would give rights it does not have.
            linked = {*scopes, *old.get("assignableScopes", ())}
            self._index.require(change.principal, f"{DEFINITIONS}/write", linked)
        now = self._clock.now().isoformat().replace("+00:00", "Z")
        actor = change.principal.object_id if change.principal else ""
        return {
            "properties": {
                "roleName": properties["roleName"],
                "type": "CustomRole",
                "description": properties.get("description") or "",
                "assignableScopes": scopes,
                "permissions": _permissions(properties.get("permissions"), self._limits["identity.role_actions"]),
                "createdOn": old.get("createdOn", now),
                "updatedOn": now,
                "createdBy": old.get("createdBy", actor),
                "updatedBy": actor,
            }
        }

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        properties = body["properties"]
        [lists] = properties["permissions"]
        actions, not_actions, data_actions, not_data_actions = (tuple(lists[name]) for name in _LISTS)
        role = Role(
            properties["roleName"],
            resource_id.name.lower(),
            properties["description"],
            "",
            actions,
            not_actions,
            data_actions,
            not_data_actions,
            tuple(properties["assignableScopes"]),
            built_in=False,
        )
        self._index.put_role(resource_id.key, role)

    async def _deleted(self, resource_id: ResourceId) -> None:
        self._index.remove_role(resource_id.key)

    def _check_custom(self, role_id: str) -> None:
        role = self._index.role(role_id)
        if role is not None and role.built_in:
            raise BuiltInRole(f"The role '{role.name}' is built in: it can be neither changed nor deleted.")

    def _check_place(self, change: Change, role_id: str) -> None:
        key = self._index.role_key(role_id)
        if key is not None and key != change.id.key:
            raise RoleDefinitionExists(f"The role definition '{role_id}' exists already, as '{key}'.")
        custom = sum(not role.built_in for role in self._index.roles())
        limit = self._limits["identity.custom_roles"]
        if key is None and custom >= limit:
            raise RoleDefinitionLimitExceeded(
                f"Role definition limit exceeded: the tenant has {limit} custom roles. No more can be created."
            )

    def _check_name(self, role_id: str, properties: dict[str, Any]) -> None:
        name, description = properties.get("roleName"), properties.get("description")
        if not isinstance(name, str) or not 0 < len(name.strip()) <= _NAME_LENGTH:
            raise InvalidRoleDefinition(f"'properties.roleName' must be a text of 1 to {_NAME_LENGTH} characters.")
        if description is not None and not (isinstance(description, str) and len(description) <= _DESCRIPTION_LENGTH):
            message = f"'properties.description' must be a text of at most {_DESCRIPTION_LENGTH} characters."
            raise InvalidRoleDefinition(message)
        kind = properties.get("type")
        if kind not in (None, "") and str(kind).lower() != "customrole":
            raise InvalidRoleDefinition(f"'properties.type' must be 'CustomRole', not '{kind}'.")
        if any(role.name.lower() == name.lower() and role.id != role_id for role in self._index.roles()):
            verb = "updated" if self._index.role_key(role_id) else "created"
            raise RoleDefinitionExists(f"A role definition cannot be {verb} with a name that already exists: '{name}'.")

    def _scopes(self, value: object) -> list[str]:
        limit = self._limits["identity.assignable_scopes"]
        if not isinstance(value, list) or not 0 < len(value) <= limit:
            raise InvalidRoleDefinition(f"'properties.assignableScopes' must list 1 to {limit} scopes.")
        for index, scope in enumerate(value):
            if not _may_be_assignable(scope):
                raise InvalidAssignableScope(
                    f"Property id '{scope}' at path 'properties.assignableScopes[{index}]' is invalid. A custom role "
                    "can be assignable at management groups, subscriptions and resource groups."
                )
        groups = sum(_MANAGEMENT_GROUPS in scope.lower() for scope in value)
        if groups > 1:
            raise InvalidRoleDefinition("'properties.assignableScopes' may name one management group only.")
        return list(dict.fromkeys(value))


def definition_body(role: Role, subscription: str | None, stored: dict[str, Any] | None) -> dict[str, Any]:
    """A role as the API shows it, with its id as seen from a subscription; `stored` is a custom one's resource."""
    times = (stored or {}).get("properties", {})
    return {
        "id": role_definition_id(subscription, role.id),
        "name": role.id,
        "type": DEFINITIONS,
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole" if role.built_in else "CustomRole",
            "description": role.description,
            "assignableScopes": list(role.assignable_scopes),
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": list(role.data_actions),
                    "notDataActions": list(role.not_data_actions),
                }
            ],
            **{name: times.get(name) for name in ("createdOn", "updatedOn", "createdBy", "updatedBy")},
        },
    }


def _may_be_assignable(scope: object) -> bool:
    if not isinstance(scope, str):
        return False
    try:
        parsed = ResourceId.parse(scope)
    except InvalidResourceId:
        return False
    return parsed.type in _ASSIGNABLE or parsed.type.lower() == _MANAGEMENT_GROUPS


def _permissions(value: object, most: int) -> list[dict[str, list[str]]]:
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
        raise InvalidRoleDefinition("'properties.permissions' must be a list of one object.")
    [given] = value
    for name in ("condition", "conditionVersion"):
        if given.get(name) is not None:
            # A condition only ever narrows a role: to ignore it would give more than was asked for.
            raise InvalidRoleDefinition(
                f"'properties.permissions[0].{name}' is not supported: conditions are not evaluated."
            )
    lists = {name: _actions(name, given.get(name), most) for name in _LISTS}
    if not lists["actions"] and not lists["dataActions"]:
        raise InvalidRoleDefinition("'properties.permissions[0]' must name an action or a data action.")
    return [lists]


def _actions(name: str, value: object, most: int) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise InvalidRoleDefinition(f"'properties.permissions[0].{name}' must be a list of at most {most} actions.")
    for action in value:
        # Without a slash it names a provider and nothing that one does with it; `*` is every action.
        fits = isinstance(action, str) and len(action) <= _ACTION_LENGTH and _ACTION.fullmatch(action)
        if not fits or ("/" not in action and action != "*"):
            raise InvalidAction(
                f"'{str(action)[:_ACTION_LENGTH]}' in '{name}' does not match any of the actions supported by the providers."
            )
    return value
