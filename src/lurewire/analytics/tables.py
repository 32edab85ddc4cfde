"""What analytics keeps in the control database."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from lurewire.core.database import metadata

schedule: Final = sa.Table(
    "analytics_schedule",
    metadata,
    sa.Column("rule", sa.String, primary_key=True),  # the rule's id in lower case
    sa.Column("incarnation", sa.String, nullable=False),  # new each time a rule of that id is created
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("frequency", sa.BigInteger, nullable=False),  # ticks
    sa.Column("next_run", sa.BigInteger, nullable=False),  # ticks: when the next run is due; its window ends before
    sa.Column("suppressed_until", sa.BigInteger, nullable=False),  # ticks
    sa.Column("looked_through", sa.BigInteger, nullable=False),  # last commit whose rows were looked at on arrival
    sa.Column("attempts", sa.Integer, nullable=False),  # failures of the coming run so far
    sa.Column("error", sa.String),
    sa.Column("warnings", sa.JSON, nullable=False),
)
"""One row a rule: where it stands."""

alerts: Final = sa.Table(
    "analytics_alerts",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # system alert id
    sa.Column("key", sa.String, nullable=False, unique=True),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("window_end", sa.BigInteger, nullable=False),  # ticks
    sa.Column("cause", sa.String, nullable=False),  # Cause
    sa.Column("raised_at", sa.BigInteger, nullable=False),  # ticks
    sa.Column("payload", sa.LargeBinary, nullable=False),  # message alert.raised
    sa.Index("analytics_alerts_window", "rule", "window_end", "cause"),
)
"""One row an alert."""

missed: Final = sa.Table(
    "analytics_missed",
    metadata,
    sa.Column("rule", sa.String, primary_key=True),
    sa.Column("table", sa.String, primary_key=True),
    sa.Column("last_commit", sa.BigInteger, primary_key=True),
    sa.Column("first_commit", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("counted", sa.String, nullable=False),  # "results" of a row-wise query, "rows" of the table for others
    sa.Column("window_start", sa.BigInteger, nullable=False),  # ticks: the rows are of this time or before
    sa.Column("fired", sa.Boolean, nullable=False),  # whether alerts were raised for them all the same
    sa.Column("noticed_at", sa.BigInteger, nullable=False),  # ticks
)
"""What no scheduled window saw because it arrived too late, counted by the commits that brought it."""
