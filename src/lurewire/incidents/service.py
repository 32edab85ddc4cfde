"""The incidents room's service: what routes, playbooks and the outbox do with incidents.

Comments, titles and descriptions are stored as they were sent, whatever they hold: who shows them as HTML sanitises them
there, who shows them in a terminal escapes them there.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lurewire.core.errors import Forbidden
from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.incidents import store, views
from lurewire.incidents import tables as t
from lurewire.incidents.automation import Automation
from lurewire.incidents.errors import BadRequest, Conflict, NotFound
from lurewire.incidents.limits import LIMITS
from lurewire.incidents.models import (
    Classification,
    ClassificationReason,
    CommentProperties,
    IncidentProperties,
    Owner,
    PlaybookStart,
    Severity,
    Status,
    TaskProperties,
    decode,
)
from lurewire.incidents.writer import AUTOMATION_TOPIC, LOG_TOPIC, Author, Update, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import sqlalchemy as sa

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.http import Gatekeeper
    from lurewire.core.outbox import Message, Outbox
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Resources, ResourceType
    from lurewire.incidents.store import Incident
    from lurewire.workspace import Workspaces

T = TypeVar("T")

_log = get_logger("incidents")

_RUN_PLAYBOOK: Final = "Microsoft.Logic/workflows/triggers/listCallbackUrl/action"


class Incidents:
    """Incidents of all workspaces. `portal` is the address that incident URLs start with."""

    def __init__(
        self,
        db: Database,
        outbox: Outbox,
        clock: Clock,
        workspaces: Workspaces,
        *,
        gatekeeper: Gatekeeper,
        resources: Resources,
        portal: str,
        limits: Limits | None = None,
    ) -> None:
        self._db = db
        self._workspaces = workspaces
        self._gatekeeper = gatekeeper
        self._resources = resources
        self.limits = limits or Limits(LIMITS)
        self._writer = Writer(outbox, clock, workspaces, self.limits, portal)
        self._automation = Automation(db, self._writer)
        outbox.subscribe("alert.raised", self._take_alert)
        outbox.subscribe(LOG_TOPIC, self._append)
        outbox.subscribe(AUTOMATION_TOPIC, self._automation.answer)
        outbox.subscribe("playbook.finished", self._automation.playbook_finished)

    @property
    def automation_rules(self) -> ResourceType:
        """The resource type Microsoft.SecurityInsights/automationRules."""
        return self._automation.resource_type

    async def start(self) -> None:
        """Go on with the automation that an earlier process left waiting."""
        await self._automation.start()

    async def stop(self) -> None:
        """Stop what runs on its own."""
        await self._automation.stop()

    async def _take_alert(self, message: Message) -> None:
        await self._db.write(lambda conn: self._writer.take_alert(conn, message.payload))

    async def _append(self, message: Message) -> None:
        workspace = self._workspaces.by_id(message.payload["workspace"])
        if workspace is None:
            _log.warning("change of an incident of a workspace that is gone is not logged", change=message.key)
            return
        await workspace.append(views.INCIDENT_TABLE, [message.payload["row"]], message.key)

    # For playbooks: with the playbook's principal, checked here

    async def get(self, principal: Principal, incident_id: str) -> dict[str, Any]:
        """The incident with its alerts, entities and comments.

        Raises `Forbidden` without action incidents/read, `NotFound`, and `BadRequest` where the id is none.
        """
        workspace, name = self._checked(principal, "incidents/read", incident_id)
        return self._read(workspace, name, lambda conn, it: views.full(conn, it, self._writer.portal))

    async def get_of_alert(self, principal: Principal, customer_id: str, alert_id: str) -> dict[str, Any]:
        """The incident that an alert of the workspace with that GUID is in, as `get` gives it.

        Raises `Forbidden` without action incidents/read on the workspace, and `NotFound`.
        """
        scope = self._workspaces.id_of(customer_id)
        if scope is None:
            raise NotFound(f"The workspace '{customer_id}' was not found.")
        action = "Microsoft.SecurityInsights/incidents/read"
        if not self._gatekeeper.allows(principal, action, str(scope), data=False):
            raise Forbidden(principal, action, str(scope))
        name = self._db.read(lambda conn: store.incident_of_alert(conn, scope.key, alert_id))
        if name is None:
            raise NotFound(f"No incident of the workspace '{scope.name}' has the alert '{alert_id}'.")
        return self._read(scope.key, name, lambda conn, it: views.full(conn, it, self._writer.portal))

    async def add_comment(
        self, principal: Principal, incident_id: str, message: str, *, comment_id: str
    ) -> dict[str, Any]:
        """Add a comment, once for each `comment_id`; returns the comment of the REST API.

        Raises `Forbidden` without action incidents/comments/write, `NotFound`, and `BadRequest` for a message that is
        empty or too long or one comment too many.
        """
        workspace, name = self._checked(principal, "incidents/comments/write", incident_id)

        def work(conn: sa.Connection) -> dict[str, Any]:
            it = self._found(conn, workspace, name)
            if store.row(conn, t.comments, it, comment_id) is None:
                self._writer.put_comment(conn, it, comment_id, message, Author.of(principal))
            return views.comment(it, self._row(conn, t.comments, it, comment_id))

        return await self._db.write(work)

    async def update(
        self,
        principal: Principal,
        incident_id: str,
        *,
        severity: str | None = None,
        status: str | None = None,
        classification: str | None = None,
        classification_reason: str | None = None,
        classification_comment: str | None = None,
        add_labels: Sequence[str] = (),
        remove_labels: Sequence[str] = (),
        owner: str | None = None,
        unassign: bool = False,
        title: str | None = None,
        description: str | None = None,
        key: str,
    ) -> dict[str, Any]:
        """Change what is not None, once for each `key`; returns the incident of the REST API.

        `owner` is an object id or a user principal name; `unassign` takes the owner away. Raises `Forbidden` without
        action incidents/write, `NotFound`, and `BadRequest` for a value that does not fit.
        """
        workspace, name = self._checked(principal, "incidents/write", incident_id)
        update = Update(
            severity=decode(Severity, severity, "severity") if severity is not None else None,
            status=decode(Status, status, "status") if status is not None else None,
            classification=decode(Classification, classification, "classification") if classification else None,
            classification_reason=decode(ClassificationReason, classification_reason, "classificationReason")
            if classification_reason
            else None,
            classification_comment=classification_comment,
            owner=Owner() if unassign else _owner(owner),
            title=title,
            description=description,
            add_labels=tuple(add_labels),
            remove_labels=tuple(remove_labels),
        )

        def work(conn: sa.Connection) -> dict[str, Any]:
            it = self._found(conn, workspace, name)
            if store.first_time(conn, it, key):
                self._writer.update(conn, it, update, Author.of(principal).label)
            return views.incident(conn, it, self._writer.portal)

        return await self._db.write(work)

    def _checked(self, principal: Principal, action: str, incident_id: str) -> tuple[str, str]:
        try:
            parsed = ResourceId.parse(incident_id)
        except InvalidResourceId as error:
            raise BadRequest(f"'incidentArmId': {error}") from error
        if parsed.type.lower() != "microsoft.securityinsights/incidents":
            raise BadRequest(f"'incidentArmId': '{incident_id}' is not the id of an incident")
        full = f"Microsoft.SecurityInsights/{action}"
        if not self._gatekeeper.allows(principal, full, str(parsed), data=False):
            raise Forbidden(principal, full, str(parsed))
        return parsed.scope.lower(), parsed.name

    # For routes: the framework has checked the principal

    def workspace(self, scope: str) -> str:
        """The id of the workspace at `scope`, as stored; raises `NotFound`."""
        workspace = self._workspaces.by_id(scope)
        found = self._workspaces.id_of(workspace.customer_id) if workspace else None
        if found is None:
            raise NotFound(f"The workspace '{scope}' was not found.")
        return str(found)

    def one(self, workspace: str, name: str) -> dict[str, Any]:
        """The incident of the REST API; raises `NotFound`."""
        return self._read(workspace, name, lambda conn, it: views.incident(conn, it, self._writer.portal))

    def page(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """The incidents of a query over the incident table."""
        return self._db.read(
            lambda conn: [views.incident(conn, it, self._writer.portal) for it in store.select(conn, query)]
        )

    async def put(
        self, principal: Principal, scope: str, name: str, body: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """Create or replace an incident; returns it and whether it is new. Raises `BadRequest`, `Conflict`."""
        sent = decode(IncidentProperties, body.get("properties"), "properties")

        def work(conn: sa.Connection) -> tuple[dict[str, Any], bool]:
            found = store.get(conn, scope.lower(), name)
            _check_etag(found.etag if found else None, body)
            it, new = self._writer.put(conn, scope, name, sent, Author.of(principal))
            return views.incident(conn, it, self._writer.portal), new

        return await self._db.write(work)

    async def delete(self, workspace: str, name: str) -> bool:
        """Delete an incident; False where there is none."""

        def work(conn: sa.Connection) -> bool:
            found = store.get(conn, workspace.lower(), name)
            if found is not None:
                store.delete(conn, found)
            return found is not None

        return await self._db.write(work)

    def comments(self, workspace: str, name: str) -> list[dict[str, Any]]:
        """An incident's comments; raises `NotFound`."""
        return self._read(
            workspace, name, lambda conn, it: [views.comment(it, row) for row in store.rows(conn, t.comments, it)]
        )

    def comment(self, workspace: str, name: str, comment: str) -> dict[str, Any]:
        """One comment; raises `NotFound`."""
        return self._read(workspace, name, lambda conn, it: views.comment(it, self._row(conn, t.comments, it, comment)))

    async def put_comment(
        self, principal: Principal, workspace: str, name: str, comment: str, body: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """Add a comment or change its text; returns it and whether it is new."""
        sent = decode(CommentProperties, body.get("properties"), "properties")

        def work(conn: sa.Connection) -> tuple[dict[str, Any], bool]:
            it = self._found(conn, workspace, name)
            stored = store.row(conn, t.comments, it, comment)
            _check_etag(stored["etag"] if stored else None, body)
            self._writer.put_comment(conn, it, comment, sent.message, Author.of(principal))
            return views.comment(it, self._row(conn, t.comments, it, comment)), stored is None

        return await self._db.write(work)

    def tasks(self, workspace: str, name: str) -> list[dict[str, Any]]:
        """An incident's tasks; raises `NotFound`."""
        return self._read(
            workspace, name, lambda conn, it: [views.task(it, row) for row in store.rows(conn, t.tasks, it)]
        )

    def task(self, workspace: str, name: str, task: str) -> dict[str, Any]:
        """One task; raises `NotFound`."""
        return self._read(workspace, name, lambda conn, it: views.task(it, self._row(conn, t.tasks, it, task)))

    async def put_task(
        self, principal: Principal, workspace: str, name: str, task: str, body: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """Add a task or change it; returns it and whether it is new."""
        sent = decode(TaskProperties, body.get("properties"), "properties")

        def work(conn: sa.Connection) -> tuple[dict[str, Any], bool]:
            it = self._found(conn, workspace, name)
            stored = store.row(conn, t.tasks, it, task)
            _check_etag(stored["etag"] if stored else None, body)
            self._writer.put_task(conn, it, task, sent, Author.of(principal))
            return views.task(it, self._row(conn, t.tasks, it, task)), stored is None

        return await self._db.write(work)

    def alerts(self, workspace: str, name: str) -> list[dict[str, Any]]:
        """An incident's alerts; raises `NotFound`."""
        return self._read(workspace, name, views.alerts)

    def entities(self, workspace: str, name: str) -> list[dict[str, Any]]:
        """An incident's entities; raises `NotFound`."""
        return self._read(workspace, name, views.entities)

    def relations(self, workspace: str, name: str) -> list[dict[str, Any]]:
        """An incident's relations, which are its alerts; raises `NotFound`."""
        return self._read(
            workspace, name, lambda conn, it: [views.relation(it, alert) for alert in views.alerts(conn, it)]
        )

    async def run_playbook(self, principal: Principal, workspace: str, name: str, body: Mapping[str, Any]) -> None:
        """Start a playbook with the incident, once more for each call.

        Raises `BadRequest`, `NotFound`, and `Forbidden` where the principal may not call the workflow's trigger.
        """
        sent = decode(PlaybookStart, body, "body")
        try:
            workflow = ResourceId.parse(sent.logic_apps_resource_id)
        except InvalidResourceId as error:
            raise BadRequest(f"'logicAppsResourceId': {error}") from error
        if workflow.type.lower() != "microsoft.logic/workflows":
            raise BadRequest(f"'logicAppsResourceId': '{workflow}' is no Microsoft.Logic/workflows")
        if not self._gatekeeper.allows(principal, _RUN_PLAYBOOK, str(workflow), data=False):
            raise Forbidden(principal, _RUN_PLAYBOOK, str(workflow))
        playbook = self._resources.get(workflow)
        if playbook is None:
            raise NotFound(f"The playbook '{workflow}' was not found.")
        if playbook["properties"].get("state") == "Disabled":
            raise BadRequest(f"The playbook '{workflow}' is disabled.")

        def work(conn: sa.Connection) -> None:
            it = self._found(conn, workspace, name)
            self._automation.start_playbook(conn, it, str(workflow), f"manual:{uuid.uuid4()}", "Manual")

        await self._db.write(work)

    def _read(self, workspace: str, name: str, view: Callable[[sa.Connection, Incident], T]) -> T:
        return self._db.read(lambda conn: view(conn, self._found(conn, workspace, name)))

    @staticmethod
    def _found(conn: sa.Connection, workspace: str, name: str) -> Incident:
        found = store.get(conn, workspace.lower(), name)
        if found is None:
            raise NotFound(f"The incident '{name}' was not found.")
        return found

    @staticmethod
    def _row(conn: sa.Connection, table: sa.Table, it: Incident, name: str) -> sa.RowMapping:
        found = store.row(conn, table, it, name)
        if found is None:
            raise NotFound(f"'{name}' was not found in the incident '{it.name}'.")
        return found


def _owner(text: str | None) -> Owner | None:
    if not text:
        return None
    try:
        return Owner(object_id=str(uuid.UUID(text)))
    except ValueError:
        return Owner(user_principal_name=text)


def _check_etag(stored: str | None, body: Mapping[str, Any]) -> None:
    """Concurrency is by the etag in the body: an update has to bring the stored one."""
    sent = body.get("etag")
    if stored is not None and sent != stored:
        problem = "no etag was sent" if sent is None else "the etag does not match"
        raise Conflict(f"The resource exists and {problem}: read it again and send its etag with the change.")
