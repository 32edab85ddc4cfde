"""Starts runs: once for each workflow and key, where the trigger takes what came and its conditions are met."""

from __future__ import annotations

import secrets as random_secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.core.log import get_logger
from lurewire.core.resources import ResourceId
from lurewire.expressions import ExpressionError, Syntax, evaluate
from lurewire.playbooks.errors import (
    InvalidTemplate,
    TriggerInputSchemaMismatch,
    WorkflowDisabled,
    WorkflowNotFound,
    WorkflowTriggerNotFound,
)
from lurewire.playbooks.functions import TABLE, Context
from lurewire.playbooks.journal import encode
from lurewire.playbooks.models import Start, Status, timestamp
from lurewire.playbooks.redaction import Redactor
from lurewire.playbooks.resource import newest_first
from lurewire.playbooks.run import Identity, Run
from lurewire.playbooks.tables import runs
from lurewire.playbooks.triggers import Trigger, find_trigger

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Resources
    from lurewire.playbooks.operations import Store
    from lurewire.playbooks.versions import Version, Versions

_log = get_logger("playbooks")


class Identities(Protocol):
    """The managed identities of resources."""

    async def managed_identity_for(self, resource_id: ResourceId) -> Principal:
        """The system-assigned identity of a resource, made where there is none."""
        ...

    def managed_identity(self, resource_id: ResourceId) -> Principal | None:
        """The identity that a resource has or is, where it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Began:
    """A run that is stored; `new` False: an earlier start with the same key made it. `concurrency` is its trigger's."""

    run: str
    workflow: str
    concurrency: int | None
    new: bool


class Starter:
    """Stores runs to be executed."""

    def __init__(self, db: Database, clock: Clock, resources: Resources, versions: Versions, new_run: RunMaker) -> None:
        self._db = db
        self._clock = clock
        self._resources = resources
        self._versions = versions
        self._new_run = new_run

    async def begin(self, begin: Start) -> Began | None:
        """Store a run to be executed, None where the trigger's conditions are not met; raises what `Playbooks.begin` does."""
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
        record = self._trigger_record(trigger, name, begin)
        if not self._conditions_met(version, trigger, record):
            _log.info("trigger skipped: its conditions are not met", workflow=str(resource_id), trigger=trigger.name)
            return None
        return await self._insert(begin, resource_id, version, record, name)

    async def _insert(
        self, begin: Start, resource_id: ResourceId, version: Version, record: dict[str, Any], name: str
    ) -> Began:
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
        concurrency = version.workflow.triggers[record["name"]].concurrency
        return Began(stored, resource_id.key, concurrency, stored == name)

    def _trigger_record(self, trigger: Trigger, run: str, begin: Start) -> dict[str, Any]:
        now = timestamp(self._clock.now())
        request = begin.request or {"headers": {"Content-Type": "application/json; charset=utf-8"}}
        return {
            "name": trigger.name,
            "outputs": {**request, "body": begin.body},
            "startTime": now,
            "endTime": now,
            "trackingId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run}/{trigger.name}")),
            "clientTrackingId": run,
            "originHistoryName": run,
            "code": "OK",
            "status": "Succeeded",
        }

    def _conditions_met(self, version: Version, trigger: Trigger, record: dict[str, Any]) -> bool:
        known = version.known_parameters()
        run = self._new_run(version, record["clientTrackingId"], record, None, known)
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


class RunMaker:
    """Makes runs in memory."""

    def __init__(self, clock: Clock, resources: Store, identities: Identities) -> None:
        self._clock = clock
        self._resources = resources
        self._identities = identities

    def __call__(
        self, version: Version, name: str, trigger: dict[str, Any], principal: Principal | None, values: dict[str, Any]
    ) -> Run:
        """A run: `trigger` is its trigger's record, `principal` its own identity, `values` are its parameters'."""

        def assigned(wanted: ResourceId) -> Principal | None:
            """Looked for at each use: a run may go on for long after an identity was taken away or deleted."""
            body = self._resources.shown(version.id) or {}
            given = (body.get("identity") or {}).get("userAssignedIdentities", {})
            is_given = any(ResourceId.parse(one).key == wanted.key for one in given)
            return self._identities.managed_identity(wanted) if is_given else None

        identity = Identity(version.id, version.number, version.location, version.tags, principal, assigned)
        return Run(name, identity, version.workflow, values, trigger, self._clock.now())
