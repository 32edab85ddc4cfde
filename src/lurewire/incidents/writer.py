"""Every change of an incident, each inside a transaction of the caller.

A change gives the incident a new etag and puts a message `incident.log` with its row of table SecurityIncident; a new
incident also puts `automation.incident`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from lurewire.incidents import store, times, views
from lurewire.incidents import tables as t
from lurewire.incidents.errors import BadRequest
from lurewire.incidents.models import Label, Owner, Status, encode
from lurewire.incidents.store import Incident

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.outbox import Outbox
    from lurewire.core.principal import Principal
    from lurewire.incidents.models import (
        Classification,
        ClassificationReason,
        IncidentProperties,
        Severity,
        TaskProperties,
    )
    from lurewire.workspace import Workspaces

LOG_TOPIC: Final = "incident.log"
AUTOMATION_TOPIC: Final = "automation.incident"

_PROVIDER: Final = "Azure Sentinel"
_NAMESPACE: Final = uuid.UUID("5b1a2a38-0c1c-5a40-8ad7-0a2b6d6f2d10")


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change: `label` for SecurityIncident.ModifiedBy, `info` the API's client info."""

    label: str
    info: dict[str, Any]

    @classmethod
    def of(cls, principal: Principal) -> Author:
        """The author that a principal is."""
        kind = "Playbook" if principal.kind == "managed_identity" else "User"
        return cls(f"{kind} - {principal.name}", client_info(principal.name, principal.object_id))


def client_info(name: str, object_id: str | None = None) -> dict[str, Any]:
    """Who did something, as the API writes it."""
    return {"email": None, "name": name, "objectId": object_id, "userPrincipalName": None}


@dataclass(frozen=True, slots=True)
class Update:
    """What to change; None leaves a field as it is, an `Owner` without fields unassigns."""

    severity: Severity | None = None
    status: Status | None = None
    classification: Classification | None = None
    classification_reason: ClassificationReason | None = None
    classification_comment: str | None = None
    owner: Owner | None = None
    title: str | None = None
    description: str | None = None
    add_labels: tuple[str, ...] = ()
    remove_labels: tuple[str, ...] = ()


