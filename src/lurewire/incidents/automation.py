"""Automation rules at work: how they answer the creation of an incident.

Rules run one after the other in their order, each on the incident as the ones before it left it; a rule's actions run in
their order; what comes after a playbook waits until it ends, two minutes at most. Source:
https://learn.microsoft.com/azure/sentinel/automate-incident-handling-with-automation-rules#automation-rules-execution.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from lurewire.core.database import after_commit
from lurewire.core.log import get_logger
from lurewire.core.resources import ResourceId, ResourceType
from lurewire.incidents import rules, store, views
from lurewire.incidents import tables as t
from lurewire.incidents.conditions import Facts
from lurewire.incidents.errors import BadRequest
from lurewire.incidents.models import TaskProperties, TaskStatus
from lurewire.incidents.rules import AddIncidentTask, AutomationRule, ModifyProperties, RunPlaybook
from lurewire.incidents.writer import Author, Update, client_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.core.database import Database
    from lurewire.core.outbox import Message
    from lurewire.core.resources import Change
    from lurewire.incidents.rules import Action
    from lurewire.incidents.store import Incident
    from lurewire.incidents.writer import Writer

_log = get_logger("incidents.automation")

START_TOPIC: Final = "playbook.start"
_NAMESPACE: Final = uuid.UUID("d7f0d86a-3f32-5f27-9a1b-8a7c1f3b5e44")


@dataclass(frozen=True, slots=True)
class _Step:
    """An action about to run: `key` is the same however often the step is tried."""

    rule: AutomationRule
    key: str
    incident: Incident

    @property
    def author(self) -> Author:
        label = f"Automation rule - {self.rule.properties.display_name}"
        return Author(label, client_info(label))


class Automation:
    """Runs automation rules. A run's steps and effects are one transaction, up to a playbook that others wait for."""

    def __init__(self, db: Database, writer: Writer) -> None:
        self._db = db
        self._writer = writer
        self._rules: dict[str, AutomationRule] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Task[None] | None = None
        self.resource_type = ResourceType(rules.RULE_TYPE, self._prepare, self._applied, self._deleted)

    async def start(self) -> None:
        """Go on with the runs that an earlier process left waiting, when their time comes."""
        self._loop = asyncio.get_running_loop()
        self._timer = asyncio.create_task(self._watch_deadlines(), name="automation")

    async def stop(self) -> None:
        """Stop; what waits goes on at the next start."""
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer
            self._timer = None

    async def answer(self, message: Message) -> None:
        """Handle `automation.incident`: run the rules of the incident's workspace on it, once."""
        workspace, name = message.payload["workspace"], message.payload["incident"]
        now = self._writer.clock.now()
        matching = [r for r in self._rules.values() if r.workspace == workspace and r.active(now)]
        matching.sort(key=lambda rule: (rule.properties.order, rule.id.key))
        if matching:
            await self._db.write(lambda conn: self._begin(conn, message.key, workspace, name, matching))

    async def playbook_finished(self, message: Message) -> None:
        """Handle `playbook.finished`: go on with the run that waits for the playbook start of that key."""
        await self._db.write(lambda conn: self._go_on(conn, t.automation.c.waits_for == message.payload["key"]))

    async def _prepare(self, change: Change) -> dict[str, Any]:
        workspace = change.id.scope.lower()
        others = sum(1 for r in self._rules.values() if r.workspace == workspace and r.id.key != change.id.key)
        return rules.prepare(change, self._writer.limits, self._writer.clock.now(), others)

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        self._rules[resource_id.key] = rules.read(body)

    async def _deleted(self, resource_id: ResourceId) -> None:
        self._rules.pop(resource_id.key, None)

    def _begin(
        self, conn: sa.Connection, run_id: str, workspace: str, name: str, matching: list[AutomationRule]
    ) -> None:
        if conn.execute(sa.select(t.automation.c.id).where(t.automation.c.id == run_id)).first() is not None:
            return
        row = {
            "id": run_id,
            "workspace": workspace,
            "incident": name,
            "rules": [rule.body for rule in matching],
            "rule_at": 0,
            "action_at": 0,
            "waits_for": None,
            "deadline": None,
        }
        conn.execute(sa.insert(t.automation).values(row))
        self._advance(conn, row)

    def _go_on(self, conn: sa.Connection, which: sa.ColumnElement[bool]) -> None:
        for row in conn.execute(sa.select(t.automation).where(which)).mappings().all():
            self._advance(conn, dict(row) | {"waits_for": None, "deadline": None})

    def _advance(self, conn: sa.Connection, row: dict[str, Any]) -> None:
        """Run from where `row` stands to the end, or to a playbook that something waits for; store where it stands then."""
        incident = store.get(conn, row["workspace"], row["incident"])
        queue = [rules.read(body) for body in row["rules"]] if incident is not None else []
        while incident is not None and row["rule_at"] < len(queue) and row["waits_for"] is None:
            rule = queue[row["rule_at"]]
            if row["action_at"] == 0 and not self._fits(conn, rule, incident):
                row["rule_at"] += 1
                continue
            action = rule.actions[row["action_at"]]
            step = _Step(rule, f"{row['id']}:{rule.id.key}:{row['action_at']}", incident)
            try:
                _ACTIONS[type(action)](self, conn, step, action)
            except BadRequest as error:  # the next action may still do its part
                _log.warning("automation rule: an action failed", rule=str(rule.id), error=error.message)
            incident = store.get(conn, row["workspace"], row["incident"])
            row["action_at"] += 1
            if row["action_at"] == len(rule.actions):
                row["rule_at"], row["action_at"] = row["rule_at"] + 1, 0
            if isinstance(action, RunPlaybook) and row["rule_at"] < len(queue):
                row["waits_for"] = step.key
                row["deadline"] = self._writer.clock.now().timestamp() + self._writer.limits["incidents.playbook_wait"]
                after_commit(conn, self._wake_from_any_thread)
        conn.execute(sa.update(t.automation).where(t.automation.c.id == row["id"]).values(row))

    def _fits(self, conn: sa.Connection, rule: AutomationRule, incident: Incident) -> bool:
        details = [row["custom_details"] for row in store.rows(conn, t.alerts, incident)]
        facts = Facts(incident, views.entities(conn, incident), details)
        return all(condition.holds(facts) for condition in rule.properties.triggering_logic.conditions)

    def _run_playbook(self, conn: sa.Connection, step: _Step, action: RunPlaybook) -> None:
        workflow = action.action_configuration.logic_app_resource_id
        self.start_playbook(conn, step.incident, workflow, step.key, "Create")

    def start_playbook(self, conn: sa.Connection, incident: Incident, workflow: str, key: str, event: str) -> None:
        """Put `playbook.start` with the incident as it is now."""
        body = views.trigger_body(
            conn,
            incident,
            portal=self._writer.portal,
            customer_id=self._writer.customer_id(incident.scope),
            event_id=str(uuid.uuid5(_NAMESPACE, key)),
            event=event,
        )
        payload = {"workflow": workflow, "trigger": "incident", "body": body, "incident": incident.id}
        self._writer.outbox.put(conn, START_TOPIC, key, payload)

    def _modify(self, conn: sa.Connection, step: _Step, action: ModifyProperties) -> None:
        config = action.action_configuration
        update = Update(
            severity=config.severity,
            status=config.status,
            classification=config.classification,
            classification_reason=config.classification_reason,
            classification_comment=config.classification_comment,
            owner=config.owner
            if config.owner and (config.owner.object_id or config.owner.user_principal_name)
            else None,
            add_labels=tuple(label.label_name for label in config.labels),
        )
        self._writer.update(conn, step.incident, update, step.author.label)

    def _add_task(self, conn: sa.Connection, step: _Step, action: AddIncidentTask) -> None:
        config = action.action_configuration
        task = TaskProperties(title=config.title, status=TaskStatus.NEW, description=config.description)
        self._writer.put_task(conn, step.incident, str(uuid.uuid5(_NAMESPACE, step.key)), task, step.author)

    def _wake_from_any_thread(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _sleep_until(self, moment: float) -> None:
        # The time left is read where the sleep begins: the clock may have moved since the task was made.
        await self._writer.clock.sleep(moment - self._writer.clock.now().timestamp())

    async def _watch_deadlines(self) -> None:
        clock = self._writer.clock
        while True:
            self._wake.clear()
            now = clock.now().timestamp()
            due = t.automation.c.deadline <= now
            first = self._db.read(lambda conn: conn.execute(sa.select(sa.func.min(t.automation.c.deadline))).scalar())
            if first is not None and first <= now:
                await self._db.write(lambda conn, due=due: self._go_on(conn, due))  # type: ignore[misc]
                continue
            sleeper = asyncio.create_task(self._sleep_until(first if first is not None else now + 3600.0))
            waker = asyncio.create_task(self._wake.wait())
            try:
                await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeper.cancel()
                waker.cancel()


_ACTIONS: Final[dict[type[Action], Callable[[Automation, sa.Connection, _Step, Any], None]]] = {
    RunPlaybook: Automation._run_playbook,  # noqa: SLF001 - the class's own table
    ModifyProperties: Automation._modify,  # noqa: SLF001
    AddIncidentTask: Automation._add_task,  # noqa: SLF001
}
