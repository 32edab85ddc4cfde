"""What the incidents room keeps in the control database. Times are ISO 8601 texts with seven digits, so they sort."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from lurewire.core.database import metadata

incidents: Final = sa.Table(
    "incidents_incident",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("workspace", sa.String, primary_key=True),  # the workspace's id in lower case
    sa.Column("scope", sa.String, nullable=False),  # the workspace's id as it was written
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("classification", sa.String),
    sa.Column("classification_reason", sa.String),
    sa.Column("classification_comment", sa.String),
    sa.Column("owner", sa.JSON, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("provider_name", sa.String, nullable=False),
    sa.Column("provider_incident_id", sa.String, nullable=False),
    sa.Column("first_activity", sa.String),
    sa.Column("last_activity", sa.String),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("modified", sa.String, nullable=False),
    sa.Column("closed", sa.String),
    sa.Column("modified_by", sa.String, nullable=False),
    sa.Column("changes", sa.Integer, nullable=False),
    sa.Column("rule_ids", sa.JSON, nullable=False),
    sa.Column("tactics", sa.JSON, nullable=False),
    sa.Column("techniques", sa.JSON, nullable=False),
    sa.Column("product_names", sa.JSON, nullable=False),
    sa.Column("group_key", sa.String),
    sa.UniqueConstraint("workspace", "number"),
    sa.Index("incidents_incident_created", "workspace", "created"),
    sa.Index("incidents_incident_group", "workspace", "group_key", "created"),
)

alerts: Final = sa.Table(
    "incidents_alert",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # the system alert id: an alert is in one incident
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("incident", sa.String, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("custom_details", sa.JSON, nullable=False),
    sa.Index("incidents_alert_incident", "workspace", "incident"),
)

entities: Final = sa.Table(
    "incidents_entity",
    metadata,
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("incident", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

comments: Final = sa.Table(
    "incidents_comment",
    metadata,
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("incident", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("message", sa.String, nullable=False),  # as it was sent: escaped where it becomes HTML
    sa.Column("author", sa.JSON, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("modified", sa.String, nullable=False),
)

tasks: Final = sa.Table(
    "incidents_task",
    metadata,
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("incident", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("modified", sa.String, nullable=False),
    sa.Column("created_by", sa.JSON, nullable=False),
    sa.Column("modified_by", sa.JSON, nullable=False),
)

numbers: Final = sa.Table(
    "incidents_number",
    metadata,
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
)
"""The last incident number given out in a workspace: a deleted incident's number is not given again."""

effects: Final = sa.Table(
    "incidents_effect",
    metadata,
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("incident", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
)
"""The keys of updates that were made: a repeated one changes nothing."""

automation: Final = sa.Table(
    "incidents_automation",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("incident", sa.String, nullable=False),
    sa.Column("rules", sa.JSON, nullable=False),  # the rules' bodies as they were when the run began, in order
    sa.Column("rule_at", sa.Integer, nullable=False),
    sa.Column("action_at", sa.Integer, nullable=False),
    sa.Column("waits_for", sa.String),  # key of the playbook start
    sa.Column("deadline", sa.Float),  # seconds since 1970: the run goes on then, whatever the playbook does
    sa.Index("incidents_automation_waits", "waits_for"),
)
"""One row for each incident event that automation rules answered: where they stand."""
