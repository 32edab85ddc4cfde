"""Tables of the vault room: every version of every secret, and what was deleted; times are seconds since 1970, UTC."""

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

secret_updates = sa.Table(  # when the properties of a version were changed last
    "vault_secret_updates",
    metadata,
    sa.Column("seq", sa.Integer, sa.ForeignKey("vault_secrets.seq", ondelete="CASCADE"), primary_key=True),
    sa.Column("updated", sa.Integer, nullable=False),
)

deleted_secrets = sa.Table(  # secrets that are in the bin, with all their versions
    "vault_deleted_secrets",
    metadata,
    sa.Column("vault_key", sa.String, primary_key=True),
    sa.Column("name_key", sa.String, primary_key=True),
    sa.Column("deleted", sa.Integer, nullable=False),
    sa.Column("purges", sa.Integer, nullable=False),
)

template_versions = sa.Table(  # versions that a template made: each is made once, also after it was purged
    "vault_template_versions",
    metadata,
    sa.Column("vault_key", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
)

deleted_vaults = sa.Table(
    "vault_deleted_vaults",
    metadata,
    sa.Column("name_key", sa.String, primary_key=True),  # the vault's name in lower case
    sa.Column("body", sa.LargeBinary, nullable=False),  # the ARM JSON of the vault as it was
    sa.Column("deleted", sa.Integer, nullable=False),
    sa.Column("purges", sa.Integer, nullable=False),
)
