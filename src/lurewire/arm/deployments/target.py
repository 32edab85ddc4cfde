"""What a deployment is for: a resource group, a subscription, a management group or the tenant.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/deploy-to-subscription and beside it
deploy-to-resource-group, deploy-to-management-group and deploy-to-tenant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lurewire.arm.deployments.naming import provider_path
from lurewire.core.resources import InvalidResourceId, ResourceId

MANAGEMENT_GROUPS = "Microsoft.Management/managementGroups"
_GROUP_TYPES = frozenset({"microsoft.resources/resourcegroups", "microsoft.resources/subscriptions/resourcegroups"})


class Level(Enum):
    """The scopes of deployments, each with the name of its templates' schema."""

    GROUP = "deploymentTemplate.json"
    SUBSCRIPTION = "subscriptionDeploymentTemplate.json"
    MANAGEMENT_GROUP = "managementGroupDeploymentTemplate.json"
    TENANT = "tenantDeploymentTemplate.json"


@dataclass(frozen=True, slots=True)
class Target:
    """The scope of a deployment; `id` is None for the tenant."""

    id: ResourceId | None

    @classmethod
    def parse(cls, text: str) -> Target:
        """The scope with this id, `/` for the tenant; raises `InvalidResourceId`."""
        if not text.strip("/"):
            return cls(None)
        found = cls(ResourceId.parse(text))
        found.level  # noqa: B018 - it refuses what is no scope of deployments
        return found

    @property
    def level(self) -> Level:
        """Which of the four; raises `InvalidResourceId`."""
        if self.id is None:
            return Level.TENANT
        levels = {
            "microsoft.resources/resourcegroups": Level.GROUP,
            "microsoft.resources/subscriptions": Level.SUBSCRIPTION,
            MANAGEMENT_GROUPS.lower(): Level.MANAGEMENT_GROUP,
        }
        level = levels.get(self.id.type.lower())
        if level is None:
            msg = f"'{self.id}' is neither a resource group, nor a subscription, nor a management group"
            raise InvalidResourceId(msg)
        return level

    @property
    def prefix(self) -> str:
        """The id, as ids of resources begin; empty for the tenant."""
        return "" if self.id is None else str(self.id)

    @property
    def key(self) -> str:
        """The same in lower case."""
        return self.prefix.lower()

    @property
    def subscription(self) -> str | None:
        """The subscription that it is or stands in."""
        return None if self.id is None else self.id.subscription

    def deployment(self, name: str) -> ResourceId:
        """The id of a deployment at this scope."""
        return ResourceId(self.prefix, "Microsoft.Resources", ("deployments",), (name,))

    def resource(self, kind: str, name: str) -> ResourceId:
        """The id of a resource of a template; raises `WrongSegments` and `InvalidResourceId`."""
        if self.level is Level.SUBSCRIPTION and kind.lower() in _GROUP_TYPES:
            return ResourceId.parse(f"{self.prefix}/resourceGroups/{name}")
        return ResourceId.parse(self.prefix + provider_path(kind, name.split("/")))
