"""One rule at work: on its schedule, and on what arrives.

A scheduled run that is due at R sees the rows of time (R - delay - period, R - delay] that were loaded before it, with
`now()` at the window's end. Microsoft's own way to handle ingestion delay needs it there:
https://learn.microsoft.com/azure/sentinel/ingestion-delay.

Early firing: a rule whose results are single rows, whose windows meet without overlap, that raises an alert for each result
and never pauses, may raise it when the row arrives, if a coming run would see the row. Its key is the row's, so that run
raises nothing more; and it leaves the last alert of a window to that run, which knows whether it must be the summary.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lurewire.analytics import store
from lurewire.analytics.alerts import ALERT_TABLE, Window
from lurewire.analytics.models import RuleKind, ScheduledProperties
from lurewire.analytics.queries import AFTER_ALL, BEFORE_ALL, RuleQuery, bounds, events_of, results_of
from lurewire.analytics.raising import Raiser, Run
from lurewire.analytics.store import Cause, Missed, Raised, Standing
from lurewire.core.log import get_logger
from lurewire.kql import datetime_text, ticks_from_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.analytics.details import Results
    from lurewire.analytics.queries import Events, Plan
    from lurewire.analytics.raising import Context
    from lurewire.analytics.rules import Rule
    from lurewire.workspace import QueryResult, Workspace

_log = get_logger("analytics")

SECOND: Final = 10_000_000
OWN_TABLES: Final = frozenset((ALERT_TABLE, "SecurityIncident"))
"""Tables whose rows rules themselves cause: a rule over them never fires early, so that it cannot chase its own tail."""

_LONGEST_RETRY: Final = 60.0
_STORED_EVERY: Final = 300 * SECOND


class Runner:
    """Runs one rule for as long as its task lives."""

    def __init__(self, rule: Rule, standing: Standing, workspace: Workspace, context: Context) -> None:
        self.rule = rule
        self.standing = standing
        self.workspace = workspace
        self.quiet = asyncio.Event()
        self._context = context
        self._raiser = Raiser(rule, standing.incarnation, workspace.customer_id, context)
        self._query = RuleQuery(rule.properties.query, workspace)
        self._news = asyncio.Event()
        self._working = True
        self._retry_at = 0
        self._stored_at = 0

    def reads(self, table: str) -> bool:
        """Whether the rule's query reads a table; also where that is not known because it does not compile."""
        try:
            return table in self._query.plan().tables
        except Exception:  # noqa: BLE001 - the run itself reports it
            return True

    def notify(self) -> None:
        """Rows have arrived in a table that the rule reads."""
        self._news.set()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do now."""
        return not (self._working or self._news.is_set() or self._due() <= self._now())

    async def live(self) -> None:
        """Work until cancelled."""
        self._news.set()
        while True:
            self._working = True
            self._news.clear()
            await self._work()
            self._working = False
            self.quiet.set()
            await self._rest()

    async def save(self) -> None:
        """Store how far was looked: what lies before is not looked at again after a restart."""
        await self._store(self.standing)

    # When

    def _now(self) -> int:
        return ticks_from_datetime(self._context.clock.now())

    def _due(self) -> int:
        """When there is something to do even if nothing arrives."""
        paced = self.rule.kind is RuleKind.SCHEDULED or self._paced
        return self._retry_at or (self.standing.next_run if paced else AFTER_ALL)

    @property
    def _paced(self) -> bool:
        """Whether an NRT rule keeps to its interval instead of running when rows arrive."""
        return any(self.reads(table) for table in OWN_TABLES)

    async def _rest(self) -> None:
        sleeper = asyncio.create_task(self._sleep())
        waker = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    async def _sleep(self) -> None:
        # The time left is read where the sleep begins: the clock may have moved since the task was made.
        await self._context.clock.sleep(min((self._due() - self._now()) / SECOND, 86_400.0))

    async def _work(self) -> None:
        if self._retry_at > self._now():
            return
        self._retry_at = 0
        try:
            await self._look_and_run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the rule is tried again
            await self._failed(error)

    async def _look_and_run(self) -> None:
        if self.rule.kind is RuleKind.NRT:
            await self._look_as_nrt()
            return
        self._skip_what_is_too_old()
        await self._look()
        while self.standing.next_run <= self._now():
            await self._run()

    def _skip_what_is_too_old(self) -> None:
        """After a long downtime only so many runs are made up for."""
        frequency, most = self.standing.frequency, self._context.limits["analytics.catch_up_runs"]
        behind = (self._now() - self.standing.next_run) // frequency + 1
        if behind > most:
            first = datetime_text(self.standing.next_run)
            skipped = behind - most
            self.standing = replace(self.standing, next_run=self.standing.next_run + skipped * frequency)
            _log.error("runs of a rule are too long ago and skipped", rule=str(self.rule.id), runs=skipped, first=first)

    async def _failed(self, error: Exception) -> None:
        """Try again after ever longer pauses; in the end only at the next run's time."""
        s = self.standing
        attempts, next_run = s.attempts + 1, s.next_run
        trace = error if attempts == 1 else None  # once is enough
        _log.error("rule failed", rule=str(self.rule.id), attempts=attempts, error=repr(error), exc_info=trace)
        if attempts < self._context.limits["analytics.run_attempts"]:
            self._retry_at = self._now() + int(min(2.0**attempts, _LONGEST_RETRY) * SECOND)
        else:
            attempts = 0
            if s.frequency and next_run <= self._now():
                _log.error("run of a rule is skipped", rule=str(self.rule.id), due=datetime_text(next_run))
                next_run += s.frequency
        await self._store(replace(s, attempts=attempts, next_run=next_run, error=str(error)[:2000]))

    # On arrival

    async def _look(self) -> None:
        """Look at what was loaded since the last look: fire early what a coming run would see, count what none will."""
        through = self.workspace.loaded
        if through <= self.standing.looked_through:
            return
        plan = self._query.plan()
        if plan.on_arrival:
            await self._look_for_events(plan, through)
        else:
            await self._count_late_rows(plan, through)

    async def _look_for_events(self, plan: Plan, through: int) -> None:
        assert plan.table is not None
        after = self.standing.looked_through
        result = await self._execute(plan, Window(BEFORE_ALL, AFTER_ALL), after, through, self._now())
        looked = replace(self.standing, looked_through=through, attempts=0, error=None)
        if result.partial is not None:  # too much for a look is left to the run
            await self._count_late_rows(plan, through)
            return
        if not result.rows:
            await self._pass_over(looked)
            return
        events, results = events_of(result), results_of(result)
        start = self._coming().start
        late = events.where(events.times <= start)
        raised: list[Raised] = []
        if self._fires_early(plan):
            raised = self._early(plan, results, events.where(events.times > start))
        missed = []
        if len(late):
            fired = self._context.fire_late and self._may_fire_early(plan)
            if fired:
                span = Window(int(late.times.min()) - 1, int(late.times.max()))
                run = Run(span, ("late", through), Cause.LATE, self._context.limits["analytics.alerts_per_run"])
                raised += await self._raiser.per_result(
                    results, self._raiser.event_keys(plan, late, ()), len(late), run
                )
            missed.append(Missed(plan.table, after + 1, through, len(late), "results", start, fired))
        if raised or missed:
            await self._store(looked, raised, missed)
        else:
            await self._pass_over(looked)

    async def _pass_over(self, looked: Standing) -> None:
        """Go on after a look that found nothing. It is stored now and then: to look again would find nothing again."""
        if self._now() - self._stored_at >= _STORED_EVERY:
            await self._store(looked)
        else:
            self.standing = looked

    async def _count_late_rows(self, plan: Plan, through: int) -> None:
        """Where single results tell nothing, or are too many: count the late rows of the query's tables."""
        after, start = self.standing.looked_through, self._coming().start
        missed = []
        for table in sorted(plan.tables):
            counted = await self._late_rows(table, after, through, start)
            if counted:
                missed.append(Missed(table, after + 1, through, counted, "rows", start, fired=False))
        looked = replace(self.standing, looked_through=through, attempts=0, error=None)
        if missed:
            await self._store(looked, (), missed)
        else:
            await self._pass_over(looked)

    async def _late_rows(self, table: str, after: int, through: int, start: int) -> int:
        earliest = await self._context.arrivals.earliest(self.workspace, table, after, through)
        if earliest is None or earliest > start:
            return 0
        compiled = self.workspace.compile(f"['{table}'] | count", window=True, keep_identity=True)
        async with self._context.queries:
            result = await self.workspace.run(compiled, bounds(BEFORE_ALL, start, after, through), "rules")
        ((count,),) = result.values()
        return int(count)

    def _may_fire_early(self, plan: Plan) -> bool:
        """Whether an alert of this rule is of one row and of one window, whenever it is raised."""
        return (
            plan.on_arrival
            and self.rule.per_result
            and self.rule.any_result_raises
            and self.rule.tiled
            and not self.rule.properties.suppression_enabled
            and plan.table not in OWN_TABLES
        )

    def _fires_early(self, plan: Plan) -> bool:
        return self._context.early_firing and self._may_fire_early(plan)

    def _early(self, plan: Plan, results: Results, events: Events) -> list[Raised]:
        """The alerts of rows that coming runs would see, up to the last alert of each run."""
        most = self._context.limits["analytics.alerts_per_run"] - 1
        window, period = self._coming(), self.standing.frequency
        ends = window.end + -((window.end - events.times) // period) * period
        raised: list[Raised] = []
        for end in np.unique(ends).tolist():
            own = events.where(ends == end)
            room = most - self._context.db.read(lambda c, end=end: store.early_alerts(c, self.rule.key, end))  # type: ignore[misc]
            fresh = self._raiser.fresh(self._raiser.event_keys(plan, own, ()), room)
            span = Window(end - period, end)
            raised += [Raised(self._raiser.build(results.only(at), key, span), end, Cause.EARLY) for key, at in fresh]
        return raised

    # On schedule

    def _coming(self) -> Window:
        """The window of the next run."""
        p = self.rule.properties
        assert isinstance(p, ScheduledProperties)
        end = self.standing.next_run - self._context.limits["analytics.delay"] * SECOND
        return Window(end - p.query_period.ticks, end)

    async def _run(self) -> None:
        s, window = self.standing, self._coming()
        done = replace(s, next_run=s.next_run + s.frequency, attempts=0, error=None)
        if s.next_run < s.suppressed_until:
            await self._store(done)
            return
        plan = self._query.plan()
        result = await self._execute(plan, window, BEFORE_ALL, s.looked_through, window.end)
        if result.partial is not None:
            _log.warning("a rule's results are cut", rule=str(self.rule.id), reason=result.partial)
        raised: list[Raised] = []
        if self.rule.raises(result.rows):
            most = self._context.limits["analytics.alerts_per_run"]
            raised = await self._raiser.alerts(plan, result, Run(window, ("window", window.end), Cause.SCHEDULED, most))
        if raised and self.rule.properties.suppression_enabled:
            done = replace(done, suppressed_until=s.next_run + self.rule.properties.suppression_duration.ticks)
        await self._store(done, raised)

    # Near real time

    async def _look_as_nrt(self) -> None:
        s, now, through = self.standing, self._now(), self.workspace.loaded
        interval = self._context.limits["analytics.nrt_interval"] * SECOND
        if self._paced:
            if s.next_run > now:
                return
            s = self.standing = replace(s, next_run=now + interval)
        if through <= s.looked_through:
            return
        looked = replace(s, looked_through=through, attempts=0, error=None)
        if now < s.suppressed_until:
            await self._store(looked)
            return
        plan = self._query.plan()
        result = await self._execute(plan, Window(BEFORE_ALL, AFTER_ALL), s.looked_through, through, now)
        if not result.rows and plan.table is not None:
            await self._pass_over(looked)
            return
        raised: list[Raised] = []
        if self.rule.raises(result.rows):
            most = self._context.limits["analytics.nrt_alerts_per_run"]
            run = Run(Window(now - interval, now), ("through", through), Cause.NRT, most)
            raised = await self._raiser.alerts(plan, result, run)
        if raised and self.rule.properties.suppression_enabled:
            looked = replace(looked, suppressed_until=now + self.rule.properties.suppression_duration.ticks)
        await self._store(looked, raised)

    # Results into alerts

    async def _execute(self, plan: Plan, window: Window, after: int, through: int, now: int) -> QueryResult:
        parameters = bounds(window.start, window.end, after, through) | {"now": now}
        async with self._context.queries:
            return await self._query.run(plan, parameters)

    async def _store(self, standing: Standing, raised: Sequence[Raised] = (), missed: Sequence[Missed] = ()) -> None:
        """Make alerts durable together with where the rule stands; a cancelled task waits until that is done."""
        now = self._now()
        outbox = self._context.outbox
        writing = asyncio.ensure_future(
            self._context.db.write(lambda c: store.write(c, outbox, now, standing, raised=raised, missed=missed))
        )
        try:
            new = await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait((writing,))
            raise
        self.standing, self._stored_at = standing, now
        for alert in new:
            name = alert.payload["alert"]["properties"]["alertDisplayName"]
            _log.info("alert", rule=self.rule.id.name, alert=alert.id, name=name)
        for one in missed:
            _log.warning("rows arrived too late for every window of a rule", rule=str(self.rule.id), **_fields(one))


def _fields(missed: Missed) -> dict[str, Any]:
    return {"table": missed.table, missed.counted: missed.rows, "fired": missed.fired}
