"""An alert as it leaves a rule: the REST API's SecurityAlert with its entities, and the row of table SecurityAlert.

Sources: azure.md F.3 (SecurityAlert of the API), F.6 (table), G.5 (what playbooks read);
https://learn.microsoft.com/azure/sentinel/security-alert-schema.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lurewire.analytics import details, times
from lurewire.analytics.models import AlertDetail, Matching, RuleKind, ScheduledProperties
from lurewire.kql import datetime_text, timespan_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.analytics.details import Results
    from lurewire.analytics.entities import Entity
    from lurewire.analytics.models import Grouping
    from lurewire.analytics.rules import Rule
    from lurewire.core.limits import Limits

_NAMESPACE: Final = uuid.UUID("0b3e1c0a-8d7c-5b0e-9a55-4c8f8e2f9d21")
_PROVIDER: Final = {RuleKind.SCHEDULED: "ASI Scheduled Alerts", RuleKind.NRT: "ASI NRT Alerts"}
_COMPONENT: Final = {RuleKind.SCHEDULED: "Scheduled Alerts", RuleKind.NRT: "NRT Alerts"}

ALERT_TABLE: Final = "SecurityAlert"
"""The table that has a row for every alert."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a run looked at, in ticks: after `start`, up to and with `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: `key` is its idempotency key, `id` the system alert id made from it.

    `payload` is the message `alert.raised`, `row` the row of table SecurityAlert.
    """

    id: str
    key: str
    payload: dict[str, Any]
    row: dict[str, Any]


def key_of(*parts: object) -> str:
    """An alert's key: the same parts give the same key, in every process."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def build(
    rule: Rule, results: Results, key: str, *, window: Window, now: int, customer_id: str, limits: Limits
) -> Alert:
    """The alert of `results`, which were found in `window` and are raised at `now` in workspace `customer_id`."""
    p = rule.properties
    alert_id = str(uuid.uuid5(_NAMESPACE, key))
    found = details.entities(p, results, limits)
    custom = details.custom_details(p, results, limits)
    override = p.alert_details_override
    name = details.formatted(
        override.alert_display_name_format if override else None,
        results,
        p.display_name,
        limits["analytics.alert_name_bytes"],
    )
    description = details.formatted(
        override.alert_description_format if override else None,
        results,
        p.description or "",
        limits["analytics.alert_description_bytes"],
    )
    first, last = results.span("TimeGenerated") or (window.start, window.end)
    more = details.overrides(p, results)
    base: dict[str, Any] = {
        "systemAlertId": alert_id,
        "alertDisplayName": name,
        "description": description,
        "severity": details.severity(p, results).value,
        "tactics": details.tactics(p, results),
        "techniques": _names(more.get("Techniques")) or list(p.techniques),
        "subTechniques": list(p.sub_techniques),
        "startTimeUtc": datetime_text(first),
        "endTimeUtc": datetime_text(last),
        "timeGenerated": datetime_text(now),
        "processingEndTime": datetime_text(now),
        "alertType": f"{customer_id}_{rule.id.name}",
        "alertLink": more.get("AlertLink", ""),
        "confidenceLevel": more.get("ConfidenceLevel", "Unknown"),
        "confidenceScore": _number(more.get("ConfidenceScore")),
        "extendedLinks": more.get("ExtendedLinks", ""),
        "remediationSteps": _names(more.get("RemediationSteps")),
        "providerName": more.get("ProviderName", _PROVIDER[rule.kind]),
        "productName": more.get("ProductName", "Azure Sentinel"),
        "productComponentName": more.get("ProductComponentName", _COMPONENT[rule.kind]),
        "vendorName": "Microsoft",
        "extendedProperties": _extended(rule, results, custom, window),
    }
    payload = {
        "id": alert_id,
        "workspace": rule.id.scope,
        "rule": {"id": str(rule.id), "name": rule.id.name, "kind": rule.kind.value},
        "alert": _as_api(rule, base, customer_id),
        "entities": [entity.as_api(rule.insights) for entity in found],
        "techniques": base["techniques"],
        "customDetails": custom,
        "createIncident": p.incident_configuration is None or p.incident_configuration.create_incident,
        "grouping": _grouping(rule, base, found, custom),
    }
    return Alert(alert_id, key, payload, _as_row(rule, base, found))


def _names(text: str | None) -> list[str]:
    """A JSON array of texts, or texts with commas between them."""
    if not text:
        return []
    try:
        parsed = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        parsed = text.split(",")
    return [str(part).strip() for part in parsed] if isinstance(parsed, list) else [text]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _extended(rule: Rule, results: Results, custom: dict[str, list[str]], window: Window) -> dict[str, str]:
    p = rule.properties
    scheduled = (
        {
            "Query Period": timespan_text(p.query_period.ticks),
            "Trigger Operator": p.trigger_operator.value,
            "Trigger Threshold": str(p.trigger_threshold),
        }
        if isinstance(p, ScheduledProperties)
        else {}
    )
    return {
        "Query": p.query,
        **scheduled,
        "Query Start Time UTC": datetime_text(window.start),
        "Query End Time UTC": datetime_text(window.end),
        "Analytic Rule Ids": _json([rule.id.name]),
        "Analytic Rule Name": p.display_name,
        "Custom Details": _json(custom),
        "Search Query Results Overall Count": str(results.count),
        "Event Grouping": "AlertPerResult" if rule.per_result else "SingleAlert",
    }


