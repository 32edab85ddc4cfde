"""The room's service: starts runs, takes up what a restart left, and reads their history."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as random_secrets
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.core.resources import ResourceId
from lurewire.expressions import ExpressionError, Syntax, evaluate
from lurewire.playbooks.actions.variables import replay
from lurewire.playbooks.connectors import data_collector, sentinel
from lurewire.playbooks.engine import Engine
from lurewire.playbooks.errors import (
    InvalidTemplate,
    TriggerInputSchemaMismatch,
    WorkflowDisabled,
    WorkflowNotFound,
    WorkflowTriggerNotFound,
)
from lurewire.playbooks.functions import TABLE, Context
from lurewire.playbooks.history import History
from lurewire.playbooks.journal import Journal, encode, load_records
from lurewire.playbooks.limits import LIMITS
from lurewire.playbooks.models import Problem, RunRow, Start, Status, timestamp
from lurewire.playbooks.redaction import Redactor
from lurewire.playbooks.registry import Services
from lurewire.playbooks.resource import WorkflowResources, newest_first, resource_types
from lurewire.playbooks.routes import routes
from lurewire.playbooks.run import Identity, Run
from lurewire.playbooks.tables import actions, runs, versions
from lurewire.playbooks.triggers import Trigger, find_trigger
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
    from lurewire.core.resources import Resources, ResourceType
    from lurewire.core.secretbox import SecretBox
    from lurewire.playbooks.connectors import Connector, DataCollector, Incidents

_log = get_logger("playbooks")

START_TOPIC = "playbook.start"
"""The outbox topic that starts a run: key: the idempotency key; payload: `StartMessage`."""

_SWEEP_SECONDS = 86_400.0


FINISHED_TOPIC = "playbook.finished"
"""The outbox topic that tells the end of a run that a message started: payload `{"key", "workflow", "run", "status"}`.

`key` is that of `playbook.start`; `run` is null where the message started none, and `status` is then `Skipped`.
"""


class Identities(Protocol):
    """The managed identities of resources."""

    async def managed_identity_for(self, resource_id: ResourceId) -> Principal:
        """The system-assigned identity of a resource, made where there is none."""
        ...


class StartMessage(msgspec.Struct, frozen=True):
    """`playbook.start`: `trigger` is incident, alert, entity, request, or a trigger's name; `body` its body."""

    workflow: str
    trigger: str
    body: Any
    incident: str | None = None


