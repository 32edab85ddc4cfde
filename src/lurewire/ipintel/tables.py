"""The room's tables in the control database."""

from __future__ import annotations

import sqlalchemy as sa

from lurewire.core.database import metadata

keys = sa.Table(
    "ipintel_keys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False, unique=True),
    sa.Column("created_at", sa.String, nullable=False),  # ISO 8601, UTC
    sa.Column("revoked_at", sa.String),
)
sa.Index("ipintel_keys_in_force", keys.c.name, unique=True, sqlite_where=keys.c.revoked_at.is_(None))
