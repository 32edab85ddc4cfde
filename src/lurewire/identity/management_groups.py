"""Management groups: scopes above the subscription, at which roles are assigned.

A resource type of `arm`'s store and the routes of the provider Microsoft.Management. The root group has the tenant's id
as its name; whatever nobody put into another group is in it.

Sources: https://learn.microsoft.com/rest/api/managementgroups/management-groups and
https://learn.microsoft.com/azure/governance/management-groups/overview
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, InvalidResourceId, ResourceId, ResourceType
from lurewire.identity.assignments import ASSIGNMENTS
from lurewire.identity.role_errors import InvalidManagementGroup, ManagementGroupHasChildren, ManagementGroupNotFound
from lurewire.identity.scopes import group_scope, scope_key

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Resources
    from lurewire.identity.access import RoleIndex

MANAGEMENT_GROUPS = "Microsoft.Management/managementGroups"
MEMBERS = f"{MANAGEMENT_GROUPS}/subscriptions"
_NAME = re.compile(r"[A-Za-z0-9_\-.()]{0,89}[A-Za-z0-9_\-()]")


class ManagementGroups:
    """Validates groups, and keeps the tree of scopes in step with what is stored."""

    def __init__(self, index: RoleIndex, clock: Clock, tenant_id: str, limits: Limits) -> None:
        self._index = index
        self._clock = clock
        self._tenant_id = tenant_id
        self._limits = limits
        self._moving = asyncio.Lock()
        self.resource_types = (
            ResourceType(MANAGEMENT_GROUPS, self._prepare, self._applied, self._deleted),
            ResourceType(MEMBERS, self._prepare_member, self._applied_member, self._deleted_member, single=True),
        )

    @property
    def root(self) -> ResourceId:
        """The group that everything is in."""
        return ResourceId.parse(group_scope(self._tenant_id))

    async def ensure_root(self, resources: Resources) -> None:
        """Store the root group where it is not."""
        if resources.get(self.root) is None:
            await resources.put(self.root, {"properties": {"displayName": "Tenant Root Group"}})

    async def move(self, resources: Resources, group: ResourceId, subscription: str, principal: Principal) -> None:
        """Put a subscription into a group, and out of the one that it was in."""
        if resources.get(group) is None:
            raise ManagementGroupNotFound(f"'{group}' not found")
        async with self._moving:  # the right to change the group that it leaves is asked for of the group that it is in
            await resources.put(group.child("subscriptions", subscription), {}, principal)

    def check_deletable(self, group: ResourceId) -> None:
        """Raise the error of a group that cannot be deleted."""
        if group == self.root:
            raise ManagementGroupHasChildren("The root management group cannot be deleted.")
        children = self._index.scopes.children(group.key)
        if children:
            message = (
                f"The management group '{group.name}' has children, such as '{children[0]}': move or delete them first."
            )
            raise ManagementGroupHasChildren(message)

    async def _prepare(self, change: Change) -> dict[str, Any]:
        if change.id.scope or _NAME.fullmatch(change.id.name) is None:
            raise InvalidManagementGroup(
                f"The management group name '{change.id.name}' is invalid: it has 1 to 90 letters, digits, "
                "hyphens, underscores, periods and parentheses, and no period at its end."
            )
        properties = change.body.get("properties") or {}
        if not isinstance(properties, dict):
            raise InvalidManagementGroup("'properties' must be an object.")
        old = (change.existing or {}).get("properties", {})
        name = properties.get("displayName") or old.get("displayName") or change.id.name
        if not isinstance(name, str):
            raise InvalidManagementGroup("'properties.displayName' must be a text.")
        details: dict[str, Any] = {
            "version": old.get("details", {}).get("version", 0) + 1,
            "updatedTime": self._clock.now().isoformat().replace("+00:00", "Z"),
            "updatedBy": change.principal.object_id if change.principal else "",
        }
        if change.id != self.root:
            parent = self._parent(change.id, properties, old)
            self._check_move(change.principal, change.id.key, parent.key)
            details["parent"] = {"id": str(parent), "name": parent.name, "displayName": parent.name}
        return {"properties": {"tenantId": self._tenant_id, "displayName": name, "details": details}}

    def _parent(self, group: ResourceId, properties: dict[str, Any], old: dict[str, Any]) -> ResourceId:
        given = (properties.get("details") or old.get("details") or {}).get("parent") or {"id": str(self.root)}
        try:
            parent = ResourceId.parse(str(given.get("id") if isinstance(given, dict) else given))
        except InvalidResourceId as error:
            raise InvalidManagementGroup(f"'properties.details.parent.id': {error}.") from None
        known = parent == self.root or self._index.scopes.known(parent.key)
        if parent.type.lower() != MANAGEMENT_GROUPS.lower() or not known:
            raise ManagementGroupNotFound(f"'{parent}' not found")
        above = (parent.key, *self._index.scopes.above(parent.key))
        if group.key in above:
            raise InvalidManagementGroup(f"The group '{group.name}' cannot be inside itself.")
        limit = self._limits["identity.management_group_depth"]
        if len(above) > limit:
            raise InvalidManagementGroup(f"Management groups are nested at most {limit} deep below the root group.")
        return parent

    def _check_move(self, principal: Principal | None, child: str, parent: str) -> None:
        """That who moves something may give roles on it: whoever has one at the new parent has it there from now on."""
        before = self._index.scopes.parent(child)
        known = self._index.scopes.known(child) or child.startswith("/subscriptions/")
        if principal is None or (known and before == parent):
            return
        if known:
            self._index.require(principal, f"{ASSIGNMENTS}/write", [child])
        self._index.require(principal, f"{MANAGEMENT_GROUPS}/write", [parent, *([before] if known and before else [])])

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        if resource_id != self.root:
            self._index.place(resource_id.key, body["properties"]["details"]["parent"]["id"])

    async def _deleted(self, resource_id: ResourceId) -> None:
        self._index.place(resource_id.key, None)

    async def _prepare_member(self, change: Change) -> dict[str, Any]:
        parent = str(change.id.parent)
        if change.id.scope:
            raise InvalidManagementGroup(f"'{change.id}' is not in the tenant's management groups.")
        self._check_move(change.principal, scope_key(f"/subscriptions/{change.id.name}"), scope_key(parent))
        return {"properties": {"tenant": self._tenant_id, "parent": {"id": parent}, "state": "Active"}}

    async def _applied_member(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        self._index.place(f"/subscriptions/{resource_id.name}", body["properties"]["parent"]["id"])

    async def _deleted_member(self, resource_id: ResourceId) -> None:
        subscription = f"/subscriptions/{resource_id.name}"
        parent = resource_id.parent
        if parent is not None and self._index.scopes.parent(scope_key(subscription)) == parent.key:
            self._index.place(subscription, None)  # else it was moved on: that it was here is all that ends