_HOPELESS = (WorkflowNotFound, WorkflowDisabled, WorkflowTriggerNotFound, TriggerInputSchemaMismatch, InvalidTemplate)
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
        resources: Resources,
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
        self.resource_types: tuple[ResourceType, ...] = resource_types(
            self._workflows, clock, self._versions.keep, self._deleted
        )
        self.history = History(db)
        self.routes: RoomRoutes = routes(self.history, Links(box, clock))
        self._gates: dict[str, tuple[int, asyncio.Semaphore]] = {}
        self._slots = asyncio.Semaphore(self._limits["playbooks.runs_at_once"])
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        outbox.subscribe(START_TOPIC, self._on_message)

    async def start(self) -> None:
        """Take up the runs that an earlier process left, and start to drop old history."""
        for row in self.history.unfinished():
            trigger = self._versions.get(row.workflow, row.version).workflow.triggers[row.trigger["name"]]
            self._launch(row.name, row.workflow, trigger.concurrency, resumed=True)
        self._sweeper = asyncio.create_task(self._sweep(), name="playbooks-sweeper")

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

        Raises `WorkflowNotFound`, `WorkflowDisabled`, `WorkflowTriggerNotFound` and `TriggerInputSchemaMismatch`.
        """
        resource_id = ResourceId.parse(begin.workflow)
        body = self._resources.get(resource_id)
        if body is None:
            message = f"The workflow '{begin.workflow}' could not be found."
            raise WorkflowNotFound(message)
        if body["properties"]["state"] != "Enabled":
            message = f"The workflow '{resource_id.name}' is disabled."
            raise WorkflowDisabled(message)
        version = self._versions.of(resource_id, body)
        trigger = find_trigger(version.workflow.triggers, begin.kind)
        if trigger is None:
            known = ", ".join(f"'{name}' ({row.kind})" for name, row in version.workflow.triggers.items())
            message = f"The workflow '{resource_id.name}' has no trigger '{begin.kind}'; it has {known or 'none'}."
            raise WorkflowTriggerNotFound(message)
        if trigger.schema is not None and (errors := trigger.schema.errors(begin.body)):
            message = f"The input of trigger '{trigger.name}' does not fit its schema: {errors[0]['message']}"
            raise TriggerInputSchemaMismatch(message)
        name = f"{newest_first(self._clock)}{random_secrets.randbelow(10**12):012d}CU00"
        record = self._trigger_record(trigger, name, begin.body)
        if not self._conditions_met(version, trigger, record):
            _log.info("trigger skipped: its conditions are not met", workflow=str(resource_id), trigger=trigger.name)
            return None
        return await self._insert(begin, resource_id, version, record, name)

    async def _insert(
        self, begin: Start, resource_id: ResourceId, version: Version, record: dict[str, Any], name: str
    ) -> str:
        values = {
            "name": name,
            "workflow": resource_id.key,
            "version": version.number,
            "key": begin.key,
            "status": Status.WAITING.value,
            "trigger": encode(record),
            "incident": begin.incident,
            "created": self._clock.now().timestamp(),
        }

        def work(conn: sa.Connection) -> str:
            conn.execute(insert(runs).values(values).on_conflict_do_nothing(index_elements=["workflow", "key"]))
            same = runs.c.workflow == resource_id.key, runs.c.key == begin.key
            return str(conn.execute(sa.select(runs.c.name).where(*same)).scalar_one())

        stored = await self._db.write(work)
        if stored == name:
            concurrency = version.workflow.triggers[record["name"]].concurrency
            self._launch(name, resource_id.key, concurrency, resumed=False)
        return stored

    def _trigger_record(self, trigger: Trigger, run: str, body: Any) -> dict[str, Any]:
        now = timestamp(self._clock.now())
        return {
            "name": trigger.name,
            "outputs": {"headers": {"Content-Type": "application/json; charset=utf-8"}, "body": body},
            "startTime": now,
            "endTime": now,
            "trackingId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run}/{trigger.name}")),
            "clientTrackingId": run,
            "originHistoryName": run,
            "code": "OK",
            "status": "Succeeded",
        }

    def _conditions_met(self, version: Version, trigger: Trigger, record: dict[str, Any]) -> bool:
        run = self._new_run(version, record["clientTrackingId"], record, None, version.known_parameters())
        context = Context(run, run.root, self._clock.now(), record["trackingId"])
        where = f"/triggers/{trigger.name}/conditions"
        for index, condition in enumerate(trigger.conditions):
            try:
                met = evaluate(condition, TABLE, context, Syntax.WORKFLOW, f"{where}/{index}/expression")
            except ExpressionError as error:
                secret_values = (p.value for p in version.workflow.parameters.values() if p.secure)
                message = f"The condition of trigger '{trigger.name}' cannot be evaluated: {error}"
                raise InvalidTemplate(Redactor(secret_values).text(message)) from None
            if met is not True:
                return False
        return True

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
        status, problem = await Engine(run, journal, self._services).execute()
        outputs: dict[str, Any] = {}
        if status is Status.SUCCEEDED:
            try:
                outputs = self._outputs(run)
            except ExpressionError as error:
                message = f"Unable to process the workflow's outputs: {error}"
                status, problem = Status.FAILED, Problem(error.code, message)
        await self._end(row, journal, status, problem, redactor, outputs)

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

    def _new_run(
        self, version: Version, name: str, trigger: dict[str, Any], principal: Principal | None, values: dict[str, Any]
    ) -> Run:
        identity = Identity(version.id, version.number, version.location, version.tags, principal)
        return Run(name, identity, version.workflow, values, trigger, self._clock.now())

    async def _deleted(self, resource_id: ResourceId) -> None:
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

    async def _sweep(self) -> None:
        while True:
            oldest = self._clock.now().timestamp() - self._limits["playbooks.history_days"] * 86_400
            await self._db.write(partial(_drop_history, oldest))
            await self._clock.sleep(_SWEEP_SECONDS)


def _drop_history(oldest: float, conn: sa.Connection) -> None:
    old = sa.select(runs.c.name).where(runs.c.ended < oldest)
    conn.execute(sa.delete(actions).where(actions.c.run.in_(old)))
    conn.execute(sa.delete(runs).where(runs.c.ended < oldest))
    used = sa.select(runs.c.version).where(runs.c.workflow == versions.c.workflow)
    newest = sa.select(sa.func.min(versions.c.version).label("version")).group_by(versions.c.workflow)
    conn.execute(sa.delete(versions).where(versions.c.version.not_in(used), versions.c.version.not_in(newest)))
