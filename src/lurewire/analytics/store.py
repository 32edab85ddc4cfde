"""What analytics reads and writes in the control database."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.analytics import tables as t
from lurewire.analytics.models import ScheduledProperties

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lurewire.analytics.alerts import Alert
    from lurewire.analytics.rules import Rule
    from lurewire.core.outbox import Outbox

RAISED_TOPIC: Final = "alert.raised"
LOG_TOPIC: Final = "alert.log"


class Cause(StrEnum):
    """What raised an alert."""

    EARLY = "early"
    SCHEDULED = "scheduled"
    NRT = "nrt"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of `analytics_schedule`: where a rule stands."""

    rule: str
    incarnation: str
    enabled: bool
    frequency: int
    next_run: int
    suppressed_until: int
    looked_through: int
    attempts: int
    error: str | None
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert to store, the window that it belongs to (its end), and what raised it."""

    alert: Alert
    window_end: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Missed:
    """What the commits `first_commit` to `last_commit` brought to `table` too late: at or before `window_start`."""

    table: str
    first_commit: int
    last_commit: int
    rows: int
    counted: str
    window_start: int
    fired: bool


class RuleIsGone(Exception):
    """The rule was deleted or replaced meanwhile: nothing is stored."""


def standing(conn: sa.Connection, rule: str) -> Standing | None:
    """Where a rule stands; None before it was first taken up."""
    row = conn.execute(sa.select(t.schedule).where(t.schedule.c.rule == rule)).mappings().one_or_none()
    return Standing(**row) if row is not None else None


def take_up(conn: sa.Connection, rule: Rule, *, now: int, loaded: int, warnings: Sequence[str]) -> Standing:
    """Start a rule, or go on with it where its last version stood.

    A new rule, and one that was switched on, first runs now and looks at what arrives from now on. A change of the
    frequency leaves no gap: the next run comes one new interval after the last one.
    """
    p = rule.properties
    frequency = p.query_frequency.ticks if isinstance(p, ScheduledProperties) else 0
    old = standing(conn, rule.key)
    fresh = Standing(
        rule=rule.key,
        incarnation=old.incarnation if old else uuid.uuid4().hex,
        enabled=p.enabled,
        frequency=frequency,
        next_run=now,
        suppressed_until=0,
        looked_through=loaded,
        attempts=0,
        error=None,
        warnings=list(warnings),
    )
    if old is not None and old.enabled and bool(old.frequency) == bool(frequency):
        fresh = replace(
            old,
            enabled=p.enabled,
            frequency=frequency,
            next_run=old.next_run - old.frequency + frequency,
            warnings=list(warnings),
        )
    values = asdict(fresh)
    conn.execute(insert(t.schedule).values(values).on_conflict_do_update(index_elements=["rule"], set_=values))
    return fresh


def forget(conn: sa.Connection, rule: str) -> None:
    """Delete where a rule stands; its alerts stay."""
    conn.execute(sa.delete(t.schedule).where(t.schedule.c.rule == rule))
    conn.execute(sa.delete(t.missed).where(t.missed.c.rule == rule))


def known_keys(conn: sa.Connection, keys: Iterable[str]) -> set[str]:
    """Those of a few hundred keys that an alert has."""
    return set(conn.execute(sa.select(t.alerts.c.key).where(t.alerts.c.key.in_(list(keys)))).scalars())


def early_alerts(conn: sa.Connection, rule: str, window_end: int) -> int:
    """How many alerts were raised early for a window."""
    query = sa.select(sa.func.count()).where(
        t.alerts.c.rule == rule, t.alerts.c.window_end == window_end, t.alerts.c.cause == Cause.EARLY.value
    )
    return int(conn.execute(query).scalar_one())


def write(
    conn: sa.Connection,
    outbox: Outbox,
    now: int,
    where: Standing,
    *,
    raised: Sequence[Raised] = (),
    missed: Sequence[Missed] = (),
) -> list[Alert]:
    """Store alerts with their messages and where the rule stands, all or nothing; returns the alerts that are new.

    Raises `RuleIsGone`.
    """
    values = asdict(where)
    own = (t.schedule.c.rule == where.rule) & (t.schedule.c.incarnation == where.incarnation)
    if conn.execute(sa.update(t.schedule).where(own).values(values)).rowcount != 1:
        raise RuleIsGone(where.rule)
    new = [one.alert for one in raised if _add(conn, outbox, now, where.rule, one)]
    for one in missed:
        row: dict[str, Any] = asdict(one) | {"rule": where.rule, "noticed_at": now}
        conn.execute(insert(t.missed).values(row).on_conflict_do_nothing())
    return new


def _add(conn: sa.Connection, outbox: Outbox, now: int, rule: str, one: Raised) -> bool:
    alert = one.alert
    values = {
        "id": alert.id,
        "key": alert.key,
        "rule": rule,
        "window_end": one.window_end,
        "cause": one.cause.value,
        "raised_at": now,
        "payload": msgspec.json.encode(alert.payload),
    }
    if conn.execute(insert(t.alerts).values(values).on_conflict_do_nothing()).rowcount != 1:
        return False
    outbox.put(conn, RAISED_TOPIC, alert.id, alert.payload)
    outbox.put(conn, LOG_TOPIC, alert.id, {"workspace": alert.payload["workspace"], "row": alert.row})
    return True


def missed_rows(conn: sa.Connection, rule: str) -> int:
    """How much a rule missed because it arrived too late, in all."""
    query = sa.select(sa.func.coalesce(sa.func.sum(t.missed.c.rows), 0)).where(t.missed.c.rule == rule)
    return int(conn.execute(query).scalar_one())


def batches(keys: Iterable[tuple[str, int]], size: int = 256) -> Iterable[list[tuple[str, int]]]:
    """Keys in batches that fit a statement."""
    source = iter(keys)
    return iter(lambda: list(itertools.islice(source, size)), [])
