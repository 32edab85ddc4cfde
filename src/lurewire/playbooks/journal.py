"""The durable journal of a run: what happened is noted, and goes to disk before the outside can notice what is next.

A note waits in memory until something must be durable: the start of an action that others can notice, or the run's
end. A kill loses only notes of actions that depend on nothing but the run itself; they run again with the same result.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.playbooks.models import ABSENT, Problem, Record, Status
from lurewire.playbooks.redaction import SANITIZED
from lurewire.playbooks.tables import actions, runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.core.database import Database
    from lurewire.core.secretbox import SecretBox
    from lurewire.playbooks.definition import Workflow
    from lurewire.playbooks.redaction import Redactor

_FULL = 500
"""Notes that wait at most, so that a long loop of pure actions does not hold all its history in memory."""

_TURNS = 8

_put = insert(actions)
_put = _put.on_conflict_do_update(
    index_elements=["run", "action", "iteration"],
    set_={column.name: _put.excluded[column.name] for column in actions.c if not column.primary_key},
)


class Journal:
    """The writer of one run's history; `redactor` takes the secrets out, `box` seals what holds them until the end."""

    def __init__(self, db: Database, box: SecretBox, run: str, redactor: Redactor) -> None:
        self._db = db
        self._box = box
        self._run = run
        self._redactor = redactor
        self._notes: dict[tuple[str, tuple[int, ...]], tuple[Record, frozenset[str]]] = {}
        self._run_values: dict[str, Any] = {}
        self._writing = asyncio.Lock()
        self._soon: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether so many notes wait that they should be written now."""
        return len(self._notes) >= _FULL

    def note(self, record: Record, hidden: frozenset[str]) -> None:
        """Note the present state of an action; `hidden` are the parts that history does not show."""
        self._notes[record.name, record.iteration] = (record, hidden)

    def note_run(self, **values: Any) -> None:
        """Note columns of the run itself."""
        self._run_values |= values

    async def flush(self) -> None:
        """Return when everything noted so far is on disk."""
        async with self._writing:
            notes, self._notes = self._notes, {}
            values, self._run_values = self._run_values, {}
            if notes or values:
                await self._write([self._row(record, hidden) for record, hidden in notes.values()], values)

    def flush_soon(self) -> None:
        """Write in a moment: what is noted until then goes in the same transaction."""
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        # A few turns of the loop: what runs next without waiting is noted by then, or has flushed it all itself.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await self.flush()

    async def close(self, also: Callable[[sa.Connection], None], **values: Any) -> None:
        """Write the run's end and what `also` writes with it; drop the sealed originals, which nobody needs any more."""
        if self._soon is not None:
            await asyncio.gather(self._soon, return_exceptions=True)
        async with self._writing:
            rows = [self._row(record, hidden) | {"sealed": None} for record, hidden in self._notes.values()]
            self._notes.clear()
            await self._write(rows, self._run_values | values, also)

    async def _write(
        self, rows: list[dict[str, Any]], values: dict[str, Any], end: Callable[[sa.Connection], None] | None = None
    ) -> None:
        def work(conn: sa.Connection) -> None:
            if conn.execute(sa.select(runs.c.name).where(runs.c.name == self._run)).first() is None:
                return  # the workflow was deleted, and its history with it
            if rows:
                conn.execute(_put, rows)
            if values:
                conn.execute(sa.update(runs).where(runs.c.name == self._run).values(**values))
            if end is not None:
                end(conn)
                sealed = actions.c.run == self._run, actions.c.sealed.is_not(None)
                conn.execute(sa.update(actions).where(*sealed).values(sealed=None))

        # A Terminate cancels actions that wait here: what is noted is written all the same.
        await asyncio.shield(asyncio.ensure_future(self._db.write(work)))

    def _row(self, record: Record, hidden: frozenset[str]) -> dict[str, Any]:
        inputs = _shown(record.inputs, "inputs" in hidden, self._redactor)
        outputs = _shown(record.outputs, "outputs" in hidden, self._redactor)
        state = None if "inputs" in hidden else self._redactor.apply(record.state)
        secret = inputs is not record.inputs or outputs is not record.outputs or state is not record.state
        problem = record.problem
        if problem is not None:
            problem = Problem(problem.code, self._redactor.text(problem.message))
        return {
            "run": self._run,
            "action": record.name,
            "iteration": iteration_text(record.iteration),
            "place": record.order,
            "type": record.type,
            "tracking": record.tracking_id,
            "status": record.status.value,
            "code": record.code,
            "problem": None if problem is None else encode(problem.as_json()),
            "started": record.started.timestamp(),
            "ended": None if record.ended is None else record.ended.timestamp(),
            "inputs": _encoded(inputs),
            "outputs": _encoded(outputs),
            "sealed": self._seal(record) if secret else None,
            "retries": encode(self._redactor.apply(list(record.retries))) if record.retries else None,
            "repetitions": record.repetitions,
            "state": None if state is None else encode(state),
        }

    def _seal(self, record: Record) -> bytes:
        parts = {"inputs": record.inputs, "outputs": record.outputs, "state": record.state}
        return self._box.encrypt(encode({name: part for name, part in parts.items() if part is not ABSENT}))


