"""Which resources stand in a resource group by themselves, and how a list of all types shows one.

Sources: https://learn.microsoft.com/rest/api/resources/resources/list and
https://learn.microsoft.com/azure/azure-resource-manager/templates/deployment-complete-mode-deletion
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from lurewire.core.resources import ResourceId

_EXTENSIONS = ("microsoft.authorization/", "microsoft.resources/", "microsoft.insights/diagnosticsettings")
_SHOWN = ("id", "name", "type", "kind", "location", "managedBy", "sku", "plan", "identity", "tags", "zones")
EXPANSIONS = ("createdTime", "changedTime", "provisioningState")
"""What `$expand` adds to a resource of a list."""


def is_tracked(resource_id: ResourceId) -> bool:
    """Whether it stands in a resource group itself: not in another resource, and not on one or on the group."""
    in_group = resource_id.resource_group is not None and "/providers/" not in resource_id.scope.lower()
    return in_group and len(resource_id.types) == 1 and not resource_id.type.lower().startswith(_EXTENSIONS)


def listed(body: dict[str, Any], expansions: Collection[str]) -> dict[str, Any]:
    """A resource as a list of all types shows it."""
    row = {name: body[name] for name in _SHOWN if name in body}
    made = body.get("systemData") or {}
    more = {
        "createdTime": made.get("createdAt"),
        "changedTime": made.get("lastModifiedAt"),
        "provisioningState": (body.get("properties") or {}).get("provisioningState"),
    }
    return row | {name: more[name] for name in expansions if more[name] is not None}
