"""Incidents in the control database: every function works inside a transaction of the caller."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.incidents import tables as t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(slots=True)
class Incident:
    """A row of `incidents_incident`."""

    name: str
    workspace: str
    scope: str
    number: int
    etag: str
    title: str
    description: str
    severity: str
    status: str
    classification: str | None
    classification_reason: str | None
    classification_comment: str | None
    owner: dict[str, Any]
    labels: list[dict[str, str]]
    provider_name: str
    provider_incident_id: str
    first_activity: str | None
    last_activity: str | None
    created: str
    modified: str
    closed: str | None
    modified_by: str
    changes: int
    rule_ids: list[str]
    tactics: list[str]
    techniques: list[str]
    product_names: list[str]
    group_key: str | None

    @property
    def id(self) -> str:
        """The ARM id, in the spelling that the service gives."""
        return f"{self.scope}/providers/Microsoft.SecurityInsights/Incidents/{self.name}"


def new_etag() -> str:
    """An etag as the service writes it: with quotes inside."""
    return f'"{uuid.uuid4()}"'


def values(incident: Incident) -> dict[str, Any]:
    """The row's columns."""
    return {f.name: getattr(incident, f.name) for f in fields(Incident)}


def next_number(conn: sa.Connection, workspace: str) -> int:
    """The next incident number of a workspace, from 1."""
    statement = insert(t.numbers).values(workspace=workspace, last=1)
    return int(
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["workspace"], set_={"last": t.numbers.c.last + 1}
            ).returning(t.numbers.c.last)
        ).scalar_one()
    )


def get(conn: sa.Connection, workspace: str, name: str) -> Incident | None:
    """The incident called `name`, without case, or None."""
    query = sa.select(t.incidents).where(t.incidents.c.workspace == workspace, t.incidents.c.name == name.lower())
    row = conn.execute(query).mappings().one_or_none()
    return Incident(**row) if row is not None else None


def select(conn: sa.Connection, query: sa.Select[Any]) -> list[Incident]:
    """The incidents of a query over the whole incident table."""
    return [Incident(**row) for row in conn.execute(query).mappings()]


def add(conn: sa.Connection, incident: Incident) -> None:
    """Store a new incident."""
    conn.execute(sa.insert(t.incidents).values(values(incident)))


def save(conn: sa.Connection, incident: Incident) -> None:
    """Store a changed incident."""
    conn.execute(
        sa.update(t.incidents)
        .where(t.incidents.c.workspace == incident.workspace, t.incidents.c.name == incident.name)
        .values(values(incident))
    )


def delete(conn: sa.Connection, incident: Incident) -> None:
    """Delete an incident with all that belongs to it."""
    for table in (t.alerts, t.entities, t.comments, t.tasks, t.effects, t.automation):
        conn.execute(sa.delete(table).where(table.c.workspace == incident.workspace, table.c.incident == incident.name))
    conn.execute(
        sa.delete(t.incidents).where(t.incidents.c.workspace == incident.workspace, t.incidents.c.name == incident.name)
    )


def rows(conn: sa.Connection, table: sa.Table, incident: Incident) -> Sequence[sa.RowMapping]:
    """What belongs to an incident in one of its tables, oldest first."""
    order = (table.c.position,) if "position" in table.c else (table.c.created, table.c.name)
    query = sa.select(table).where(table.c.workspace == incident.workspace, table.c.incident == incident.name)
    return conn.execute(query.order_by(*order)).mappings().all()


def row(conn: sa.Connection, table: sa.Table, incident: Incident, name: str) -> sa.RowMapping | None:
    """One comment or task, or None."""
    query = sa.select(table).where(
        table.c.workspace == incident.workspace, table.c.incident == incident.name, table.c.name == name
    )
    return conn.execute(query).mappings().one_or_none()


def count(conn: sa.Connection, table: sa.Table, incident: Incident) -> int:
    """How many rows of a table belong to an incident."""
    query = (
        sa.select(sa.func.count())
        .select_from(table)
        .where(table.c.workspace == incident.workspace, table.c.incident == incident.name)
    )
    return int(conn.execute(query).scalar_one())


def put_row(conn: sa.Connection, table: sa.Table, incident: Incident, name: str, content: Mapping[str, Any]) -> None:
    """Insert or replace a comment or task."""
    full = {"workspace": incident.workspace, "incident": incident.name, "name": name, **content}
    statement = insert(table).values(full)
    conn.execute(statement.on_conflict_do_update(index_elements=["workspace", "incident", "name"], set_=dict(content)))


def first_time(conn: sa.Connection, incident: Incident, key: str) -> bool:
    """Note an update's key; False where it was noted before."""
    statement = insert(t.effects).values(workspace=incident.workspace, incident=incident.name, key=key)
    return conn.execute(statement.on_conflict_do_nothing()).rowcount == 1


def knows_alert(conn: sa.Connection, alert_id: str) -> bool:
    """Whether an incident has that alert."""
    return conn.execute(sa.select(t.alerts.c.id).where(t.alerts.c.id == alert_id)).first() is not None


def incident_of_alert(conn: sa.Connection, workspace: str, alert_id: str) -> str | None:
    """The name of the incident that an alert (its id as it is or in lower case) is in, None where it is in none."""
    mine = t.alerts.c.workspace == workspace, t.alerts.c.id.in_((alert_id, alert_id.lower()))
    found: str | None = conn.execute(sa.select(t.alerts.c.incident).where(*mine)).scalar()
    return found


def add_alert(
    conn: sa.Connection,
    incident: Incident,
    alert: Mapping[str, Any],
    details: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
) -> None:
    """Put an alert, its custom details and its entities into an incident."""
    conn.execute(
        sa.insert(t.alerts).values(
            id=alert["name"],
            workspace=incident.workspace,
            incident=incident.name,
            position=count(conn, t.alerts, incident),
            body=alert,
            custom_details=details,
        )
    )
    position = count(conn, t.entities, incident)
    for at, entity in enumerate(found, position):
        statement = insert(t.entities).values(
            workspace=incident.workspace, incident=incident.name, name=entity["name"], position=at, body=entity
        )
        conn.execute(statement.on_conflict_do_nothing())
