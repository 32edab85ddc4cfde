"""What the mode Complete deletes: resources of the group that the template does not name.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/deployment-modes#complete-mode: what stands
in the group itself is deleted, and with it what stands in that; extension resources on the group are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.arm.tracked import is_tracked
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from lurewire.arm.deployments.plan import Plan
    from lurewire.arm.deployments.request import Request
    from lurewire.arm.store import ResourceStore

_CONDITIONS_DELETE_SINCE = "2019-05-10"
"""Since this api-version a resource whose condition is false is one that the template does not name."""


def surplus(store: ResourceStore, request: Request, plan: Plan) -> list[ResourceId]:
    """What a deployment in the mode Complete deletes, the latest first."""
    named = _named(request, plan)
    return [one for one in reversed(tracked(store, request)) if one.key not in named]


def tracked(store: ResourceStore, request: Request) -> list[ResourceId]:
    """The resources that stand in the deployment's group itself, oldest first."""
    target = request.target.id
    if target is None or target.resource_group is None:
        return []
    found = (ResourceId.parse(body["id"]) for body in store.everything(str(target)))
    return [one for one in found if is_tracked(one)]


def _named(request: Request, plan: Plan) -> set[str]:
    keep_skipped = request.api_version < _CONDITIONS_DELETE_SINCE
    named = {one.id.key for one in plan.resources if one.condition or keep_skipped}
    for child in plan.children.values():
        named |= _named(request, child)
    return named
