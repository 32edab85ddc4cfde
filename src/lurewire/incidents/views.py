"""Incidents as others see them: the REST API, a playbook's trigger body, the row of table SecurityIncident.

Sources: azure.md F.3 (API), F.6 (table), G.5 (trigger body).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lurewire.core.resources import ResourceId
from lurewire.incidents import store
from lurewire.incidents import tables as t

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from lurewire.incidents.store import Incident

INCIDENT_TABLE: Final = "SecurityIncident"
"""The table that has a row for every change of an incident."""

_TYPE: Final = "Microsoft.SecurityInsights/Incidents"


def incident(conn: sa.Connection, it: Incident, portal: str) -> dict[str, Any]:
    """The incident of the REST API; `portal` is the address that `incidentUrl` starts with."""
    return {
        "id": it.id,
        "name": it.name,
        "etag": it.etag,
        "type": _TYPE,
        "properties": {
            "title": it.title,
            "description": it.description,
            "severity": it.severity,
            "status": it.status,
            "classification": it.classification,
            "classificationReason": it.classification_reason,
            "classificationComment": it.classification_comment,
            "owner": it.owner,
            "labels": it.labels,
            "firstActivityTimeUtc": it.first_activity,
            "lastActivityTimeUtc": it.last_activity,
            "lastModifiedTimeUtc": it.modified,
            "createdTimeUtc": it.created,
            "incidentNumber": it.number,
            "additionalData": _additional(conn, it),
            "relatedAnalyticRuleIds": it.rule_ids,
            "incidentUrl": f"{portal}/incidents/{it.name}",
            "providerName": it.provider_name,
            "providerIncidentId": it.provider_incident_id,
        },
    }


def _additional(conn: sa.Connection, it: Incident) -> dict[str, Any]:
    return {
        "alertsCount": store.count(conn, t.alerts, it),
        "bookmarksCount": 0,
        "commentsCount": store.count(conn, t.comments, it),
        "alertProductNames": it.product_names,
        "tactics": it.tactics,
        "techniques": it.techniques,
    }


def full(conn: sa.Connection, it: Incident, portal: str) -> dict[str, Any]:
    """The incident with its alerts, entities and comments: the `object` of a playbook's trigger body."""
    seen = incident(conn, it, portal)
    seen["properties"] |= {
        "alerts": alerts(conn, it),
        "bookmarks": [],
        "comments": [comment(it, row) for row in store.rows(conn, t.comments, it)],
        "relatedEntities": entities(conn, it),
    }
    return seen


def alerts(conn: sa.Connection, it: Incident) -> list[dict[str, Any]]:
    """The SecurityAlerts of the REST API."""
    return [row["body"] for row in store.rows(conn, t.alerts, it)]


def entities(conn: sa.Connection, it: Incident) -> list[dict[str, Any]]:
    """The Entities of the REST API."""
    return [row["body"] for row in store.rows(conn, t.entities, it)]


def entity_counts(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many entities there are of each kind."""
    counts: dict[str, int] = {}
    for entity in found:
        counts[entity["kind"]] = counts.get(entity["kind"], 0) + 1
    return [{"entityKind": kind, "count": n} for kind, n in counts.items()]


def comment(it: Incident, row: sa.RowMapping) -> dict[str, Any]:
    """The comment of the REST API."""
    return {
        "id": f"{it.id}/Comments/{row['name']}",
        "name": row["name"],
        "etag": row["etag"],
        "type": f"{_TYPE}/Comments",
        "properties": {
            "message": row["message"],
            "createdTimeUtc": row["created"],
            "lastModifiedTimeUtc": row["modified"],
            "author": row["author"],
        },
    }


def task(it: Incident, row: sa.RowMapping) -> dict[str, Any]:
    """The task of the REST API."""
    return {
        "id": f"{it.id}/Tasks/{row['name']}",
        "name": row["name"],
        "etag": row["etag"],
        "type": f"{_TYPE}/Tasks",
        "properties": {
            "title": row["title"],
            "description": row["description"],
            "status": row["status"],
            "createdTimeUtc": row["created"],
            "lastModifiedTimeUtc": row["modified"],
            "createdBy": row["created_by"],
            "lastModifiedBy": row["modified_by"],
        },
    }


def relation(it: Incident, alert: dict[str, Any]) -> dict[str, Any]:
    """The relation of an incident with one of its alerts."""
    return {
        "id": f"{it.id}/relations/{alert['name']}",
        "name": alert["name"],
        "etag": it.etag,
        "type": f"{_TYPE}/relations",
        "properties": {
            "relatedResourceId": alert["id"],
            "relatedResourceName": alert["name"],
            "relatedResourceType": "Microsoft.SecurityInsights/entities",
            "relatedResourceKind": "SecurityAlert",
        },
    }


def trigger_body(
    conn: sa.Connection, it: Incident, *, portal: str, customer_id: str, event_id: str, event: str
) -> dict[str, Any]:
    """What an incident trigger's callback receives; `event` is Create or Manual."""
    scope = ResourceId.parse(it.scope)
    return {
        "eventUniqueId": event_id,
        "objectSchemaType": "Incident",
        "objectEventType": event,
        "workspaceInfo": {
            "SubscriptionId": scope.subscription,
            "ResourceGroupName": scope.resource_group,
            "WorkspaceName": scope.name,
        },
        "workspaceId": customer_id,
        "object": full(conn, it, portal),
    }


def log_row(conn: sa.Connection, it: Incident, *, portal: str, field_bytes: int) -> dict[str, Any]:
    """The row of table SecurityIncident; comments are the newest that fit in a field of the table."""
    made = [
        {
            "message": row["message"],
            "author": row["author"],
            "createdTimeUtc": row["created"],
            "lastModifiedTimeUtc": row["modified"],
        }
        for row in store.rows(conn, t.comments, it)
    ]
    return {
        "TimeGenerated": it.modified,
        "IncidentName": it.name,
        "Title": it.title,
        "Description": it.description,
        "Severity": it.severity,
        "Status": it.status,
        "Classification": it.classification or "",
        "ClassificationComment": it.classification_comment or "",
        "ClassificationReason": it.classification_reason or "",
        "Owner": it.owner,
        "ProviderName": it.provider_name,
        "ProviderIncidentId": it.provider_incident_id,
        "FirstActivityTime": it.first_activity,
        "LastActivityTime": it.last_activity,
        "FirstModifiedTime": it.created,
        "LastModifiedTime": it.modified,
        "CreatedTime": it.created,
        "ClosedTime": it.closed,
        "RelatedAnalyticRuleIds": [rule_id.rpartition("/")[2] for rule_id in it.rule_ids],
        "AlertIds": [row["id"] for row in store.rows(conn, t.alerts, it)],
        "BookmarkIds": [],
        "Comments": _newest(made, field_bytes),
        "Tasks": [
            {k: row[k] for k in ("title", "status", "created", "modified")} for row in store.rows(conn, t.tasks, it)
        ],
        "Labels": it.labels,
        "IncidentUrl": f"{portal}/incidents/{it.name}",
        "AdditionalData": _additional(conn, it),
        "ModifiedBy": it.modified_by,
        "SourceSystem": "Azure",
        "IncidentNumber": it.number,
    }


def _newest(made: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    left = size - 2
    for entry in reversed(made):
        left -= len(msgspec.json.encode(entry)) + 1
        if left < 0:
            break
        kept.append(entry)
    return kept[::-1]
