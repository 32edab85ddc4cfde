"""Diagnostic settings: which logs of a resource go to which workspace.

Sources: https://learn.microsoft.com/rest/api/monitor/diagnostic-settings,
https://learn.microsoft.com/rest/api/monitor/diagnostic-settings-category and
https://learn.microsoft.com/azure/azure-monitor/essentials/diagnostic-settings. The rooms whose resources have logs ask
`Diagnostics.workspaces` where to write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from lurewire.arm.errors import (
    DiagnosticConflict,
    DiagnosticsNotSupported,
    InvalidDiagnosticSetting,
    ResourceNotFound,
)
from lurewire.arm.limits import LIMITS
from lurewire.arm.scopes import resource_id
from lurewire.core.errors import LinkedAuthorizationFailed
from lurewire.core.http import Audience, Gatekeeper, Needs, Route
from lurewire.core.limits import Limits
from lurewire.core.resources import InvalidResourceId, ResourceId, ResourceType

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lurewire.arm.scopes import Scopes
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Change, Resources

SETTINGS = "Microsoft.Insights/diagnosticSettings"
CATEGORIES = "Microsoft.Insights/diagnosticSettingsCategories"
_WORKSPACES = "microsoft.operationalinsights/workspaces"
_ELSEWHERE = (
    "storageAccountId",
    "eventHubAuthorizationRuleId",
    "eventHubName",
    "serviceBusRuleId",
    "marketplacePartnerId",
)
_KNOWN = {"workspaceId", "logs", "metrics", "logAnalyticsDestinationType"}
_METRICS = "AllMetrics"
_LINK = "Microsoft.OperationalInsights/workspaces/sharedKeys/action"


@dataclass(frozen=True, slots=True)
class Categories:
    """The log categories of a resource type; `audit` are those of the category group of that name."""

    logs: tuple[str, ...]
    audit: tuple[str, ...] = ()
    metrics: bool = True

    def groups(self, category: str) -> list[str]:
        """The category groups that a category is in."""
        return ["allLogs", *(["audit"] if category in self.audit else [])]


LOGGED: dict[str, Categories] = {
    "microsoft.insights/datacollectionrules": Categories(("LogErrors", "LogTroubleshooting")),
    "microsoft.keyvault/vaults": Categories(("AuditEvent", "AzurePolicyEvaluationDetails"), audit=("AuditEvent",)),
    "microsoft.logic/workflows": Categories(("WorkflowRuntime",)),
    _WORKSPACES: Categories(("Audit", "SummaryLogs"), audit=("Audit",)),
    "microsoft.resources/subscriptions": Categories(
        (
            "Administrative",
            "Security",
            "ServiceHealth",
            "Alert",
            "Recommendation",
            "Policy",
            "Autoscale",
            "ResourceHealth",
        ),
        metrics=False,
    ),
}
"""Resource types with logs, each with the page below https://learn.microsoft.com/azure/azure-monitor/reference/logs-index."""


class Diagnostics:
    """The resource type of diagnostic settings, and the question that rooms ask of them."""

    def __init__(self, resources: Resources, gatekeeper: Gatekeeper, limits: Limits | None = None) -> None:
        self._resources = resources
        self._gatekeeper = gatekeeper
        self._limits = limits or Limits(LIMITS)

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """What the store is to know."""
        return (ResourceType(SETTINGS, self._prepare, _applied, _deleted),)

    def workspaces(self, resource: ResourceId, category: str) -> list[ResourceId]:
        """The workspaces that get the logs of a category of a resource."""
        categories = LOGGED.get(resource.type.lower())
        if categories is None:
            return []
        found = {}
        for _, properties in self._of(resource):
            if category.lower() in _sent(properties, categories):
                workspace = ResourceId.parse(properties["workspaceId"])
                found[workspace.key] = workspace
        return list(found.values())

    def _of(self, resource: ResourceId) -> list[tuple[ResourceId, dict[str, Any]]]:
        rows = ((ResourceId.parse(body["id"]), body["properties"]) for body in self._resources.list(SETTINGS))
        return [(one, properties) for one, properties in rows if one.scope.lower() == resource.key]

    async def _prepare(self, change: Change) -> dict[str, Any]:
        resource = resource_id(change.id.scope)
        categories = LOGGED.get(resource.type.lower())
        if categories is None:
            raise DiagnosticsNotSupported(f"The resource type '{resource.type}' does not support diagnostic settings.")
        properties = change.body.get("properties")
        if not isinstance(properties, dict):
            raise InvalidDiagnosticSetting("A diagnostic setting needs 'properties'.")
        self._check_destination(properties, change.principal)
        logs = _rows(properties, "logs", categories.logs, ("allLogs", "audit"))
        metrics = _rows(properties, "metrics", (_METRICS,) if categories.metrics else (), ())
        if not any(row["enabled"] for row in (*logs, *metrics)):
            raise InvalidDiagnosticSetting("A diagnostic setting needs a log or a metric that is enabled.")
        whole = properties | {"logs": logs, "metrics": metrics}
        self._check_others(change.id, resource, whole, categories)
        return {"location": None, "kind": None, "tags": None, "identity": None, "properties": whole}

    def _check_destination(self, properties: dict[str, Any], principal: Principal | None) -> None:
        for name in _ELSEWHERE:
            if properties.get(name) is not None:
                message = f"'{name}' is not supported: logs go to workspaces here, named by 'workspaceId'."
                raise InvalidDiagnosticSetting(message)
        other = sorted(name for name in set(properties) - _KNOWN - set(_ELSEWHERE) if properties[name] is not None)
        if other:
            raise InvalidDiagnosticSetting(f"'{other[0]}' is not supported in a diagnostic setting.")
        kind = properties.get("logAnalyticsDestinationType")
        if kind not in (None, "Dedicated", "AzureDiagnostics"):
            raise InvalidDiagnosticSetting("'logAnalyticsDestinationType' is Dedicated or AzureDiagnostics.")
        try:
            workspace = ResourceId.parse(str(properties.get("workspaceId") or ""))
        except InvalidResourceId as error:
            raise InvalidDiagnosticSetting(f"'workspaceId' must be the id of a workspace: {error}.") from None
        if principal is not None and not self._gatekeeper.allows(principal, _LINK, str(workspace), data=False):
            # Before anything else is said of it: who has no right to it does not learn whether it is there.
            raise LinkedAuthorizationFailed(principal, f"{SETTINGS}/write", _LINK, str(workspace))
        if workspace.type.lower() != _WORKSPACES or self._resources.get(workspace) is None:
            raise ResourceNotFound(workspace)

    def _check_others(
        self, own: ResourceId, resource: ResourceId, properties: dict[str, Any], categories: Categories
    ) -> None:
        others = [row for row in self._of(resource) if row[0] != own]
        most = self._limits["arm.diagnostic_settings"]
        if len(others) >= most:
            raise DiagnosticConflict(f"The limit of {most} diagnostic settings was reached for '{resource}'.")
        wanted = _sent(properties, categories)
        for other, theirs in others:
            same = theirs["workspaceId"].lower() == properties["workspaceId"].lower()
            twice = sorted(wanted & _sent(theirs, categories)) if same else []
            if twice:
                raise DiagnosticConflict(
                    f"Data sink '{properties['workspaceId']}' is already used in diagnostic setting '{other.name}' for "
                    f"category '{twice[0]}'. Data sinks can't be reused in different settings on the same category for "
                    "the same resource."
                )


