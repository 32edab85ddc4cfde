"""The tables of `sensor.db`, the sensor's own file: nothing here is shared with the core process."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

threats = sa.Table(
    "sensor_threats",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("threat_uuid", sa.String, nullable=False, unique=True),
    sa.Column("source_ip", sa.String, nullable=False),
    sa.Column("first_interaction", sa.Integer, nullable=False),  # microseconds since 1970, UTC
    sa.Column("last_interaction", sa.Integer, nullable=False),
    sa.Column("interactions", sa.Integer, nullable=False),
    sa.Column("failed_logins", sa.Integer, nullable=False),
    sa.Index("sensor_threats_source", "source_ip", "id"),
)

interactions = sa.Table(
    "sensor_interactions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("interaction_uuid", sa.String, nullable=False, unique=True),
    sa.Column("threat_uuid", sa.String, nullable=False),
    sa.Column("occurred", sa.Integer, nullable=False, index=True),  # microseconds since 1970, UTC
    sa.Column("interaction_type", sa.String, nullable=False),
    sa.Column("event", sa.LargeBinary, nullable=False),  # the event's JSON, as it is sent
)

outbox = sa.Table(
    "sensor_outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("stream", sa.String, nullable=False),  # the kind of event: new_threat or new_interaction
    sa.Column("event_uuid", sa.String, nullable=False),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("batch", sa.Integer),  # the id of the batch's first row once its composition is fixed
    sa.Column("held", sa.Boolean, nullable=False),  # waits for the reverse lookup of its source
    sa.Index("sensor_outbox_next", "stream", "batch", "id"),
    sa.Index("sensor_outbox_held", "held", sqlite_where=sa.text("held")),
    sqlite_autoincrement=True,  # an id is never used twice: it names a batch
)

rejected = sa.Table(
    "sensor_rejected",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("stream", sa.String, nullable=False),
    sa.Column("event_uuid", sa.String, nullable=False),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("error", sa.String, nullable=False),
    sa.Column("rejected", sa.Integer, nullable=False),  # microseconds since 1970, UTC
)
