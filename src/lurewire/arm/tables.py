"""Tables of the arm room."""

from __future__ import annotations

import sqlalchemy as sa

from lurewire.core.database import metadata

resources = sa.Table(
    "arm_resources",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),  # order of creation: parents come first
    sa.Column("key", sa.String, nullable=False, unique=True),  # the id in lower case
    sa.Column("type", sa.String, nullable=False),  # in lower case
    sa.Column("body", sa.LargeBinary, nullable=False),  # the ARM JSON without hidden values
    sa.Column("hidden", sa.LargeBinary),  # [[path, value], ...] as JSON, encrypted
    sa.Index("arm_resources_by_type", "type"),
    sqlite_autoincrement=True,
)

deployments = sa.Table(
    "arm_deployments",
    metadata,
    sa.Column("key", sa.String, primary_key=True),  # the id in lower case
    sa.Column("group_key", sa.String, nullable=False),  # the id of the scope in lower case, empty for the tenant
    sa.Column("state", sa.String, nullable=False),  # Running, Succeeded, Failed, Canceled
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("operations", sa.LargeBinary, nullable=False),
    sa.Index("arm_deployments_by_group", "group_key"),
)

deployment_templates = sa.Table(
    "arm_deployment_templates",
    metadata,
    sa.Column("key", sa.String, primary_key=True),  # the deployment's id in lower case
    sa.Column("scope_key", sa.String, nullable=False),  # the id of what it is for, in lower case
    sa.Column("template", sa.LargeBinary, nullable=False),  # without secure values
    sa.Index("arm_deployment_templates_by_scope", "scope_key"),
)

deployment_requests = sa.Table(
    "arm_deployment_requests",
    metadata,
    sa.Column("key", sa.String, primary_key=True),  # the deployment's id in lower case
    sa.Column("scope_key", sa.String, nullable=False),  # the id of what it is for, in lower case
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # {template, parameters} as JSON, encrypted
    sa.Index("arm_deployment_requests_by_scope", "scope_key"),
)

registrations = sa.Table(
    "arm_registrations",
    metadata,
    sa.Column("namespace", sa.String, primary_key=True),  # in lower case
    sa.Column("state", sa.String, nullable=False),  # Registered, Unregistered
)
