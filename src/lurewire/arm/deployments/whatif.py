"""What a deployment would change, with nothing changed.

Sources: https://learn.microsoft.com/rest/api/resources/deployments/what-if and
https://learn.microsoft.com/azure/azure-resource-manager/templates/deploy-what-if#change-types. What is compared with
the stored resource is what its type makes of the template's body, so that properties which Azure adds are no changes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.complete import surplus, tracked
from lurewire.arm.deployments.delta import Hidden, delta, has, masked, merged, paths
from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS
from lurewire.arm.deployments.plan import NotDeployedYet, Plan
from lurewire.arm.deployments.preview import preview
from lurewire.arm.deployments.show import warnings, warnings_of
from lurewire.arm.errors import InvalidDeployment
from lurewire.arm.identities import identities_of
from lurewire.core.errors import Forbidden, WireError
from lurewire.expressions import pointer

if TYPE_CHECKING:
    from lurewire.arm.deployments.request import Request
    from lurewire.arm.deployments.run import Permission
    from lurewire.arm.deployments.template import Declared
    from lurewire.arm.store import ResourceStore
    from lurewire.core.resources import ResourceId

Changes = list[dict[str, Any]]

_FORMATS = ("FullResourcePayloads", "ResourceIdOnly")
_NOT_COMPARED = {"id", "name", "type", "etag", "systemData", "apiVersion"}


def result_format(properties: Any) -> str:
    """How much of each resource the result has; raises `InvalidDeployment`."""
    settings = properties.get("whatIfSettings") if isinstance(properties, dict) else None
    wanted = settings.get("resultFormat") if isinstance(settings, dict) else None
    found = next((one for one in _FORMATS if one.lower() == str(wanted or _FORMATS[0]).lower()), None)
    if found is None:
        raise InvalidDeployment(f"The result format '{wanted}' is not one of {' and '.join(_FORMATS)}.")
    return found


class WhatIf:
    """The prediction for one deployment."""

    def __init__(self, store: ResourceStore, request: Request, permit: Permission, *, full: bool) -> None:
        self._store = store
        self._permit = permit
        self._request = request
        self._full = full
        self._changes: Changes = []
        self._diagnostics: list[dict[str, Any]] = []
        self._seen: set[str] = set()

    async def result(self, plan: Plan) -> dict[str, Any]:
        """The `properties` of the answer."""
        await self._plan(plan, self._request.id)
        deleted = surplus(self._store, self._request, plan) if self._request.mode == "Complete" else []
        for one in deleted:
            self._untouched(one, "Delete")
        for one in tracked(self._store, self._request):
            if one.key not in self._seen and self._may_read(one):
                self._untouched(one, "Ignore")
        changes = sorted(self._changes, key=lambda change: str(change["resourceId"]).lower())
        return {
            "correlationId": self._request.correlation_id,
            "changes": changes,
            "potentialChanges": [],
            "diagnostics": [*self._diagnostics, *warnings(plan, self._store)],
        }

    async def _plan(self, plan: Plan, deployment: ResourceId) -> None:
        for index, resource in enumerate(plan.resources):
            if not resource.deployed:
                continue
            if resource.nested is None:
                await self._resource(plan, resource, deployment)
                await asyncio.sleep(0)  # a template may have hundreds: other requests are answered in between
            elif index in plan.children:
                await self._plan(plan.children[index], resource.id)
            else:
                self._diagnostics.append(
                    {
                        "code": "NestedDeploymentShortCircuited",
                        "level": "Info",
                        "target": str(resource.id),
                        "message": (
                            "A nested deployment got short-circuited and all its resources got skipped from "
                            "validation. This is due to a nested template having a parameter that was not fully "
                            "evaluated (contains a reference() function)."
                        ),
                    }
                )

    async def _resource(self, plan: Plan, resource: Declared, deployment: ResourceId) -> None:
        self._seen.add(resource.id.key)
        body, secrets = self._body(plan, resource)
        self._diagnostics += plan.redactor(warnings_of(resource.id, body, self._store))
        named = {"id": str(resource.id), "name": resource.id.name, "type": resource.id.type}
        existing = self._store.get(resource.id)
        row: dict[str, Any] = {"resourceId": str(resource.id), "deploymentId": str(deployment)}
        if resource.symbol is not None:
            row["symbolicName"] = resource.symbol
        version = {"apiVersion": resource.api_version}
        if existing is None:
            row |= {"changeType": "Create"}
            whole = self._store.masked(resource.id, body, Hidden, secrets)
            row |= {"before": None, "after": masked(version | named | whole), "delta": None}
        elif not self._may_read(resource.id):
            row |= {"changeType": "Deploy", "before": None, "after": None, "delta": None}
        else:
            row["resourceId"] = existing["id"]
            before = self._store.masked(resource.id, _compared(existing), Hidden)
            after, volatile = await self._after(resource, body, existing)
            shown = self._store.masked(resource.id, after, Hidden, secrets)
            changes = [one for one in delta(before, shown) if one["path"] not in volatile]
            named = {name: existing[name] for name in ("id", "name", "type")}
            row |= {
                "changeType": "Modify" if changes else "NoChange",
                "before": masked(version | named | before),
                "after": masked(version | named | (shown if changes else before)),
                "delta": masked(changes),
            }
        self._add(plan.redactor(row))

    async def _after(
        self, resource: Declared, body: dict[str, Any], existing: dict[str, Any]
    ) -> tuple[dict[str, Any], set[str]]:
        """The resource as it would be stored, and the properties that each PUT of it changes."""
        known = _compared(existing)
        if identities_of(body) == identities_of(existing):
            body = body | ({"identity": existing["identity"]} if "identity" in existing else {})
        try:
            after = _compared(await self._store.prepared(resource.id, body, self._request.principal))
            again = _compared(await self._store.prepared(resource.id, known, self._request.principal))
        except WireError:
            # It may need what this deployment makes first: then what the template names is all that is known.
            return merged(known, body), set()
        volatile = {path for path in paths(delta(known, again)) if not has(body, path)}
        return after, volatile

    def _body(self, plan: Plan, resource: Declared) -> tuple[dict[str, Any], list[str]]:
        """The body, each expression that waits for another resource as it is written; and where secrets are in it."""
        secrets: list[str] = []
        if not plan.borrowed:
            plan.context.runtime = preview(plan.directory)
        try:
            body = self._tree(plan, resource.body, resource.where, "", secrets)
        finally:
            if not plan.borrowed:
                plan.context.runtime = None
        return body, secrets

    def _tree(self, plan: Plan, value: Any, where: str, place: str, secrets: list[str]) -> Any:
        if isinstance(value, dict):
            result: dict[str, Any] = {}
            for raw, child in value.items():
                [name] = plan.context.watch({raw: None}, TEMPLATE_FUNCTIONS, where).value
                inside = f"{place}/{pointer(name)}"
                result[name] = self._tree(plan, child, f"{where}/{pointer(raw)}", inside, secrets)
            return result
        if isinstance(value, list):
            return [
                self._tree(plan, child, f"{where}/{index}", f"{place}/{index}", secrets)
                for index, child in enumerate(value)
            ]
        try:
            found = plan.context.watch(value, TEMPLATE_FUNCTIONS, where)
        except NotDeployedYet:
            return str(value)
        if found.secret:
            secrets.append(place)
        return found.value

    def _untouched(self, resource_id: ResourceId, change: str) -> None:
        self._seen.add(resource_id.key)
        body = self._store.shown(resource_id) if self._may_read(resource_id) else None
        shown = {name: value for name, value in (body or {}).items() if name not in ("etag", "systemData")} or None
        row = {"resourceId": str(resource_id), "changeType": change, "before": shown, "after": None, "delta": None}
        self._add(row | ({"after": shown} if change == "Ignore" else {}))

    def _may_read(self, resource_id: ResourceId) -> bool:
        """Whether who asks may see the resource: to deploy it, or to delete it, takes no right to read it."""
        try:
            self._permit(f"{resource_id.type}/read", str(resource_id))
        except Forbidden:
            return False
        return True

    def _add(self, row: dict[str, Any]) -> None:
        if self._full:
            self._changes.append(row)
            return
        change = "Deploy" if row["changeType"] in ("Modify", "NoChange") else row["changeType"]
        kept = {key: row[key] for key in ("resourceId", "deploymentId", "symbolicName") if key in row}
        self._changes.append(kept | {"changeType": change})


def _compared(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _NOT_COMPARED}
