"""Microsoft.Insights/dataCollectionRuleAssociations: which resources a rule or an endpoint is meant for.

Kept and shown: agents read them, and no agent runs here.
Source: https://learn.microsoft.com/azure/templates/microsoft.insights/datacollectionruleassociations and contract section E.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.resources import InvalidResourceId, ResourceId, ResourceType
from lurewire.ingestion.errors import RuleInvalid

if TYPE_CHECKING:
    from lurewire.core.resources import Change, Resources

ASSOCIATION = "Microsoft.Insights/dataCollectionRuleAssociations"

_TARGETS = {
    "dataCollectionRuleId": "Microsoft.Insights/dataCollectionRules",
    "dataCollectionEndpointId": "Microsoft.Insights/dataCollectionEndpoints",
}
_ENDPOINT_NAME = "configurationAccessEndpoint"


def association_type(resources: Resources) -> ResourceType:
    """The resource type; its targets are looked up in `resources`."""

    async def prepare(change: Change) -> dict[str, Any]:
        given = change.body.get("properties")
        properties = given if isinstance(given, dict) else {}
        named = [name for name in _TARGETS if properties.get(name) is not None]
        if len(named) != 1:
            raise _invalid(f"An association has either {' or '.join(_TARGETS)}.", "properties")
        name = named[0]
        if not _exists(properties[name], _TARGETS[name]):
            raise _invalid(f"'{str(properties[name])[:300]}' was not found.", f"properties.{name}")
        if name == "dataCollectionEndpointId" and change.id.name.lower() != _ENDPOINT_NAME.lower():
            raise _invalid(f"The association of an endpoint is named '{_ENDPOINT_NAME}'.", "name")
        return change.body | {"properties": properties | {"provisioningState": "Succeeded"}}

    def _exists(text: Any, kind: str) -> bool:
        try:
            found = ResourceId.parse(str(text))
        except InvalidResourceId:
            return False
        return found.type.lower() == kind.lower() and resources.get(found) is not None

    return ResourceType(ASSOCIATION, prepare, _applied, _deleted)


def _invalid(message: str, target: str) -> RuleInvalid:
    problem = {"code": "InvalidProperties", "message": message, "target": target}
    return RuleInvalid([problem], "Data collection rule association is invalid")


async def _applied(_resource_id: ResourceId, _body: dict[str, Any]) -> None:
    """Nothing acts on it."""


async def _deleted(_resource_id: ResourceId) -> None:
    """Nothing acted on it."""