def _rows(
    properties: dict[str, Any], section: str, categories: tuple[str, ...], groups: tuple[str, ...]
) -> list[dict[str, Any]]:
    rows = properties.get(section) or []
    if not isinstance(rows, list):
        raise InvalidDiagnosticSetting(f"'{section}' must be an array.")
    made = []
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("enabled", False), bool):
            raise InvalidDiagnosticSetting(f"Each of '{section}' has a 'category' and 'enabled', true or false.")
        key, known = ("categoryGroup", groups) if row.get("categoryGroup") is not None else ("category", categories)
        found = next((one for one in known if one.lower() == str(row.get(key)).lower()), None)
        if found is None:
            raise InvalidDiagnosticSetting(f"Category '{row.get(key)}' is not supported.")
        retention = row.get("retentionPolicy") or {"enabled": False, "days": 0}
        made.append(
            {"category": None, "categoryGroup": None, key: found}
            | {
                "enabled": row.get("enabled", False),
                "retentionPolicy": retention,
            }
        )
    return made


def _sent(properties: dict[str, Any], categories: Categories) -> set[str]:
    """The categories, in lower case, whose logs a setting sends."""
    found = set[str]()
    for row in properties["logs"]:
        if row["enabled"]:
            group = {"allLogs": categories.logs, "audit": categories.audit}.get(row["categoryGroup"], ())
            found |= {one.lower() for one in (*group, *([row["category"]] if row["category"] else []))}
    return found


async def _applied(_resource_id: ResourceId, _body: dict[str, Any]) -> None:
    """Rooms ask for what is stored."""


async def _deleted(_resource_id: ResourceId) -> None:
    """As above."""


def category_routes(resources: Resources, scopes: Scopes) -> tuple[Route, ...]:
    """What each resource could send."""
    path = f"/{{scope:path}}/providers/{CATEGORIES}"
    needs = Needs(f"{CATEGORIES}/read", Audience.MANAGEMENT, scopes.of(lambda one: f"/{one.path_params['scope']}"))

    def rows(request: Request) -> list[dict[str, Any]]:
        resource = resource_id(f"/{request.path_params['scope']}")
        is_subscription = resource.type.lower() == "microsoft.resources/subscriptions"
        if not is_subscription and resources.get(resource) is None:
            raise ResourceNotFound(resource)
        categories = LOGGED.get(resource.type.lower())
        if categories is None:
            raise DiagnosticsNotSupported(f"The resource type '{resource.type}' does not support diagnostic settings.")
        found: list[tuple[str, dict[str, Any]]] = [
            (name, {"categoryType": "Logs", "categoryGroups": categories.groups(name)}) for name in categories.logs
        ]
        found += [(_METRICS, {"categoryType": "Metrics"})] if categories.metrics else []
        return [
            {"id": f"{resource}/providers/{CATEGORIES}/{name}", "name": name, "type": CATEGORIES, "properties": row}
            for name, row in found
        ]

    async def every(request: Request) -> Response:
        return JSONResponse({"value": rows(request)})

    async def one(request: Request) -> Response:
        wanted = request.path_params["name"].lower()
        for row in rows(request):
            if row["name"].lower() == wanted:
                return JSONResponse(row)
        raise ResourceNotFound(resource_id(f"/{request.path_params['scope']}/providers/{CATEGORIES}/{wanted}"))

    return (Route("GET", path, every, needs), Route("GET", f"{path}/{{name}}", one, needs))