def _as_api(rule: Rule, base: dict[str, Any], customer_id: str) -> dict[str, Any]:
    left_out = ("providerName", "extendedProperties", "techniques", "subTechniques", "extendedLinks")
    properties = {k: v for k, v in base.items() if k not in left_out}
    return {
        "id": f"{rule.insights}/Entities/{base['systemAlertId']}",
        "name": base["systemAlertId"],
        "type": "Microsoft.SecurityInsights/Entities",
        "kind": "SecurityAlert",
        "properties": {
            **properties,
            "compromisedEntity": "",
            "confidenceReasons": [],
            "confidenceScoreStatus": "NotApplicable" if base["confidenceScore"] is None else "Final",
            "intent": "Unknown",
            "providerAlertId": base["systemAlertId"],
            "productVersion": None,
            "status": "New",
            "resourceIdentifiers": [
                {
                    "type": "LogAnalytics",
                    "workspaceId": customer_id,
                    "subscriptionId": rule.id.subscription,
                    "resourceGroup": rule.id.resource_group,
                }
            ],
            "friendlyName": base["alertDisplayName"],
            "additionalData": {
                **base["extendedProperties"],
                "Techniques": _json(base["techniques"]),
                "SubTechniques": _json(base["subTechniques"]),
            },
        },
    }


def _as_row(rule: Rule, base: dict[str, Any], found: Sequence[Entity]) -> dict[str, Any]:
    """The row of table SecurityAlert, by column; Entities, ExtendedProperties and the like are JSON in text."""
    return {
        "TimeGenerated": base["timeGenerated"],
        "DisplayName": base["alertDisplayName"],
        "AlertName": base["alertDisplayName"],
        "AlertSeverity": base["severity"],
        "Description": base["description"],
        "ProviderName": base["providerName"],
        "VendorName": base["vendorName"],
        "SourceSystem": "Detection",
        "VendorOriginalId": base["systemAlertId"],
        "SystemAlertId": base["systemAlertId"],
        "AlertType": base["alertType"],
        "ConfidenceLevel": base["confidenceLevel"],
        "ConfidenceScore": base["confidenceScore"],
        "IsIncident": False,
        "StartTime": base["startTimeUtc"],
        "EndTime": base["endTimeUtc"],
        "ProcessingEndTime": base["processingEndTime"],
        "RemediationSteps": _json(base["remediationSteps"]) if base["remediationSteps"] else "",
        "ExtendedProperties": _json(base["extendedProperties"]),
        "Entities": _json([entity.as_alert(i) for i, entity in enumerate(found, 1)]),
        "WorkspaceSubscriptionId": rule.id.subscription or "",
        "WorkspaceResourceGroup": rule.id.resource_group or "",
        "ExtendedLinks": base["extendedLinks"],
        "ProductName": base["productName"],
        "ProductComponentName": base["productComponentName"],
        "AlertLink": base["alertLink"],
        "Status": "New",
        "CompromisedEntity": "",
        "Tactics": ",".join(base["tactics"]),
        "Techniques": _json(base["techniques"]) if base["techniques"] else "",
        "SubTechniques": _json(base["subTechniques"]) if base["subTechniques"] else "",
    }


def _grouping(
    rule: Rule, base: dict[str, Any], found: Sequence[Entity], custom: dict[str, list[str]]
) -> dict[str, Any] | None:
    incidents = rule.properties.incident_configuration
    grouping = incidents.grouping_configuration if incidents else None
    if grouping is None or not grouping.enabled:
        return None
    return {
        "key": key_of(rule.key, *_group(grouping, base, found, custom)),
        "lookbackSeconds": grouping.lookback_duration.ticks // times.SECOND,
        "reopenClosed": grouping.reopen_closed_incident,
    }


def _group(
    grouping: Grouping, base: dict[str, Any], found: Sequence[Entity], custom: dict[str, list[str]]
) -> list[str]:
    """What alerts of one incident have in common."""
    if grouping.matching_method is Matching.ANY_ALERT:
        return []
    if grouping.matching_method is Matching.ALL_ENTITIES:
        return sorted(entity.name for entity in found)
    kinds = {name.lower() for name in grouping.group_by_entities}
    fields = {AlertDetail.DISPLAY_NAME: "alertDisplayName", AlertDetail.SEVERITY: "severity"}
    return [
        *sorted(entity.name for entity in found if entity.type.name.lower() in kinds),
        *(f"{d}={base[fields[d]]}" for d in grouping.group_by_alert_details),
        *(f"{name}={_json(sorted(custom.get(name, [])))}" for name in grouping.group_by_custom_details),
    ]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
