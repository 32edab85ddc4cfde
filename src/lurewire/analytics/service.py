"""The analytics room's service: the resource type of rules, and the rules at work."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from lurewire.analytics import details, rules, store
from lurewire.analytics.alerts import ALERT_TABLE
from lurewire.analytics.errors import BadRequest
from lurewire.analytics.limits import LIMITS
from lurewire.analytics.models import RuleKind
from lurewire.analytics.queries import Arrivals, RuleQuery
from lurewire.analytics.raising import Context
from lurewire.analytics.runner import Runner
from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.core.resources import ResourceType
from lurewire.kql import KqlError, ticks_from_datetime

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from lurewire.analytics.rules import Rule
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.outbox import Message, Outbox
    from lurewire.core.resources import Change, ResourceId
    from lurewire.workspace import Loaded, Workspace, Workspaces

_log = get_logger("analytics")

_COUNTED = {
    RuleKind.SCHEDULED: "analytics.enabled_scheduled_rules",
    RuleKind.NRT: "analytics.enabled_nrt_rules",
}


class Analytics:
    """The rules of all workspaces.

    `fire_late` raises alerts also for rows that arrived too late for every window. `early_firing` off leaves scheduled
    rules to their schedule, as in Azure.
    """

    def __init__(
        self,
        db: Database,
        outbox: Outbox,
        clock: Clock,
        workspaces: Workspaces,
        *,
        fire_late: bool = False,
        early_firing: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._limits = limits or Limits(LIMITS)
        queries = asyncio.Semaphore(self._limits["analytics.parallel_queries"])
        self._context = Context(db, outbox, clock, self._limits, queries, Arrivals(queries), early_firing, fire_late)
        self._runners: dict[str, Runner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._subscriptions: dict[str, Callable[[], None]] = {}
        self._started = False
        self.resource_types = (ResourceType(rules.RULE_TYPE, self._prepare, self._applied, self._deleted),)
        """Microsoft.SecurityInsights/alertRules."""
        outbox.subscribe(store.LOG_TOPIC, self._append)

    async def start(self) -> None:
        """Set the rules to work, those of `resource_types` that were applied before and those that come."""
        self._started = True
        for key in self._runners:
            self._launch(key)

    async def stop(self) -> None:
        """Stop the rules; the next start goes on where they are."""
        self._started = False
        for unsubscribe in self._subscriptions.values():
            unsubscribe()
        self._subscriptions.clear()
        for key in list(self._runners):
            await self._halt(key)

    async def settled(self) -> None:
        """Return when no rule has anything to do at the present time."""
        while busy := [self._runners[key] for key in self._tasks if not self._runners[key].idle]:
            busy[0].quiet.clear()
            await busy[0].quiet.wait()

    def warnings(self, rule_id: ResourceId) -> list[str]:
        """What was odd about a rule when it was stored, such as a mapped column that its query does not return."""
        standing = self._db.read(lambda conn: store.standing(conn, rule_id.key))
        return standing.warnings if standing else []

    def missed(self, rule_id: ResourceId) -> int:
        """How many results, or rows, arrived too late for every window of a rule."""
        return self._db.read(lambda conn: store.missed_rows(conn, rule_id.key))

    # The resource type

    async def _prepare(self, change: Change) -> dict[str, Any]:
        now = ticks_from_datetime(self._clock.now())
        rule, body = rules.prepare(change, self._limits, now)
        self._check_number(rule)
        whole = rules.WHOLE_WORKSPACE.search(rule.properties.query)
        if whole is not None:
            what = f"'{whole[1]} *' reads every table of the workspace, which a rule may not"
            raise BadRequest(f"'properties.query': Failed to run the analytics rule query. {what}.")
        try:
            RuleQuery(rule.properties.query, self._workspace(rule)).plan()
        except KqlError as error:
            raise BadRequest(f"'properties.query': Failed to run the analytics rule query. {error}") from error
        return body

    def _check_number(self, rule: Rule) -> None:
        most = self._limits[_COUNTED[rule.kind]]
        others = sum(
            1
            for runner in self._runners.values()
            if runner.rule.kind is rule.kind
            and runner.rule.properties.enabled
            and runner.rule.id.scope.lower() == rule.id.scope.lower()
            and runner.rule.key != rule.key
        )
        if rule.properties.enabled and others >= most:
            raise BadRequest(f"The workspace has {others} enabled rules of kind {rule.kind}; no more fit.")

    def _workspace(self, rule: Rule) -> Workspace:
        workspace = self._workspaces.by_id(rule.id.scope)
        if workspace is None:
            raise BadRequest(f"'{rule.id.scope}' is not a workspace that is open here.")
        return workspace

    async def _applied(self, _resource_id: ResourceId, body: dict[str, Any]) -> None:
        rule = rules.read(body)
        workspace = self._workspace(rule)
        await self._halt(rule.key)
        warnings = self._warnings(rule, workspace)
        now, loaded = ticks_from_datetime(self._clock.now()), workspace.loaded

        def work(conn: sa.Connection) -> store.Standing:
            return store.take_up(conn, rule, now=now, loaded=loaded, warnings=warnings)

        self._runners[rule.key] = Runner(rule, await self._db.write(work), workspace, self._context)
        if self._started:
            self._launch(rule.key)

    def _warnings(self, rule: Rule, workspace: Workspace) -> list[str]:
        try:
            compiled = RuleQuery(rule.properties.query, workspace).plan().compiled
        except KqlError as error:  # the tables have changed since the rule was stored
            found = [f"'properties.query': {error}"]
        else:
            if compiled is None:
                what = "its columns depend on the rows of each run, which fails where it names one they do not have"
                found = [f"'properties.query': {what}"]
            else:
                found = details.unknown_columns(rule.properties, (c.name for c in compiled.columns))
        for warning in found:
            _log.warning("analytics rule", rule=str(rule.id), warning=warning)
        return found

    async def _deleted(self, resource_id: ResourceId) -> None:
        await self._halt(resource_id.key)
        await self._db.write(lambda conn: store.forget(conn, resource_id.key))

    # At work

    def _launch(self, key: str) -> None:
        runner = self._runners[key]
        if not runner.rule.properties.enabled:
            return
        customer_id = runner.workspace.customer_id
        if customer_id not in self._subscriptions:
            self._subscriptions[customer_id] = runner.workspace.subscribe(
                lambda loaded, workspace=runner.workspace: self._notify(workspace, loaded)  # type: ignore[misc]
            )
        self._tasks[key] = asyncio.create_task(runner.live(), name=f"rule {runner.rule.id.name}")

    def _notify(self, workspace: Workspace, loaded: Loaded) -> None:
        for key in self._tasks:
            runner = self._runners[key]
            if runner.workspace is workspace and runner.reads(loaded.table):
                runner.notify()

    async def _halt(self, key: str) -> None:
        runner, task = self._runners.pop(key, None), self._tasks.pop(key, None)
        if task is None or runner is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(store.RuleIsGone):
            await runner.save()

    async def _append(self, message: Message) -> None:
        workspace = self._workspaces.by_id(message.payload["workspace"])
        if workspace is None:
            _log.warning("alert of a workspace that is gone is not logged", alert=message.key)
            return
        await workspace.append(ALERT_TABLE, [message.payload["row"]], message.key)
