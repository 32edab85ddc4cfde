"""Table of the vault room: every version of every secret; times are seconds since 1970, UTC."""

from __future__ import annotations

import sqlalchemy as sa

from lurewire.core.database import metadata

secrets = sa.Table(
    "vault_secrets",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),  # the highest one is the current version
    sa.Column("vault_key", sa.String, nullable=False),  # the vault's resource id in lower case
    sa.Column("name_key", sa.String, nullable=False),  # the secret's name in lower case
    sa.Column("name", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # the value, encrypted
    sa.Column("content_type", sa.String),
    sa.Column("tags", sa.LargeBinary, nullable=False),  # a JSON object
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("not_before", sa.Integer),
    sa.Column("expires", sa.Integer),
    sa.Column("created", sa.Integer, nullable=False),
    sa.UniqueConstraint("vault_key", "name_key", "version"),
    sqlite_autoincrement=True,
)
