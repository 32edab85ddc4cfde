"""Microsoft.Insights/dataCollectionEndpoints and dataCollectionRules.

Source: contract section E.6; https://learn.microsoft.com/azure/templates/microsoft.insights/datacollectionrules
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, InvalidResourceId, ResourceId, ResourceType
from lurewire.ingestion.associations import association_type
from lurewire.ingestion.errors import RuleInvalid
from lurewire.ingestion.models import MICROSOFT, Flow, RuleModel, read_rule
from lurewire.kql import KqlError, KqlType
from lurewire.schemas import CUSTOM_SUFFIX
from lurewire.workspace import FlowDefinition, SchemaConflict, Stream, StreamDefinition, misfits

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.core.resources import Resources
    from lurewire.ingestion.service import Ingestion
    from lurewire.workspace import Workspace, Workspaces

ENDPOINT = "Microsoft.Insights/dataCollectionEndpoints"
RULE = "Microsoft.Insights/dataCollectionRules"

DIRECT = "Direct"
ENDPOINT_PATH = "/dataCollectionEndpoints"
"""Where the URLs of endpoints are, by their immutable ids: there is one host for all."""
KEPT_OF_TABLES = (
    "plan",
    "retentionInDays",
    "retentionInDaysAsDefault",
    "totalRetentionInDays",
    "totalRetentionInDaysAsDefault",
)
"""What the body that widens a table repeats of the stored one, beside its schema: a default stays a default."""

_PUBLIC = "Enabled"
_NETWORK_ACCESS = (_PUBLIC, "Disabled", "SecuredByPerimeter")
_TIME = "TimeGenerated"
_SET_BY_US = ("TenantId", "Type")
_TYPE_TEXTS = {
    KqlType.BOOL: "Boolean",
    KqlType.REAL: "Double",
    KqlType.DATETIME: "DateTime",
    KqlType.TIMESPAN: "TimeSpan",
}


def resource_types(
    ingestion: Ingestion, workspaces: Workspaces, resources: Resources, url_of: Callable[[str], str]
) -> tuple[ResourceType, ...]:
    """The resource types of this room; they come after those of the workspace. `url_of` gives the URL of an immutable id."""
    endpoints = _EndpointType(ingestion, url_of)
    rules = _RuleType(ingestion, workspaces, resources, url_of)
    return (
        ResourceType(ENDPOINT, endpoints.prepare, endpoints.applied, endpoints.deleted),
        ResourceType(RULE, rules.prepare, rules.applied, rules.deleted),
        association_type(resources),
    )


class _EndpointType:
    def __init__(self, ingestion: Ingestion, url_of: Callable[[str], str]) -> None:
        self._ingestion = ingestion
        self._url_of = url_of

    async def prepare(self, change: Change) -> dict[str, Any]:
        given = change.body.get("properties") or {}
        if not isinstance(given, dict):
            raise _endpoint_invalid("'properties' is an object.", "properties")
        networks = given.get("networkAcls", {})
        if not isinstance(networks, dict) or networks.get("publicNetworkAccess", _PUBLIC) not in _NETWORK_ACCESS:
            message = f"'publicNetworkAccess' is one of {', '.join(_NETWORK_ACCESS)}."
            raise _endpoint_invalid(message, "properties.networkAcls.publicNetworkAccess")
        immutable_id = _immutable_id("dce", change.existing)
        url = self._url_of(immutable_id)
        properties: dict[str, Any] = given | {"networkAcls": {"publicNetworkAccess": _PUBLIC} | networks}
        properties |= {
            "immutableId": immutable_id,
            "configurationAccess": {"endpoint": url},
            "logsIngestion": {"endpoint": url},
            "metricsIngestion": {"endpoint": url},
            "provisioningState": "Succeeded",
        }
        return change.body | {"properties": properties}

    async def applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        access = body["properties"]["networkAcls"].get("publicNetworkAccess", _PUBLIC)
        self._ingestion.open_endpoint(resource_id, body["properties"]["immutableId"], public=access == _PUBLIC)

    async def deleted(self, resource_id: ResourceId) -> None:
        self._ingestion.close_endpoint(resource_id)


def _endpoint_invalid(message: str, target: str) -> RuleInvalid:
    problem = {"code": "InvalidProperties", "message": message, "target": target}
    return RuleInvalid([problem], "Data collection endpoint is invalid")


class _RuleType:
    def __init__(
        self, ingestion: Ingestion, workspaces: Workspaces, resources: Resources, url_of: Callable[[str], str]
    ) -> None:
        self._ingestion = ingestion
        self._workspaces = workspaces
        self._resources = resources
        self._url_of = url_of

    async def prepare(self, change: Change) -> dict[str, Any]:
        rule = read_rule(change.body, self._ingestion.limits)
        if rule.endpoint_id is not None and not self._has_endpoint(rule.endpoint_id):
            message = f"The data collection endpoint '{rule.endpoint_id[:300]}' was not found."
            rule.refuse("InvalidDataCollectionEndpoint", message, "properties.dataCollectionEndpointId")
        for flow in rule.flows:
            self._check(rule, flow)
        if rule.problems:
            raise RuleInvalid(rule.problems)
        properties = dict(change.body["properties"])
        for destination in properties["destinations"]["logAnalytics"]:
            self._ingestion.check_link(change.principal, str(destination["workspaceResourceId"]))
        properties["destinations"] = {"logAnalytics": self._destinations(properties["destinations"]["logAnalytics"])}
        immutable_id = _immutable_id("dcr", change.existing)
        properties |= {"immutableId": immutable_id, "provisioningState": "Succeeded"}
        if rule.kind == DIRECT:
            properties["endpoints"] = dict.fromkeys(("logsIngestion", "metricsIngestion"), self._url_of(immutable_id))
        return change.body | {"properties": properties}

    async def applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        await self._ingestion.activate(
            resource_id, body["properties"]["immutableId"], read_rule(body, self._ingestion.limits)
        )

    async def deleted(self, resource_id: ResourceId) -> None:
        self._ingestion.deactivate(resource_id)

    def _has_endpoint(self, text: str) -> bool:
        try:
            endpoint = ResourceId.parse(text)
        except InvalidResourceId:
            return False
        return endpoint.type.lower() == ENDPOINT.lower() and self._resources.get(endpoint) is not None

    def _destinations(self, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = ((entry, self._workspaces.by_id(entry["workspaceResourceId"])) for entry in given)
        return [entry | ({} if ws is None else {"workspaceId": ws.customer_id}) for entry, ws in found]

    def _check(self, rule: RuleModel, flow: Flow) -> None:
        """Everything that only a compiler and the destination can say."""
        place = f"properties.dataFlows[{flow.index}]"
        try:
            stream = Stream(StreamDefinition.of(flow.columns, [FlowDefinition(flow.table, flow.transform)]))
        except KqlError as error:
            for one in error.errors:
                message = f"Line {one.line}, column {one.column}: {one.message}{f' ({one.hint})' if one.hint else ''}"
                rule.refuse("InvalidTransformQuery", message, f"{place}.transformKql")
            return
        outputs = stream.flows[0].outputs
        names = {column.name for column in outputs}
        if _TIME not in names:
            message = f"The transform output must contain the column '{_TIME}' of type datetime."
            rule.refuse("InvalidTransformQuery", message, f"{place}.transformKql")
        for name in (name for name in _SET_BY_US if name in names):
            message = f"The column '{name}' is set by the service and cannot be an output of the transform."
            rule.refuse("InvalidTransformOutput", message, f"{place}.transformKql")
        for destination in flow.destinations:
            if destination in rule.destinations:
                self._check_destination(rule, flow, destination, stream)

    def _check_destination(self, rule: RuleModel, flow: Flow, destination: str, stream: Stream) -> None:
        place = f"properties.dataFlows[{flow.index}]"
        workspace = self._workspace(rule.destinations[destination])
        if workspace is None:
            message = f"The workspace of destination '{destination[:80]}' was not found."
            rule.refuse("InvalidDestination", message, "properties.destinations.logAnalytics")
            return
        builtin = flow.output_stream.startswith(MICROSOFT)
        fits = flow.table in self._ingestion.writable if builtin else flow.table.endswith(CUSTOM_SUFFIX)
        table = _table(workspace, flow.table) if fits else None
        if table is None:
            message = f"Table for output stream '{flow.output_stream[:80]}' is not available for destination '{destination[:80]}'."
            rule.refuse("InvalidOutputTable", message, place)
            return
        wrong = misfits(stream.flows[0].outputs, table)
        if wrong:
            listed = ", ".join(f"{n} [produced:'{_type_text(p)}', output:'{_type_text(t)}']" for n, p, t in wrong)
            message = f"Types of transform output columns do not match the ones defined by the output stream: {listed}"
            rule.refuse("InvalidTransformOutput", message, place)

    def _workspace(self, resource_id: str) -> Workspace | None:
        return self._workspaces.by_id(resource_id)


def _table(workspace: Workspace, name: str) -> Any:
    try:
        return workspace.tables.find(name)
    except SchemaConflict:
        return None


def _immutable_id(prefix: str, existing: dict[str, Any] | None) -> str:
    known = (existing or {}).get("properties", {}).get("immutableId")
    return str(known) if known else f"{prefix}-{uuid.uuid4().hex}"


def _type_text(kind: KqlType) -> str:
    return _TYPE_TEXTS.get(kind, str(kind).capitalize())
