"""Reads run history: runs, actions, repetitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from lurewire.playbooks.errors import WorkflowRunActionNotFound, WorkflowRunNotFound
from lurewire.playbooks.journal import moment, to_problem, to_record
from lurewire.playbooks.models import Record, RunRow, Status
from lurewire.playbooks.tables import actions, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.database import Database

UNFINISHED = (Status.RUNNING.value, Status.WAITING.value)
"""The statuses of runs that have not ended, as they are stored."""


class History:
    """What is kept of runs, without secrets."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def unfinished(self, workflow: str | None = None) -> list[RunRow]:
        """The runs that have not ended, oldest first."""
        query = sa.select(runs).where(runs.c.status.in_(UNFINISHED)).order_by(runs.c.created, runs.c.name)
        if workflow is not None:
            query = query.where(runs.c.workflow == workflow)
        return [_run(row) for row in self._rows(query)]

    def runs(
        self, workflow: str, top: int, skip: int = 0, conditions: Sequence[sa.ColumnElement[bool]] = ()
    ) -> list[RunRow]:
        """Runs of a workflow (resource id in lower case), newest first."""
        query = sa.select(runs).where(runs.c.workflow == workflow, *conditions).order_by(runs.c.name)
        return [_run(row) for row in self._rows(query.limit(top).offset(skip))]

    def runs_of_incident(self, incident: str) -> list[RunRow]:
        """The runs that an incident started, newest first."""
        query = sa.select(runs).where(runs.c.incident == incident).order_by(runs.c.name)
        return [_run(row) for row in self._rows(query)]

    def run(self, workflow: str | None, name: str) -> RunRow:
        """A run, of that workflow where one is given; raises `WorkflowRunNotFound`."""
        query = sa.select(runs).where(runs.c.name == name)
        if workflow is not None:
            query = query.where(runs.c.workflow == workflow)
        found = self._rows(query)
        if not found:
            message = f"The workflow run '{name}' could not be found."
            raise WorkflowRunNotFound(message)
        return _run(found[0])

    def actions(self, run: str, top: int, skip: int = 0) -> list[tuple[Record, int]]:
        """The actions of a run in the order in which they started, each once, with the number of its repetitions.

        Of an action in a loop it is the last repetition; the number is 0 for an action in no loop.
        """
        repeated = sa.case((actions.c.iteration != "", 1), else_=0)
        latest = (
            sa.select(
                actions.c.action,
                sa.func.max(actions.c.iteration).label("iteration"),
                sa.func.sum(repeated).label("repetitions"),
                sa.func.min(actions.c.started).label("first"),
                sa.func.min(actions.c.place).label("place"),
            )
            .where(actions.c.run == run)
            .group_by(actions.c.action)
            .subquery()
        )
        query = (
            sa.select(actions, latest.c.repetitions.label("times"))
            .join(latest, sa.and_(actions.c.action == latest.c.action, actions.c.iteration == latest.c.iteration))
            .where(actions.c.run == run)
            .order_by(latest.c.first, latest.c.place, actions.c.action)
        )
        return [(to_record(row), int(row["times"])) for row in self._rows(query.limit(top).offset(skip))]

    def repeated(self, run: str, action: str) -> tuple[Record, int]:
        """One action as `actions` lists it; raises `WorkflowRunActionNotFound`."""
        mine = actions.c.run == run, actions.c.action == action
        last = sa.select(sa.func.max(actions.c.iteration)).where(*mine).scalar_subquery()
        count = sa.select(sa.func.count()).where(*mine, actions.c.iteration != "").scalar_subquery()
        found = self._rows(sa.select(actions, count.label("times")).where(*mine, actions.c.iteration == last))
        if not found:
            message = f"The run '{run}' has no action '{action}'."
            raise WorkflowRunActionNotFound(message)
        return to_record(found[0]), int(found[0]["times"])

    def repetitions(self, run: str, action: str, top: int, skip: int = 0) -> list[Record]:
        """The repetitions of an action in a loop, in order."""
        query = (
            sa.select(actions)
            .where(actions.c.run == run, actions.c.action == action, actions.c.iteration != "")
            .order_by(actions.c.iteration)
        )
        return [to_record(row) for row in self._rows(query.limit(top).offset(skip))]

    def action(self, run: str, action: str, iteration: str = "") -> Record:
        """One action, or one repetition of it; raises `WorkflowRunActionNotFound`."""
        query = sa.select(actions).where(
            actions.c.run == run, actions.c.action == action, actions.c.iteration == iteration
        )
        found = self._rows(query)
        if not found:
            which = f" repetition '{iteration}' of" if iteration else ""
            message = f"The run '{run}' has no{which} action '{action}'."
            raise WorkflowRunActionNotFound(message)
        return to_record(found[0])

    def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        return self._db.read(lambda conn: conn.execute(query).mappings().all())


def _run(row: Any) -> RunRow:
    return RunRow(
        row["name"],
        row["workflow"],
        row["version"],
        row["key"],
        Status(row["status"]),
        row["code"],
        to_problem(row["problem"]),
        msgspec.json.decode(row["trigger"]),
        row["incident"],
        moment(row["created"]),
        None if row["started"] is None else moment(row["started"]),
        None if row["ended"] is None else moment(row["ended"]),
        {} if row["outputs"] is None else msgspec.json.decode(row["outputs"]),
    )