class Writer:
    """Changes incidents; `portal` is the address that incident URLs start with."""

    def __init__(self, outbox: Outbox, clock: Clock, workspaces: Workspaces, limits: Limits, portal: str) -> None:
        self.outbox = outbox
        self.clock = clock
        self.limits = limits
        self.portal = portal
        self._workspaces = workspaces

    def customer_id(self, scope: str) -> str:
        """The workspace's customerId; empty where the workspace is gone."""
        workspace = self._workspaces.by_id(scope)
        return workspace.customer_id if workspace else ""

    def now(self) -> str:
        """The time, as stored."""
        return times.iso(self.clock.now())

    # Alerts

    def take_alert(self, conn: sa.Connection, message: Mapping[str, Any]) -> None:
        """Put the alert of a message `alert.raised` into its incident, a new one unless grouping finds one; once."""
        if not message["createIncident"] or store.knows_alert(conn, message["id"]):
            return
        found = self._group(conn, message)
        if found is None:
            self._open(conn, message)
            return
        if found.status == Status.CLOSED:
            found.status, found.closed = Status.ACTIVE.value, None
        self._add_alert(conn, found, message)
        self.changed(conn, found, "Alert updates")

    def _group(self, conn: sa.Connection, message: Mapping[str, Any]) -> Incident | None:
        grouping = message["grouping"]
        if grouping is None:
            return None
        since = times.iso(self.clock.now() - timedelta(seconds=grouping["lookbackSeconds"]))
        query = (
            sa.select(t.incidents)
            .where(
                t.incidents.c.workspace == message["workspace"].lower(),
                t.incidents.c.group_key == grouping["key"],
                t.incidents.c.created >= since,
            )
            .order_by(t.incidents.c.number.desc())
        )
        if not grouping["reopenClosed"]:
            query = query.where(t.incidents.c.status != Status.CLOSED.value)
        newest = store.select(conn, query.limit(1))
        full = newest and store.count(conn, t.alerts, newest[0]) >= self.limits["incidents.alerts"]
        return newest[0] if newest and not full else None

    def _open(self, conn: sa.Connection, message: Mapping[str, Any]) -> None:
        scope, alert = message["workspace"], message["alert"]["properties"]
        number = store.next_number(conn, scope.lower())
        now = self.now()
        incident = Incident(
            name=str(uuid.uuid5(_NAMESPACE, message["id"])),
            workspace=scope.lower(),
            scope=scope,
            number=number,
            etag=store.new_etag(),
            title=alert["alertDisplayName"],
            description=alert["description"][: self.limits["incidents.description_characters"]],
            severity=alert["severity"],
            status=Status.NEW.value,
            classification=None,
            classification_reason=None,
            classification_comment=None,
            owner=encode(Owner()),
            labels=[],
            provider_name=_PROVIDER,
            provider_incident_id=str(number),
            first_activity=None,
            last_activity=None,
            created=now,
            modified=now,
            closed=None,
            modified_by="Alert updates",
            changes=0,
            rule_ids=[],
            tactics=[],
            techniques=[],
            product_names=[],
            group_key=message["grouping"]["key"] if message["grouping"] else None,
        )
        store.add(conn, incident)
        self._add_alert(conn, incident, message)
        self.created(conn, incident)

    def _add_alert(self, conn: sa.Connection, incident: Incident, message: Mapping[str, Any]) -> None:
        alert = message["alert"]["properties"]
        store.add_alert(conn, incident, message["alert"], message["customDetails"], message["entities"])
        incident.first_activity = min(filter(None, (incident.first_activity, alert["startTimeUtc"])))
        incident.last_activity = max(filter(None, (incident.last_activity, alert["endTimeUtc"])))
        for known, more in (
            (incident.rule_ids, [message["rule"]["id"]]),
            (incident.tactics, alert["tactics"]),
            (incident.techniques, message["techniques"]),
            (incident.product_names, [alert["productName"]]),
        ):
            known += [value for value in more if value not in known]

    # Incidents

    def created(self, conn: sa.Connection, incident: Incident) -> None:
        """Finish an incident's creation: log it, and tell the automation rules."""
        self.changed(conn, incident, incident.modified_by)
        payload = {"workspace": incident.workspace, "incident": incident.name, "event": "Created"}
        self.outbox.put(conn, AUTOMATION_TOPIC, f"{incident.id}:{incident.created}:Created".lower(), payload)

    def changed(self, conn: sa.Connection, incident: Incident, label: str) -> None:
        """Store a change that `label` made, and log it."""
        incident.etag = store.new_etag()
        incident.changes += 1
        incident.modified = max(self.now(), incident.modified)
        incident.modified_by = label
        store.save(conn, incident)
        row = views.log_row(
            conn,
            incident,
            portal=self.portal,
            field_bytes=self.limits["incidents.log_field_bytes"],
        )
        key = f"{incident.id}:{incident.created}:{incident.changes}".lower()
        self.outbox.put(conn, LOG_TOPIC, key, {"workspace": incident.scope, "row": row})

    def put(
        self, conn: sa.Connection, scope: str, name: str, sent: IncidentProperties, author: Author
    ) -> tuple[Incident, bool]:
        """Create an incident, or replace all that a PUT replaces; returns it and whether it is new."""
        self._check(sent.title, sent.description, sent.status, sent.classification)
        found = store.get(conn, scope.lower(), name)
        now = self.now()
        incident = found or Incident(
            name=name.lower(), workspace=scope.lower(), scope=scope, number=store.next_number(conn, scope.lower()),
            etag="", title="", description="", severity="", status="", classification=None,
            classification_reason=None, classification_comment=None, owner={}, labels=[],
            provider_name=sent.provider_name or _PROVIDER, provider_incident_id="", first_activity=None,
            last_activity=None, created=now, modified=now, closed=None, modified_by="", changes=0, rule_ids=[],
            tactics=[], techniques=[], product_names=[], group_key=None,
        )  # fmt: skip
        if found is None:
            incident.provider_incident_id = sent.provider_incident_id or str(incident.number)
        incident.title, incident.description, incident.severity = sent.title, sent.description, sent.severity.value
        self._set_status(incident, sent.status)
        incident.classification = sent.classification
        incident.classification_reason = sent.classification_reason
        incident.classification_comment = sent.classification_comment
        incident.owner = encode(sent.owner)
        incident.labels = encode(sent.labels)
        incident.first_activity = (
            _moment("firstActivityTimeUtc", sent.first_activity_time_utc) or incident.first_activity
        )
        incident.last_activity = _moment("lastActivityTimeUtc", sent.last_activity_time_utc) or incident.last_activity
        incident.modified_by = author.label
        if found is None:
            store.add(conn, incident)
            self.created(conn, incident)
        else:
            self.changed(conn, incident, author.label)
        return incident, found is None

    def update(self, conn: sa.Connection, incident: Incident, update: Update, label: str) -> None:
        """Change what `update` names. Raises `BadRequest`."""
        fields = {
            "title": update.title,
            "description": update.description,
            "severity": update.severity and update.severity.value,
            "classification": update.classification and update.classification.value,
            "classification_reason": update.classification_reason and update.classification_reason.value,
            "classification_comment": update.classification_comment,
            "owner": encode(update.owner) if update.owner is not None else None,
        }
        for name, value in fields.items():
            if value is not None:
                setattr(incident, name, value)
        if update.status is not None:
            self._set_status(incident, update.status)
        self._check(incident.title, incident.description, Status(incident.status), incident.classification)
        known = {label["labelName"] for label in incident.labels}
        added = [encode(Label(name)) for name in dict.fromkeys(update.add_labels) if name not in known]
        kept = [label for label in incident.labels if label["labelName"] not in update.remove_labels]
        incident.labels = kept + added
        self.changed(conn, incident, label)

    def _check(self, title: str, description: str, status: Status, classification: str | None) -> None:
        if not title.strip():
            raise BadRequest("'properties.title': a title is required.")
        most = self.limits["incidents.description_characters"]
        if len(description) > most:
            raise BadRequest(f"'properties.description': {len(description)} characters; at most {most} fit.")
        if status is Status.CLOSED and classification is None:
            raise BadRequest("'properties.classification': an incident is closed with a classification.")

    def _set_status(self, incident: Incident, status: Status) -> None:
        if status is Status.CLOSED:
            incident.closed = incident.closed or self.now()
        else:
            incident.closed = None
        incident.status = status.value

    # Comments and tasks

    def put_comment(self, conn: sa.Connection, incident: Incident, name: str, message: str, author: Author) -> None:
        """Add a comment, or change its text. Raises `BadRequest`."""
        most = self.limits["incidents.comment_characters"]
        if not 1 <= len(message) <= most:
            raise BadRequest(f"'properties.message': {len(message)} characters; 1 to {most} fit.")
        now = self.now()
        stored = store.row(conn, t.comments, incident, name)
        if stored is None and store.count(conn, t.comments, incident) >= self.limits["incidents.comments"]:
            raise BadRequest(f"The incident has {self.limits['incidents.comments']} comments; no more fit.")
        content = {
            "etag": store.new_etag(),
            "message": message,
            "author": stored["author"] if stored else author.info,
            "created": stored["created"] if stored else now,
            "modified": now,
        }
        store.put_row(conn, t.comments, incident, name, content)
        self.changed(conn, incident, author.label)

    def put_task(
        self, conn: sa.Connection, incident: Incident, name: str, task: TaskProperties, author: Author
    ) -> None:
        """Add a task or change it. Raises `BadRequest`."""
        if not task.title.strip():
            raise BadRequest("'properties.title': a title is required.")
        now = self.now()
        stored = store.row(conn, t.tasks, incident, name)
        if stored is None and store.count(conn, t.tasks, incident) >= self.limits["incidents.tasks"]:
            raise BadRequest(f"The incident has {self.limits['incidents.tasks']} tasks; no more fit.")
        content = {
            "etag": store.new_etag(),
            "title": task.title,
            "description": task.description,
            "status": task.status.value,
            "created": stored["created"] if stored else now,
            "modified": now,
            "created_by": stored["created_by"] if stored else author.info,
            "modified_by": author.info,
        }
        store.put_row(conn, t.tasks, incident, name, content)
        self.changed(conn, incident, author.label)


def _moment(name: str, text: str | None) -> str | None:
    try:
        return times.iso(times.parse(text)) if text else None
    except ValueError as error:
        raise BadRequest(f"'properties.{name}': {error}.") from error
