"""The room's service: executes and cancels runs, and takes up what a restart left."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from lurewire.core.errors import WireError
from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.expressions import ExpressionError, Syntax, evaluate
from lurewire.playbooks.actions.variables import replay
from lurewire.playbooks.callbacks import Callbacks
from lurewire.playbooks.connectors import data_collector, sentinel
from lurewire.playbooks.engine import CANCELLED, Engine
from lurewire.playbooks.errors import (
    InvalidTemplate,
    NotSupported,
    TriggerInputSchemaMismatch,
    WorkflowDisabled,
    WorkflowNotFound,
    WorkflowRunEnded,
    WorkflowTriggerNotFound,
)
from lurewire.playbooks.functions import TABLE, Context
from lurewire.playbooks.history import UNFINISHED, History
from lurewire.playbooks.journal import Journal, encode, load_records
from lurewire.playbooks.limits import LIMITS
from lurewire.playbooks.models import Problem, RunRow, Start, Status
from lurewire.playbooks.operations import Operations
from lurewire.playbooks.redaction import Redactor
from lurewire.playbooks.registry import Services
from lurewire.playbooks.resource import WorkflowResources, resource_types
from lurewire.playbooks.routes import routes
from lurewire.playbooks.starting import Identities, RunMaker, Starter
from lurewire.playbooks.sweeper import sweep
from lurewire.playbooks.tables import CANCELLING, actions, runs, versions
from lurewire.playbooks.vaults import SecretRefused, read_references
from lurewire.playbooks.versions import Version, Versions
from lurewire.playbooks.wire import Links

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.http import RoomRoutes
    from lurewire.core.outbound import Outbound
    from lurewire.core.outbox import Message, Outbox
    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId, ResourceType
    from lurewire.core.secretbox import SecretBox
    from lurewire.playbooks.connectors import Connector, DataCollector, Incidents
    from lurewire.playbooks.operations import Store
    from lurewire.playbooks.run import Run

_log = get_logger("playbooks")

START_TOPIC = "playbook.start"
"""The outbox topic that starts a run: key: the idempotency key; payload: `StartMessage`."""

FINISHED_TOPIC = "playbook.finished"
"""The outbox topic that tells the end of a run that a message started: payload `{"key", "workflow", "run", "status"}`.

`key` is that of `playbook.start`; `run` is null where the message started none, and `status` is then `Skipped`.
"""


class StartMessage(msgspec.Struct, frozen=True):
    """`playbook.start`: `trigger` is incident, alert, entity, request, or a trigger's name; `body` its body."""

    workflow: str
    trigger: str
    body: Any
    incident: str | None = None


_NOTHING = Redactor([])

_REFUSED = (InvalidTemplate, NotSupported)  # the second by this release, where an earlier one took the workflow

_HOPELESS = (WorkflowNotFound, WorkflowDisabled, WorkflowTriggerNotFound, TriggerInputSchemaMismatch, *_REFUSED)
"""Another try to start the run would say the same."""


def _finished(key: str, workflow: str, run: str | None, status: Status) -> dict[str, Any]:
    return {"key": key, "workflow": workflow, "run": run, "status": status.value}