def encode(value: Any) -> bytes:
    """JSON; half a surrogate pair, which has no UTF-8, becomes U+FFFD."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_well_formed(value))


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_well_formed(item) for item in value]
    if isinstance(value, dict):
        return {_well_formed(name): _well_formed(item) for name, item in value.items()}
    return value


def _shown(value: Any, hidden: bool, redactor: Redactor) -> Any:
    if value is ABSENT:
        return value
    return SANITIZED if hidden else redactor.apply(value)


def _encoded(value: Any) -> bytes | None:
    return None if value is ABSENT else encode(value)


def iteration_text(iteration: tuple[int, ...]) -> str:
    """A repetition's name, as Azure writes it: `000000-000003`."""
    return "-".join(f"{index:06d}" for index in iteration)


def load_records(
    db: Database, box: SecretBox, run: str, workflow: Workflow
) -> dict[tuple[str, tuple[int, ...]], Record]:
    """The journal of a run as the engine takes it up: originals where they were sealed."""
    rows = db.read(lambda conn: conn.execute(sa.select(actions).where(actions.c.run == run)).mappings().all())
    found = {}
    for row in rows:
        if row["action"] in workflow.actions:
            record = to_record(row)
            if row["sealed"] is not None:
                original = msgspec.json.decode(box.decrypt(row["sealed"]))
                record.inputs = original.get("inputs", ABSENT)
                record.outputs = original.get("outputs", ABSENT)
                record.state = original["state"]
            found[record.name, record.iteration] = record
    return found


def to_record(row: Any) -> Record:
    """A row of the journal as history shows it."""
    return Record(
        row["action"],
        tuple(int(part) for part in row["iteration"].split("-") if part),
        row["type"],
        row["tracking"],
        moment(row["started"]),
        Status(row["status"]),
        None if row["ended"] is None else moment(row["ended"]),
        row["code"],
        ABSENT if row["inputs"] is None else msgspec.json.decode(row["inputs"]),
        ABSENT if row["outputs"] is None else msgspec.json.decode(row["outputs"]),
        to_problem(row["problem"]),
        () if row["retries"] is None else tuple(msgspec.json.decode(row["retries"])),
        row["repetitions"],
        None if row["state"] is None else msgspec.json.decode(row["state"]),
        row["place"],
    )


def to_problem(encoded: bytes | None) -> Problem | None:
    """A stored problem."""
    return None if encoded is None else Problem(**msgspec.json.decode(encoded))


def moment(seconds: float) -> datetime:
    """A stored time."""
    return datetime.fromtimestamp(seconds, UTC)
