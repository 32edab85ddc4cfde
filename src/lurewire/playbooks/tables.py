"""What the room keeps in the control database: versions of workflows, runs, and the journal of their actions."""

from __future__ import annotations

import sqlalchemy as sa

from lurewire.core.database import metadata

CANCELLING = "Cancelling"
"""The `code` of a run that is to end as cancelled and has not yet."""

versions = sa.Table(
    "playbooks_versions",
    metadata,
    sa.Column("workflow", sa.String, primary_key=True),  # resource id in lower case
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # the resource's body with its secure parameters, encrypted
)

runs = sa.Table(
    "playbooks_runs",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # sorts newest first
    sa.Column("workflow", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("code", sa.String),
    sa.Column("problem", sa.LargeBinary),  # JSON
    sa.Column("trigger", sa.LargeBinary, nullable=False),  # JSON
    sa.Column("incident", sa.String),
    sa.Column("created", sa.Float, nullable=False),  # seconds since 1970
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("outputs", sa.LargeBinary),  # JSON
    sa.UniqueConstraint("workflow", "key"),
    sa.Index("playbooks_runs_status", "status"),
    sa.Index("playbooks_runs_incident", "incident"),
)

actions = sa.Table(
    "playbooks_actions",
    metadata,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("action", sa.String, primary_key=True),
    sa.Column("iteration", sa.String, primary_key=True),  # "" outside loops, "000000-000003" in a loop in a loop
    sa.Column("place", sa.Integer, nullable=False),  # order of completion, 0: not ended
    sa.Column("type", sa.String, nullable=False),
    sa.Column("tracking", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("code", sa.String),
    sa.Column("problem", sa.LargeBinary),  # JSON
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("inputs", sa.LargeBinary),  # JSON without secrets; null: there are none
    sa.Column("outputs", sa.LargeBinary),
    sa.Column("sealed", sa.LargeBinary),  # inputs, outputs and state as they are, encrypted, while the run needs them
    sa.Column("retries", sa.LargeBinary),  # JSON
    sa.Column("repetitions", sa.Integer),
    sa.Column("state", sa.LargeBinary),  # JSON: what a control action decided
    sqlite_with_rowid=False,
)