class Playbooks:
    """Workflow definitions, run here.

    `identities` makes managed identities, `token_for` gives a token of one for an audience, `read_secret` reads a
    vault secret in its name (role checked there). `base_url` is where Azure Resource Manager answers. `collector` is the
    HTTP Data Collector API of the connector of that name.
    """

    def __init__(
        self,
        *,
        db: Database,
        outbox: Outbox,
        clock: Clock,
        box: SecretBox,
        outbound: Outbound,
        resources: Store,
        incidents: Incidents,
        identities: Identities,
        token_for: Callable[[Principal, str], str],
        read_secret: Callable[[Principal, str], Awaitable[str]],
        base_url: str,
        collector: DataCollector | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._db = db
        self._outbox = outbox
        self._clock = clock
        self._box = box
        self._resources = resources
        self._identities = identities
        self._read_secret = read_secret
        self._limits = limits or Limits(LIMITS)
        rows = [sentinel(incidents), *([] if collector is None else [data_collector(collector)])]
        connectors: dict[str, Connector] = {row.api: row for row in rows}
        self._services = Services(clock, outbound, resources, connectors, token_for, self._limits)
        self._versions = Versions(db, box, self._limits)
        self._workflows = WorkflowResources(clock, self._limits, connectors, base_url)
        self.operations = Operations(resources, self._workflows, self._versions, Callbacks(box, base_url))
        self.resource_types: tuple[ResourceType, ...] = resource_types(self._workflows, self._applied, self._deleted)
        self.history = History(db)
        self.routes: RoomRoutes = routes(self.history, Links(box, clock), self, self._limits)
        self._new_run = RunMaker(clock, resources, identities)
        self._starter = Starter(db, clock, resources, self._versions, self._new_run)
        self._gates: dict[str, tuple[int, asyncio.Semaphore]] = {}
        self._slots = asyncio.Semaphore(self._limits["playbooks.runs_at_once"])
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._engines: dict[str, Engine] = {}
        self._sweeper: asyncio.Task[None] | None = None
        outbox.subscribe(START_TOPIC, self._on_message)

    async def start(self) -> None:
        """Take up the runs that an earlier process left, and start to drop old history."""
        for row in self.history.unfinished():
            try:
                trigger = self._versions.get(row.workflow, row.version).workflow.triggers[row.trigger["name"]]
            except WireError as error:  # what an earlier release took and this one does not; the others go on
                _log.error("run cannot be taken up", run=row.name, code=error.code, error=error.message)
                await self._end_here(row, Status.FAILED, Problem(error.code, error.message))
                continue
            self._launch(row.name, row.workflow, trigger.concurrency, resumed=True)
        self._sweeper = asyncio.create_task(sweep(self._db, self._clock, self._limits), name="playbooks-sweeper")

    async def stop(self) -> None:
        """Stop where the runs are; `start` continues there."""
        tasks = [task for task in (*self._tasks.values(), self._sweeper) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def wait(self, run: str) -> RunRow:
        """The run when it has ended."""
        task = self._tasks.get(run)
        if task is not None:
            await asyncio.shield(task)
        return self.history.run(None, run)

    async def cancel(self, workflow: ResourceId, name: str) -> None:
        """End a run as cancelled, and return when it has ended; also after a kill meanwhile it is not taken up again.

        Raises `WorkflowRunNotFound`, and `WorkflowRunEnded` where it ends otherwise before.
        """
        row = self.history.run(workflow.key, name)
        mark = sa.update(runs).where(runs.c.name == name, runs.c.status.in_(UNFINISHED)).values(code=CANCELLING)
        marked = await self._db.write(lambda conn: conn.execute(mark).rowcount)
        task, engine = self._tasks.get(name), self._engines.get(name)
        if task is not None:
            if engine is not None:
                engine.cancel()
            else:  # it waits for its turn, and has done nothing yet
                task.cancel()
            await asyncio.wait([task])
        if marked:
            await self._end_here(row, Status.CANCELLED, CANCELLED)
        ended = self.history.run(workflow.key, name)
        if not marked or ended.status is not Status.CANCELLED:
            message = f"The workflow run '{name}' cannot be cancelled: it ended with the status '{ended.status}'."
            raise WorkflowRunEnded(message)

    # Starting

    async def _on_message(self, message: Message) -> None:
        payload = msgspec.convert(message.payload, StartMessage)
        begin = Start(payload.workflow, payload.trigger, payload.body, message.key, payload.incident)
        run = None
        try:
            run = await self.begin(begin)
        except _HOPELESS as error:
            _log.warning("playbook not started", workflow=payload.workflow, code=error.code, error=error.message)
        if run is None:
            finished = _finished(begin.key, begin.workflow, None, Status.SKIPPED)
            await self._db.write(lambda conn: self._outbox.put(conn, FINISHED_TOPIC, begin.key, finished))

    async def begin(self, begin: Start) -> str | None:
        """Start a run, once for each workflow and key; its name, or None where the trigger's conditions are not met.

        Raises `WorkflowNotFound`, `WorkflowDisabled`, `WorkflowTriggerNotFound`, `TriggerInputSchemaMismatch` and
        `InvalidTemplate`.
        """
        began = await self._starter.begin(begin)
        if began is not None and began.new:
            self._launch(began.run, began.workflow, began.concurrency, resumed=False)
        return None if began is None else began.run

    # Running

    def _launch(self, name: str, workflow: str, concurrency: int | None, *, resumed: bool) -> None:
        # What waits for its turn holds no more than its name: its trigger's body is read when it begins.
        task = asyncio.create_task(self._drive(name, workflow, concurrency, resumed=resumed), name=f"run-{name}")
        self._tasks[name] = task
        task.add_done_callback(partial(self._done, name))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("run stopped; the next start takes it up again", run=name, exc_info=error)

    async def _drive(self, name: str, workflow: str, concurrency: int | None, *, resumed: bool) -> None:
        async with self._gate(workflow, concurrency), self._slots:
            row = self.history.run(workflow, name)
            if row.code == CANCELLING:  # and then the process was killed
                await self._end_here(row, Status.CANCELLED, CANCELLED)
            elif not row.status.final:
                await self._execute(row, self._versions.get(workflow, row.version), resumed=resumed)

    def _gate(self, workflow: str, concurrency: int | None) -> contextlib.AbstractAsyncContextManager[Any]:
        if concurrency is None:
            return contextlib.nullcontext()
        held = self._gates.get(workflow)
        if held is None or held[0] != concurrency:
            held = self._gates[workflow] = (concurrency, asyncio.Semaphore(concurrency))
        return held[1]

    async def _execute(self, row: RunRow, version: Version, *, resumed: bool) -> None:
        principal = await self._identities.managed_identity_for(version.id) if version.has_identity else None
        secret_values = [p.value for p in version.workflow.parameters.values() if p.secure and p.vault_uri is None]
        values = version.known_parameters()
        started = row.started or self._clock.now()
        failure = None
        try:
            read = await read_references(version, principal, self._read_secret)
        except SecretRefused as refused:
            failure, read = refused.problem, {}
        values |= read
        redactor = Redactor([*secret_values, *read.values()])
        journal = Journal(self._db, self._box, row.name, redactor)
        journal.note_run(status=Status.RUNNING.value, started=started.timestamp())
        if failure is not None:
            await self._end(row, journal, Status.FAILED, failure, redactor)
            return
        run = self._new_run(version, row.name, row.trigger, principal, values)
        if resumed:
            run.stored = load_records(self._db, self._box, row.name, version.workflow)
            ended = sorted((r for r in run.stored.values() if r.status.final), key=lambda record: record.order)
            run.completed = ended[-1].order if ended else 0
            replay(run, ended)
        engine = self._engines[row.name] = Engine(run, journal, self._services)
        try:
            status, problem = await engine.execute()
            outputs: dict[str, Any] = {}
            if status is Status.SUCCEEDED:
                try:
                    outputs = self._outputs(run)
                except ExpressionError as error:
                    message = f"Unable to process the workflow's outputs: {error}"
                    status, problem = Status.FAILED, Problem(error.code, message)
            await self._end(row, journal, status, problem, redactor, outputs)
        finally:
            del self._engines[row.name]

    async def _end_here(self, row: RunRow, status: Status, problem: Problem) -> None:
        """End a run that nothing executes and that has not ended; what a kill left running in it is cancelled."""
        going = sa.exists().where(runs.c.name == row.name, runs.c.status.in_(UNFINISHED))
        ended = {"status": Status.CANCELLED.value, "code": "ActionAborted", "ended": self._clock.now().timestamp()}
        left = sa.update(actions).where(actions.c.run == row.name, actions.c.status.in_(UNFINISHED), going)
        await self._db.write(lambda conn: conn.execute(left.values(ended)))
        if not self.history.run(row.workflow, row.name).status.final:  # also by a write that came before this one
            journal = Journal(self._db, self._box, row.name, _NOTHING)
            await self._end(row, journal, status, problem, _NOTHING)

    async def _end(
        self,
        row: RunRow,
        journal: Journal,
        status: Status,
        problem: Problem | None,
        redactor: Redactor,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        shown = None if problem is None else encode({"code": problem.code, "message": redactor.text(problem.message)})
        finished = _finished(row.key, row.workflow, row.name, status)
        await journal.close(
            lambda conn: self._outbox.put(conn, FINISHED_TOPIC, row.key, finished),
            status=status.value,
            code=None if problem is None else problem.code,
            problem=shown,
            ended=self._clock.now().timestamp(),
            outputs=encode(redactor.apply(outputs)) if outputs else None,
        )

    def _outputs(self, run: Run) -> dict[str, Any]:
        context = Context(run, run.root, self._clock.now(), str(uuid.uuid5(uuid.NAMESPACE_OID, run.name)))
        return {
            name: {
                "type": output["type"],
                "value": evaluate(output["value"], TABLE, context, Syntax.WORKFLOW, f"/outputs/{name}/value"),
            }
            for name, output in run.workflow.outputs.items()
        }

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        self.operations.stored(resource_id)
        shown = self._resources.shown(resource_id)
        assert shown is not None  # it is stored before it is applied
        if await self._versions.keep(resource_id, body, shown):
            for code, message in self._workflows.warnings(body):
                _log.warning("workflow stored, and part of it does not run", id=body["id"], code=code, reason=message)

    async def _deleted(self, resource_id: ResourceId) -> None:
        self.operations.deleted(resource_id)
        for row in self.history.unfinished(resource_id.key):
            task = self._tasks.get(row.name)
            if task is not None:
                task.cancel()

        def work(conn: sa.Connection) -> None:
            mine = sa.select(runs.c.name).where(runs.c.workflow == resource_id.key)
            conn.execute(sa.delete(actions).where(actions.c.run.in_(mine)))
            conn.execute(sa.delete(runs).where(runs.c.workflow == resource_id.key))
            conn.execute(sa.delete(versions).where(versions.c.workflow == resource_id.key))

        await self._db.write(work)
        self._versions.forget(resource_id)
