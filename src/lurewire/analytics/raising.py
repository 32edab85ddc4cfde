"""From results to alerts: which of them raise one, under which key, and how many at most."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lurewire.analytics import store
from lurewire.analytics.alerts import Alert, Window, key_of
from lurewire.analytics.alerts import build as build_alert
from lurewire.analytics.queries import events_of, results_of
from lurewire.analytics.store import Cause, Raised
from lurewire.kql import ticks_from_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lurewire.analytics.details import Results
    from lurewire.analytics.queries import Arrivals, Events, Plan
    from lurewire.analytics.rules import Rule
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.limits import Limits
    from lurewire.core.outbox import Outbox
    from lurewire.workspace import QueryResult

_THREAD_FROM: Final = 1_000  # results; building an alert of fewer is faster than a change of threads


@dataclass(frozen=True, slots=True)
class Context:
    """What all rules share. `fire_late`: raise alerts also for what no window will see."""

    db: Database
    outbox: Outbox
    clock: Clock
    limits: Limits
    queries: asyncio.Semaphore
    arrivals: Arrivals
    early_firing: bool
    fire_late: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One look at data: `scope` names it in the keys of alerts that are not of a single row."""

    window: Window
    scope: tuple[object, ...]
    cause: Cause
    most: int


class Raiser:
    """Makes the alerts of one rule; `incarnation` tells it from others that had its id before."""

    def __init__(self, rule: Rule, incarnation: str, customer_id: str, context: Context) -> None:
        self._rule = rule
        self._incarnation = incarnation
        self._customer_id = customer_id
        self._context = context

    async def alerts(self, plan: Plan, result: QueryResult, run: Run) -> list[Raised]:
        """The alerts of a run whose results passed the rule's threshold."""
        results = results_of(result)
        if not self._rule.per_result:
            key = key_of(self._rule.key, self._incarnation, *run.scope, "single")
            return [Raised(await self._build_large(results, key, run.window), run.window.end, run.cause)]
        if plan.table is not None:
            alone = self._rule.tiled or run.cause is Cause.NRT
            keys = self.event_keys(plan, events_of(result), () if alone else run.scope)
        else:
            keys = self._content_keys(results, run.scope)
        return await self.per_result(results, keys, results.count, run)

    async def per_result(self, results: Results, keys: Iterable[tuple[str, int]], count: int, run: Run) -> list[Raised]:
        """An alert for each result; where there are too many, for all but one, and one that sums up all of them."""
        end, cause, room = run.window.end, run.cause, run.most
        raised: list[Raised] = []
        if count > run.most:
            early = self._context.db.read(lambda conn: store.early_alerts(conn, self._rule.key, end))
            room = run.most - 1 - early
            key = key_of(self._rule.key, self._incarnation, *run.scope, "summary")
            raised.append(Raised(await self._build_large(results, key, run.window), end, cause))
        fresh = self.fresh(keys, room)
        return [*(Raised(self.build(results.only(at), key, run.window), end, cause) for key, at in fresh), *raised]

    def event_keys(self, plan: Plan, events: Events, scope: Sequence[object]) -> Iterable[tuple[str, int]]:
        """The key of each event's alert, and its place in the results.

        Not the rule's etag but its incarnation is in it: a change of the rule does not raise what was raised before.
        """
        for commit, ordinal, occurrence, position in events.rows():
            parts = (*scope, "event", plan.table, commit, ordinal, occurrence)
            yield key_of(self._rule.key, self._incarnation, *parts), position

    def _content_keys(self, results: Results, scope: Sequence[object]) -> Iterable[tuple[str, int]]:
        seen: dict[str, int] = {}
        for position in range(results.count):
            content = results.only(position).content()
            occurrence = seen[content] = seen.get(content, -1) + 1
            parts = (*scope, "content", occurrence, content)
            yield key_of(self._rule.key, self._incarnation, *parts), position

    def fresh(self, keys: Iterable[tuple[str, int]], room: int) -> list[tuple[str, int]]:
        """The first `room` keys that no alert has yet."""
        fresh: list[tuple[str, int]] = []
        for batch in store.batches(keys):
            if len(fresh) >= room:
                break
            known = self._context.db.read(lambda conn, batch=batch: store.known_keys(conn, (k for k, _ in batch)))  # type: ignore[misc]
            fresh += [pair for pair in batch if pair[0] not in known]
        return fresh[: max(room, 0)]

    def build(self, results: Results, key: str, window: Window) -> Alert:
        """One alert, of all of `results`."""
        return build_alert(
            self._rule,
            results,
            key,
            window=window,
            now=ticks_from_datetime(self._context.clock.now()),
            customer_id=self._customer_id,
            limits=self._context.limits,
        )

    async def _build_large(self, results: Results, key: str, window: Window) -> Alert:
        if results.count < _THREAD_FROM:
            return self.build(results, key, window)
        return await asyncio.to_thread(self.build, results, key, window)
