"""Drops history that is older than it is kept, and the versions of workflows that no run needs any more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lurewire.playbooks.tables import actions, runs, versions

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.limits import Limits

_SWEEP_SECONDS = 86_400.0


async def sweep(db: Database, clock: Clock, limits: Limits) -> None:
    """Sweep now and then every day, for ever."""
    while True:
        oldest = clock.now().timestamp() - limits["playbooks.history_days"] * 86_400
        await db.write(partial(_drop, oldest))
        await clock.sleep(_SWEEP_SECONDS)


def _drop(oldest: float, conn: sa.Connection) -> None:
    old = sa.select(runs.c.name).where(runs.c.ended < oldest)
    conn.execute(sa.delete(actions).where(actions.c.run.in_(old)))
    conn.execute(sa.delete(runs).where(runs.c.ended < oldest))
    used = sa.select(runs.c.version).where(runs.c.workflow == versions.c.workflow)
    newest = sa.select(sa.func.min(versions.c.version).label("version")).group_by(versions.c.workflow)
    conn.execute(sa.delete(versions).where(versions.c.version.not_in(used), versions.c.version.not_in(newest)))
