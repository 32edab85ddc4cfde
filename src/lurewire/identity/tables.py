"""Tables of the identity room: times are seconds since 1970, UTC."""

from __future__ import annotations

import sqlalchemy as sa

from lurewire.core.database import metadata

signing_keys = sa.Table(
    "identity_signing_keys",
    metadata,
    sa.Column("kid", sa.String, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # PEM of the private key and its certificate, encrypted
    sa.Column("created_at", sa.Float, nullable=False),
)

apps = sa.Table(
    "identity_apps",
    metadata,
    sa.Column("app_id", sa.String, primary_key=True),
    sa.Column("object_id", sa.String, nullable=False, unique=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

applications = sa.Table(  # what the directory says of an app beside its row in `apps`
    "identity_applications",
    metadata,
    sa.Column("app_id", sa.String, sa.ForeignKey("identity_apps.app_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),  # of the application; apps.object_id is its principal's
    sa.Column("has_principal", sa.Boolean, nullable=False),
)

secrets = sa.Table(
    "identity_secrets",
    metadata,
    sa.Column("key_id", sa.String, primary_key=True),
    sa.Column("app_id", sa.String, sa.ForeignKey("identity_apps.app_id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("hint", sa.String, nullable=False),  # the first three characters, as Entra shows them
    sa.Column("hash", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Index("identity_secrets_by_app", "app_id"),
)

principal_secrets = sa.Table(  # secrets that were added to the service principal, not to the application
    "identity_principal_secrets",
    metadata,
    sa.Column("key_id", sa.String, sa.ForeignKey("identity_secrets.key_id", ondelete="CASCADE"), primary_key=True),
)

app_roles = sa.Table(
    "identity_app_roles",
    metadata,
    sa.Column("object_id", sa.String, primary_key=True),  # of the service principal
    sa.Column("role_id", sa.String, primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
)

certificates = sa.Table(
    "identity_certificates",
    metadata,
    sa.Column("key_id", sa.String, primary_key=True),
    sa.Column("app_id", sa.String, sa.ForeignKey("identity_apps.app_id", ondelete="CASCADE"), nullable=False),
    sa.Column("pem", sa.LargeBinary, nullable=False),  # the certificate alone: the private key never comes here
    sa.Column("thumbprint", sa.String, nullable=False),  # SHA-1 in base64url, as `x5t` has it
    sa.Column("thumbprint_sha256", sa.String, nullable=False),  # as `x5t#S256` has it
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("app_id", "thumbprint_sha256"),
)

workloads = sa.Table(
    "identity_workloads",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),  # of the value of X-IDENTITY-HEADER
    sa.Column("object_id", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

managed_identities = sa.Table(
    "identity_managed_identities",
    metadata,
    sa.Column("object_id", sa.String, primary_key=True),
    sa.Column("app_id", sa.String, nullable=False),
    sa.Column("resource_key", sa.String, nullable=False),  # the resource's id in lower case
    sa.Column("resource_id", sa.String, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.UniqueConstraint("resource_key", "generation"),
)
