"""Resource types that are kept and shown but that nothing here acts on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.resources import ResourceType

if TYPE_CHECKING:
    from lurewire.core.resources import Change, ResourceId

INERT_TYPES = (
    "Microsoft.Web/customApis",
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
    "Microsoft.SecurityInsights/contentPackages",
    "Microsoft.SecurityInsights/contentTemplates",
    "Microsoft.SecurityInsights/dataConnectorDefinitions",
    "Microsoft.SecurityInsights/dataConnectors",
    "Microsoft.SecurityInsights/metadata",
    "Microsoft.SecurityInsights/onboardingStates",
    "Microsoft.OperationsManagement/solutions",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Storage/storageAccounts/fileServices",
    "Microsoft.Automation/automationAccounts",
    "Microsoft.Automation/automationAccounts/runbooks",
)
"""What public playbook and solution templates bring along; a room that comes to act on one registers it itself."""


def inert_type(name: str) -> ResourceType:
    """A type whose resources are stored as they are sent."""
    return ResourceType(name, _prepare, _applied, _deleted)


def is_inert(kind: ResourceType) -> bool:
    """Whether nothing here acts on resources of the type."""
    return kind.prepare is _prepare


async def _prepare(change: Change) -> dict[str, Any]:
    properties = change.body.get("properties")
    settled = (properties if isinstance(properties, dict) else {}) | {"provisioningState": "Succeeded"}
    return change.body | {"properties": settled}


async def _applied(resource_id: ResourceId, body: dict[str, Any]) -> None:
    """Nothing acts on it."""


async def _deleted(resource_id: ResourceId) -> None:
    """Nothing acted on it."""
